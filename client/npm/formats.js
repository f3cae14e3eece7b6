// Formats that the browser can record. Imported when it is first needed.

import { CompositionError } from '../src/browser/composition/compositor.js';

const CONTAINERS = { 'video/webm': 'webm', 'video/mp4': 'mp4', 'video/x-matroska': 'matroska' };
/** Formats, best first, in browsers other than those built on WebKit. */
const CANDIDATES = [
  ['video/webm', 'vp9', 'opus'], ['video/webm', 'vp8', 'opus'], ['video/x-matroska', 'avc1', 'opus'],
  ['video/mp4', 'avc1.640028', 'mp4a.40.2'], ['video/mp4', 'avc1.640028', 'opus'], ['video/mp4', 'vp9', 'opus'],
  ['video/webm', 'av01', 'opus'], ['video/mp4', 'av01', 'opus'], ['video/mp4', 'hvc1', 'mp4a.40.2'],
];

/** Like the recorder, prefers MP4 on WebKit, which plays WebM badly. */
export async function supportedFormats({ audio = false, width = 1280, height = 720, fps = 30, videoBitsPerSecond = 2_500_000 } = {}) {
  if (typeof document === 'undefined' || !globalThis.MediaRecorder) {
    throw new CompositionError('unsupported', 'This browser cannot record: MediaRecorder is missing. Use a current Chrome, Edge, Firefox or Safari.');
  }
  const formats = CANDIDATES.map(([type, video, sound]) => ({
    mimeType: `${type};codecs=${audio ? `${video},${sound}` : video}`, container: CONTAINERS[type], videoCodec: video,
    audioCodec: audio ? sound : undefined,
  })).filter((it) => MediaRecorder.isTypeSupported(it.mimeType));
  if (navigator.vendor.startsWith('Apple')) formats.sort((a, b) => (b.container === 'mp4') - (a.container === 'mp4'));
  return Promise.all(formats.map(async (format) => {
    const contentType = `${format.mimeType.split(';')[0]};codecs=${format.videoCodec}`;
    const video = { contentType, width, height, framerate: fps, bitrate: videoBitsPerSecond };
    // Browsers that do not know an answer reject.
    const { smooth, powerEfficient } = await (navigator.mediaCapabilities?.encodingInfo?.({ type: 'record', video }).catch(() => ({})) ?? {});
    return { ...format, smooth, powerEfficient };
  }));
}

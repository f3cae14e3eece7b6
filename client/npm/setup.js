// Prepares what the recorder does not do itself: the choice of a format, and sources that are composed. Imported when an
// option needs it. Its errors become instances of `RecorderError` outside, so that it shares no code with the recorder.

import { CompositionError, compose } from '../src/browser/composition/compositor.js';

export { supportedFormats } from './formats.js';

/** States after which nothing is captured. After a start that failed the recorder is idle. */
const OVER = new Set(['idle', 'uploading', 'done', 'failed', 'aborted']);
const COMPOSED = ['width', 'height', 'fps', 'contentHint', 'masks', 'cropTo', 'restrictTo', 'camera'];
const CORNERS = ['top-left', 'top-right', 'bottom-left', 'bottom-right'];

/**
 * Opens the source of `options`, and chooses the format. Returns the options that replace those given, and the
 * composition, if there is one.
 */
export async function setUp(options, recorder) {
  check(options);
  const { source, microphone } = options;
  const mimeType = chooseType(options.mimeType);
  const changes = { mimeType };
  // Chromium writes the size of H.264 and H.265 only at the start of a file. A camera keeps its size.
  const keepsSize = source !== 'camera' && /\b(avc1|h264|hvc1|hev1)\b/i.test(mimeType);
  if (!keepsSize && !COMPOSED.some((name) => options[name] ?? false) && !isObject(microphone)) return { changes };
  const warn = (code, message) => recorder.dispatchEvent(new CustomEvent('warning', { detail: { code, message } }));
  const composition = await compose({ ...options, keepsSize }, warn);
  const close = () => composition.close();
  recorder.on('statechange', (state) => OVER.has(state) && close());
  // Timers of hidden pages are late; the recorder's are not.
  recorder.on('progress', () => composition.tick());
  if (recorder.state !== 'loading') {
    close();
    throw new CompositionError('aborted', 'The recording was discarded.');
  }
  Object.assign(changes, { source: composition.stream, microphone: false, audio: false });
  return {
    changes,
    composition: {
      endReason: composition.endReason,
      switchDevices: (devices) => composition.switchDevices(checkDevices(devices)),
    },
  };
}

function chooseType(given) {
  const types = [given ?? []].flat();
  if (types.length === 0) return undefined;
  const found = types.find((it) => globalThis.MediaRecorder?.isTypeSupported(it));
  if (found) return found;
  throw new CompositionError('unsupported', `This browser cannot record ${types.join(' or ')}. Choose one of supportedFormats().`);
}

const isObject = (value) => typeof value === 'object' && value !== null;

function demand(isRight, message) {
  if (!isRight) throw new TypeError(message);
}

/** Throws a `TypeError` that names the first wrong option. */
function check({ source, mimeType, masks, cropTo, restrictTo, ...devices }) {
  demand([mimeType ?? []].flat().every((it) => typeof it === 'string'), 'mimeType must be a MIME type or a list of them');
  demand(!cropTo || !restrictTo, 'only one of cropTo and restrictTo can be given');
  demand((!cropTo && !restrictTo) || source === 'screen', "cropTo and restrictTo need the source 'screen'");
  const isMask = (it) => typeof it === 'string'
    || (isObject(it) && [it.x, it.y, it.width, it.height].every(Number.isFinite) && it.width > 0 && it.height > 0);
  demand((masks ?? []).every(isMask), 'masks must be selectors, and rectangles with x, y, width and height');
  checkDevices(devices);
}

function checkDevices(devices) {
  for (const name of ['microphone', 'camera']) {
    const { deviceId = '', corner = CORNERS[0], size = 1, shape = 'circle' } = devices?.[name] ?? {};
    demand(typeof deviceId === 'string', `${name}.deviceId must be a string`);
    demand(CORNERS.includes(corner), `${name}.corner must be one of ${CORNERS.join(', ')}`);
    demand(size > 0 && size <= 1, `${name}.size must be greater than 0 and at most 1`);
    demand(shape === 'circle' || shape === 'rectangle', `${name}.shape must be circle or rectangle`);
  }
  return devices ?? {};
}

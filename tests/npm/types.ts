// Never run: the test is whether it compiles. A line below `@ts-expect-error` must be wrong.

import { Recorder, RecorderError, autoRecord, load, supportedFormats, uploadFile, whenPresent } from 'sortie-recorder';
import type {
  ProblemDetails, Recorder as Face, RecorderDone, RecorderErrorCode, RecorderOptions, RecorderState, RecorderWarning, StopReason,
} from 'sortie-recorder';
import { injectFaults } from 'sortie-recorder/faults';
import 'sortie-recorder/element';

const canvas = await whenPresent('canvas');
const options: RecorderOptions = { server: '', source: canvas, getToken: async () => 'token' };
const recorder: Face = new Recorder(options);
const off: () => void = recorder.on('progress', ({ recordedMs, waiting }) => {
  const ms: number = recordedMs;
  if (waiting?.reason === 'retry') console.log(ms, waiting.inMs.toFixed());
});
off();
recorder.on('stopped', (reason: StopReason) => reason);
recorder.addEventListener('statechange', ({ detail }) => detail satisfies RecorderState);
recorder.addEventListener('error', ({ detail }) => detail.code === 'permission_denied', { once: true });
await load({ wasm: new URL('https://cdn.example.com/core_bg.wasm') });
await load({ baseUrl: '/programs/' });
new Recorder({ server: '', source: async () => canvas });
// @ts-expect-error a function that returns no source
new Recorder({ server: '', source: () => 'window' });
await recorder.start({ signal: AbortSignal.timeout(1_000) });
const { recordingId, sizeBytes } = await recorder.stop({ sessionEnded: true });
console.log(recordingId satisfies string | undefined, sizeBytes.toFixed());
try {
  await recorder.abort();
} catch (error) {
  if (error instanceof RecorderError) console.log(error.code satisfies string, error.message);
}

for (const recording of await Recorder.recover({ server: '' })) {
  if (recording.onServer === 'resumable') await recording.upload({ onProgress: ({ safeBytes }) => safeBytes.toFixed() });
  const file: Blob = await recording.download();
  await uploadFile(file, { endpoint: 'https://files.example.com/', signal: AbortSignal.timeout(1_000) });
  await recording.discard();
}

await autoRecord({
  server: '', session: 's', source: ({ signal }) => whenPresent('canvas', { signal }), onRecorder: (it) => it.state,
});
new Recorder({ server: '', source: canvas, externalId: 'lesson 7', metadata: { course: 'biology', tags: ['a'] } });
// @ts-expect-error only with server
new Recorder({ endpoint: '/files/', source: canvas, externalId: 'lesson 7' });
// @ts-expect-error no object
new Recorder({ server: '', source: canvas, metadata: 'biology' });
autoRecord({ server: '', session: 's', source: canvas, externalId: 'lesson 7', metadata: {} });
// @ts-expect-error it needs a session
autoRecord({ server: '', source: 'screen' });

const listener = ({ message }: RecorderWarning) => console.warn(message);
recorder.on('warning', listener);
recorder.off('warning', listener);
const done: RecorderDone = await recorder.once('done', { signal: AbortSignal.timeout(1_000) });
const remove: () => void = recorder.once('done', ({ recordedMs }) => recordedMs.toFixed());
remove();
const state: 'recording' | 'paused' = await recorder.waitForState(['recording', 'paused'], { signal: AbortSignal.timeout(1_000) });
console.log(done, state);
// @ts-expect-error an unknown state
await recorder.waitForState('running');

const error = new RecorderError('unreachable', 'The server cannot be reached.', { cause: new Error('refused'), retryable: true });
const problem: ProblemDetails | undefined = error.problem;
console.log(problem?.request_id, error.status?.toFixed(), error.retryAfter?.toFixed(), error.retryable satisfies boolean);
const advice: Partial<Record<RecorderErrorCode, string>> = { quota_exceeded: 'Delete recordings.' };
console.log(advice[error.code]);
// @ts-expect-error an unknown code
new RecorderError('refused', 'It was refused.');

// @ts-expect-error server and endpoint exclude each other
new Recorder({ server: '', endpoint: 'https://files.example.com/', source: canvas });
// @ts-expect-error neither server nor endpoint
new Recorder({ source: canvas });
// @ts-expect-error another tus server has no sessions
new Recorder({ endpoint: 'https://files.example.com/', session: 's', source: canvas });
// @ts-expect-error the same for files
uploadFile(new Blob(), { endpoint: 'https://files.example.com/', session: 's' });
// @ts-expect-error the same for recoverable recordings
Recorder.recover({ server: '', endpoint: 'https://files.example.com/' });
new Recorder({ endpoint: 'https://files.example.com/', server: undefined, source: canvas, fps: undefined });

const [format] = await supportedFormats({ audio: true, fps: 30 });
new Recorder({ server: '', source: 'screen', mimeType: [format!.mimeType, 'video/webm'], width: 1280, height: 720, contentHint: 'text' });
new Recorder({ server: '', source: 'screen', masks: [{ x: 0, y: 0, width: 1, height: 1 }], cropTo: '#region' });
new Recorder({ server: '', source: canvas, masks: ['.private'], camera: { corner: 'top-left', deviceId: 'd' }, microphone: { deviceId: 'd' } });
new Recorder({ server: '', source: () => 'screen', restrictTo: canvas });
new Recorder({ server: '', source: 'camera', masks: [{ x: 0, y: 0, width: 1, height: 1 }] });
// @ts-expect-error cropTo and restrictTo exclude each other
new Recorder({ server: '', source: 'screen', cropTo: '#a', restrictTo: '#b' });
// @ts-expect-error only the page's tab has regions
new Recorder({ server: '', source: canvas, cropTo: '#a' });
// @ts-expect-error a camera shows no elements
new Recorder({ server: '', source: 'camera', masks: ['.private'] });
// @ts-expect-error the same for a stream
new Recorder({ server: '', source: new MediaStream(), masks: ['.private'] });
// @ts-expect-error an unknown corner
new Recorder({ server: '', source: canvas, camera: { corner: 'middle' } });
await recorder.switchDevices({ microphone: { deviceId: 'd' }, camera: false });

const faults = injectFaults({ drop: 0.5 }, { matches: ({ url }) => url.includes('/api/') });
faults.set({ storage: 'full' });

const element = document.createElement('sortie-recorder');
element.options = { getToken: () => 'token', source: new MediaStream() };
element.addEventListener('done', ({ detail }) => detail.uploadUrl.length);

// @ts-expect-error an unknown source
options.source = 'window';
// @ts-expect-error an unknown event
recorder.on('aborted', () => {});
// @ts-expect-error read-only
recorder.state = 'done';

// Never run: the test is whether it compiles. A line below `@ts-expect-error` must be wrong.

import { RecoverableRecording, Recorder, RecorderError, autoRecord, load, uploadFile, whenPresent } from 'sortie-recorder';
import type { Recorder as Face, RecorderOptions, RecorderState, StopReason } from 'sortie-recorder';
import { useRecorder } from 'sortie-recorder/react';
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
// @ts-expect-error the constructor is private
new RecoverableRecording();

await autoRecord({
  server: '', session: 's', source: ({ signal }) => whenPresent('canvas', { signal }), onRecorder: (it) => it.state,
});
// @ts-expect-error it needs a session
autoRecord({ server: '', source: 'screen' });

export function Component() {
  const { state, progress, error, start, stop } = useRecorder(options);
  return { state, recorded: progress?.recordedMs.toFixed(), code: error?.name, start, stop };
}

const faults = injectFaults({ drop: 0.5 }, { matches: ({ url }) => url.includes('/api/') });
faults.set({ storage: 'full' });

const element = document.createElement('sortie-recorder');
element.options = { getToken: () => 'token', source: new MediaStream() };
element.addEventListener('done', ({ detail }) => detail.uploadUrl.length);

// @ts-expect-error an unknown source
options.source = 'window';
// @ts-expect-error an unknown event
recorder.on('finished', () => {});
// @ts-expect-error read-only
recorder.state = 'done';

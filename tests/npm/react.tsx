// Never run: the test is whether it compiles. A line below `@ts-expect-error` must be wrong.

import { useRecorder } from 'sortie-recorder/react';

export function Component() {
  const { state, progress, error, start, stop, pause } = useRecorder({ server: '', source: 'screen' });
  const begin = async () => {
    const records: boolean = await start({ signal: AbortSignal.timeout(1_000) });
    const done = await stop();
    return records && done?.recordingId;
  };
  return (
    <p title={error?.message}>
      <button onClick={state === 'recording' ? stop : start} onDoubleClick={begin}>{progress?.recordedMs}</button>
      <button onClick={pause}>Pause</button>
      <sortie-recorder server="" source="screen" microphone text-start="Record" className="recorder" />
      {/* @ts-expect-error no such attribute */}
      <sortie-recorder serve="" />
    </p>
  );
}

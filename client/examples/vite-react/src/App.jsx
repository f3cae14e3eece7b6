import { useEffect, useState } from 'react';
import { useRecorder } from 'sortie-recorder/react';

export function App() {
  const [server, setServer] = useState('http://127.0.0.1:8080');
  const [token, setToken] = useState('');
  const [canvas, setCanvas] = useState(null);
  const { state, progress, done, error, start, stop } = useRecorder({ server, getToken: () => token, source: canvas });
  useDrawing(canvas);

  const recording = state === 'recording';
  return (
    <main style={{ maxWidth: '40rem', margin: '2rem auto', fontFamily: 'system-ui' }}>
      <h1>Record a canvas, with React</h1>
      <p><label>Server <input value={server} onChange={(event) => setServer(event.target.value)} /></label></p>
      <p><label>Token <input type="password" autoComplete="off" value={token} onChange={(event) => setToken(event.target.value)} /></label></p>
      <canvas ref={setCanvas} width="640" height="480" style={{ width: '100%' }} />
      <button onClick={recording ? stop : start}>{recording ? 'Stop' : 'Record'}</button>
      {' '}
      <output>
        {error ? error.message
          : done ? `Saved ${(done.recordedMs / 1000).toFixed(1)} s as ${done.recordingId}`
            : progress && `${(progress.recordedMs / 1000).toFixed(1)} s`}
      </output>
    </main>
  );
}

/** Draws a picture to record. */
function useDrawing(canvas) {
  useEffect(() => {
    const context = canvas?.getContext('2d', { alpha: false });
    if (!context) return undefined;
    let frame;
    const draw = (now) => {
      context.fillStyle = `hsl(${now / 20} 60% 45%)`;
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.fillStyle = 'white';
      context.font = '64px sans-serif';
      context.fillText(`${(now / 1000).toFixed(2)} s`, 200 + 100 * Math.sin(now / 500), 260);
      frame = requestAnimationFrame(draw);
    };
    frame = requestAnimationFrame(draw);
    return () => cancelAnimationFrame(frame);
  }, [canvas]);
}

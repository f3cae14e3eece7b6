// No build step: the browser loads the package as it is.
import { Recorder } from './node_modules/sortie-recorder/index.js';

const { elements } = document.querySelector('form');
const canvas = document.querySelector('canvas');
const button = document.querySelector('button');
const output = document.querySelector('output');
let recorder;

button.onclick = async () => {
  try {
    if (recorder) {
      const { recordingId, recordedMs } = await recorder.stop();
      output.textContent = `Saved ${(recordedMs / 1000).toFixed(1)} s as ${recordingId}`;
      recorder = undefined;
      button.textContent = 'Record';
    } else {
      recorder = new Recorder({ server: elements.server.value, getToken: () => elements.token.value, source: canvas });
      recorder.on('progress', ({ recordedMs, safeMs }) => {
        output.textContent = `${(recordedMs / 1000).toFixed(1)} s, of which ${(safeMs / 1000).toFixed(1)} s are safe`;
      });
      await recorder.start();
      button.textContent = 'Stop';
    }
  } catch (error) {
    recorder = undefined;
    output.textContent = error.message;
  }
};

// Draws a picture to record. Without an alpha channel the file is smaller.
const context = canvas.getContext('2d', { alpha: false });
function draw(now) {
  context.fillStyle = `hsl(${now / 20} 60% 45%)`;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = 'white';
  context.font = '64px sans-serif';
  context.fillText(`${(now / 1000).toFixed(2)} s`, 40 + 100 * Math.sin(now / 500) + 100, 260);
  requestAnimationFrame(draw);
}
requestAnimationFrame(draw);

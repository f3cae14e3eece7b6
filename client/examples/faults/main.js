// Injects faults into a recording and shows which part of it is safe.
import { injectFaults } from './node_modules/sortie-recorder/faults.js';
import { Recorder } from './node_modules/sortie-recorder/index.js';

const $ = (selector) => document.querySelector(selector);
const { elements } = $('form');
const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

const faults = injectFaults();
$('fieldset').onchange = () => {
  const share = (selector, amount) => ($(selector).checked ? amount : 0);
  faults.set({
    drop: share('#offline', 1),
    lose: share('#lost', 0.5),
    fail: share('#broken', 1),
    delay: share('#slow', 2_000),
    storage: $('#full').checked ? 'full' : 'ok',
  });
};

let recorder;
$('#record').onclick = async () => {
  const button = $('#record');
  try {
    if (recorder) {
      const { recordingId, recordedMs } = await recorder.stop();
      $('output').textContent = `Saved ${seconds(recordedMs)} as ${recordingId}`;
      recorder = undefined;
      button.textContent = 'Record';
    } else {
      recorder = new Recorder({ server: elements.server.value, getToken: () => elements.token.value, source: $('canvas') });
      recorder.on('progress', ({ recordedMs, safeMs, spool, waiting }) => {
        $('#recorded').textContent = seconds(recordedMs);
        $('#safe').textContent = seconds(safeMs);
        $('#spool').textContent = spool;
        $('#waiting').textContent = waiting?.reason ?? '';
      });
      recorder.on('warning', ({ message }) => {
        $('#warnings').append(Object.assign(document.createElement('li'), { textContent: message }));
      });
      await recorder.start();
      button.textContent = 'Stop';
    }
  } catch (error) {
    recorder = undefined;
    $('output').textContent = error.message;
  }
};

const context = $('canvas').getContext('2d', { alpha: false });
function draw(now) {
  context.fillStyle = `hsl(${now / 20} 60% 45%)`;
  context.fillRect(0, 0, 640, 480);
  requestAnimationFrame(draw);
}
requestAnimationFrame(draw);

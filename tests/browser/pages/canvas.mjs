// Page of an app developer: a canvas, recorded with the JavaScript API.

import init, { Recorder } from './client/core.js';
import { startClock } from './clock-picture.mjs';

const canvas = document.getElementById('canvas');
const pictureMs = startClock(canvas);
await init({ module_or_path: new URL('./client/core_bg.wasm', import.meta.url) });

// Time of the actual start: a busy page receives the event much later.
let begun;
const { start } = MediaRecorder.prototype;
MediaRecorder.prototype.start = function (...options) {
  begun = pictureMs();
  return start.apply(this, options);
};

let recorder;
const events = [];

window.e2e = {
  /** Starts recording; returns the recording ID and the clock time of the first frame. */
  async start({ token, session }) {
    recorder = new Recorder({
      server: '',
      session,
      source: canvas,
      getToken: async () => token,
    });
    for (const name of ['statechange', 'progress', 'warning', 'error', 'stopped', 'done']) {
      recorder.on(name, (detail) => events.push({ name, detail, at: performance.now() }));
    }
    await recorder.start();
    return { id: recorder.recordingId, mimeType: recorder.mimeType, pictureMs: begun };
  },
  async pause() {
    await recorder.pause();
    return pictureMs();
  },
  async resume() {
    await recorder.resume();
    return pictureMs();
  },
  /** Stops; resolves when the server has everything. */
  async stop() {
    const at = pictureMs();
    const { recordedMs } = await recorder.stop();
    return { pictureMs: at, tookMs: pictureMs() - at, state: recorder.state, recordedMs };
  },
  /** Time of the current picture, and time since 1970, both in milliseconds. */
  clock: () => ({ pictureMs: pictureMs(), nowMs: performance.timeOrigin + performance.now() }),
  events: () => events,
  state: () => recorder.state,
};

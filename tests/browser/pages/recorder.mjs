// Page of an app developer that exposes the recorder's events, and recoverable recordings.

import init, { Recorder } from './client/core.js';
import initLater, { recover, uploadFile } from './client/later.js';
import initPlayable, { playable } from './client/playable.js';
import { injectFaults } from './npm/faults.js';
import { startClock } from './clock-picture.mjs';

const canvas = document.getElementById('canvas');
const program = (name) => ({ module_or_path: new URL(`./client/${name}_bg.wasm`, import.meta.url) });
const [{ memory }] = await Promise.all([init(program('core')), initLater(program('later')), initPlayable(program('playable'))]);

let recorder;
let saved;
let faults;
let pictureMs = () => 0;
const found = [];
const events = [];
const tokens = [];
const token = () => (tokens.length > 1 ? tokens.shift() : tokens[0]);
const server = { server: '', getToken: async () => token() };
const plain = ({ id, recordingId, mimeType, recordedMs, sizeBytes, keptBytes, onServer }) =>
  ({ id, recordingId, mimeType, recordedMs, sizeBytes, keptBytes, onServer });

window.e2e = {
  /** Hands out these tokens in order, the last one repeatedly. */
  use(...all) {
    tokens.splice(0, tokens.length, ...all);
  },
  /** Records the canvas: with a clock, or with `idle` a static picture. */
  async start({ session, idle = false, ...options }) {
    if (idle) canvas.getContext('2d', { alpha: false }).fillRect(0, 0, 640, 480);
    else pictureMs = startClock(canvas);
    recorder = new Recorder({ ...server, session, source: canvas, ...options });
    for (const name of ['statechange', 'warning', 'error', 'stopped', 'done']) {
      recorder.on(name, (detail) => events.push({ name, detail }));
    }
    await recorder.start();
    return { id: recorder.recordingId, pictureMs: pictureMs() };
  },
  /** Error of a start with these options. */
  refusal(options) {
    return this.start(options).then(
      () => ({ message: 'it records' }),
      ({ name, code, message }) => ({ name, code, message }),
    );
  },
  async stop() {
    const at = pictureMs();
    const done = await recorder.stop();
    return { ...done, pictureMs: at };
  },
  /** Injects faults from now on, with a deterministic sequence. */
  inject(what) {
    let state = 1;
    const random = () => {
      state = (state * 48_271) % 2_147_483_647;
      return state / 2_147_483_647;
    };
    faults ??= injectFaults({}, { random });
    faults.set(what);
    return { ...faults.counts };
  },
  progress: () => ({ ...recorder.progress, state: recorder.state, pictureMs: pictureMs() }),
  /** Codes of all warnings, without duplicates. */
  warnings: () => [...new Set(events.filter((it) => it.name === 'warning').map((it) => it.detail.code))],
  /** Details of all events of a type. */
  events: (name) =>
    events.filter((it) => it.name === name).map(({ detail }) => {
      if (!(detail instanceof Error)) return detail;
      const { code, message } = detail;
      return { name: detail.name, code, message };
    }),
  /** Size of the WebAssembly memory in bytes. */
  memory: () => memory.buffer.byteLength,
  async recover(target = server) {
    const more = await recover(target);
    found.push(...more);
    return more.map(plain);
  },
  upload: (i) => found[i].upload(),
  /** Bytes of a recoverable recording as a file. */
  async save(i) {
    saved = await playable(await found[i].parts());
    return { type: saved.type, bytes: [...new Uint8Array(await saved.arrayBuffer())] };
  },
  /** Shows the file in a `<video>`. */
  show() {
    const video = document.createElement('video');
    video.src = URL.createObjectURL(saved);
    document.body.append(video);
  },
  discard: (i) => found[i].discard(),
  async uploadSample(bytes, target = server) {
    const file = new File([new Uint8Array(bytes)], 'sample.webm', { type: 'video/webm' });
    const seen = [];
    const done = await uploadFile(file, { ...target, onProgress: (it) => seen.push(it.safeBytes) });
    return { ...done, seen };
  },
};

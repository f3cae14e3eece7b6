// An app developer's page that tells everything its recorder says, and what an earlier one has left behind.

import init, { Recorder, uploadFile } from './client/sortie_client.js';
import initPlayable, { playable } from './client/sortie_playable.js';
import { injectFaults } from './npm/faults.js';
import { startClock } from './clock-picture.mjs';

const canvas = document.getElementById('canvas');
const [{ memory }] = await Promise.all([init(), initPlayable()]);

let recorder;
let saved;
let faults;
let pictureMs = () => 0;
const found = [];
const events = [];
const tokens = [];
const token = () => (tokens.length > 1 ? tokens.shift() : tokens[0]);
const server = { server: '', getToken: async () => token() };
const plain = ({ id, recordingId, mimeType, recorded, sizeBytes, keptBytes, onServer }) =>
  ({ id, recordingId, mimeType, recorded, sizeBytes, keptBytes, onServer });

window.e2e = {
  /** These tokens are given out one after the other, the last one for good. */
  use(...all) {
    tokens.splice(0, tokens.length, ...all);
  },
  /** Records the canvas: with a clock, or `idle` with one picture that never changes. */
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
  /** What it says when it is asked to record like this and cannot. */
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
  /** What goes wrong from now on; always the same for the same numbers. */
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
  /** The codes of all warnings, each once. */
  warnings: () => [...new Set(events.filter((it) => it.name === 'warning').map((it) => it.detail.code))],
  /** What came with every event of that name. */
  events: (name) =>
    events.filter((it) => it.name === name).map(({ detail }) => {
      if (!(detail instanceof Error)) return detail;
      const { code, message } = detail;
      return { name: detail.name, code, message };
    }),
  /** Bytes of WebAssembly's memory. */
  memory: () => memory.buffer.byteLength,
  async recover(target = server) {
    const more = await Recorder.recover(target);
    found.push(...more);
    return more.map(plain);
  },
  upload: (i) => found[i].upload(),
  /** The bytes of a file made here. */
  async save(i) {
    saved = await playable(await found[i].parts());
    return { type: saved.type, bytes: [...new Uint8Array(await saved.arrayBuffer())] };
  },
  /** Puts that file into a `<video>`. */
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

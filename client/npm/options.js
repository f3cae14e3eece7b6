// Checks options before anything is loaded, so that a mistake is reported where it is made.

import { RecorderError } from './loading.js';

const text = [(it) => typeof it === 'string', 'a string'];
const flag = [(it) => typeof it === 'boolean', 'true or false'];
const positive = [(it) => typeof it === 'number' && it > 0, 'a positive number'];
const call = [(it) => typeof it === 'function', 'a function'];

const element = [(it) => typeof it === 'string' || typeof it === 'object', 'an element or a selector'];
const record = [(it) => typeof it === 'object' && !Array.isArray(it), 'an object'];
const device = [(it) => typeof it === 'boolean' || typeof it === 'object', 'true, false or an object'];

/** Options that `setup.js` carries out. */
const SETUP = {
  mimeType: [(it) => typeof it === 'string' || Array.isArray(it), 'a MIME type or a list of them'],
  width: positive, height: positive, contentHint: text, masks: [Array.isArray, 'a list'], cropTo: element, restrictTo: element,
  camera: device,
};

/** Options of recorders, `recover()`, uploads and `autoRecord()`. One name means the same everywhere. */
const KINDS = {
  ...SETUP,
  server: text, session: text, endpoint: text, getToken: call,
  durable: flag, workerUrl: text, owner: text,
  source: [isSource, "an HTMLCanvasElement, a MediaStream, 'screen', 'camera', or a function that returns one of them"],
  microphone: device, audio: flag, preferCurrentTab: flag, fps: positive, timeslice: positive,
  videoBitsPerSecond: positive, audioBitsPerSecond: positive, keyFrameInterval: positive,
  maxDuration: positive, maxSize: positive, filename: text, keepAwake: flag, pictures: flag, externalId: text, metadata: record,
  signal: [(it) => it instanceof AbortSignal, 'an AbortSignal'], onProgress: call, onRecorder: call, onError: call,
};

/** Throws a `TypeError` that names the first wrong option; warns once of each unknown name. */
export function check(options, { needsSource = false } = {}) {
  if (typeof options !== 'object' || options === null) throw new TypeError('options must be an object');
  const known = Object.keys(KINDS);
  const unknown = Object.keys(options).filter((name) => !known.includes(name));
  if (unknown.length > 0) import('./unknown-options.js').then(({ warn }) => warn(unknown, known)).catch(() => {});
  for (const [name, [isRight, expected]] of Object.entries(KINDS)) {
    const value = options[name];
    if (value !== undefined && value !== null && !isRight(value)) throw new TypeError(`${name} must be ${expected}`);
  }
  if ((options.server ?? null) === null === ((options.endpoint ?? null) === null)) {
    throw new TypeError('exactly one of server and endpoint must be given');
  }
  const ofOurServer = ['session', 'externalId', 'metadata'].find((name) => (options[name] ?? null) !== null);
  if (ofOurServer && (options.server ?? null) === null) throw new TypeError(`${ofOurServer} needs server: other tus servers do not have it`);
  if (needsSource && (options.source ?? null) === null) throw new TypeError(`source must be ${KINDS.source[1]}`);
}

/** Whether `setup.js` is needed. `source` is known when recording starts. */
export const needsSetup = (options, source) =>
  typeof (options.microphone ?? 0) === 'object' || (options.fps && typeof source === 'string')
  || Object.keys(SETUP).some((name) => options[name] ?? false);

function isSource(value) {
  if (typeof value === 'string') return value === 'screen' || value === 'camera';
  // A server has no such classes, and does not record.
  const isA = (name) => globalThis[name] === undefined || value instanceof globalThis[name];
  return typeof value === 'function' || (typeof value === 'object' && (isA('HTMLCanvasElement') || isA('MediaStream')));
}

export const wrongState = (state) => new RecorderError('wrong_state', `The recorder is ${state} and cannot do this now.`);

export const aborted = (message) => new RecorderError('aborted', message);

// One recorder, and a watch that makes one whenever it is wanted. Every decision is taken in WebAssembly; what is here
// makes it look as JavaScript expects.

import { inCore, load, typed } from './loading.js';
import { recover } from './leftover.js';

const EVENTS = ['statechange', 'progress', 'warning', 'stopped', 'done', 'error'];
const NOTHING_YET = Object.freeze({
  recorded: 0, safeUntil: 0, sizeBytes: 0, safeBytes: 0, pendingBytes: 0, bitrate: 0, spool: 'memory', waiting: null,
});

export class Recorder extends EventTarget {
  #options;
  /** The core's recorder, which knows everything; nothing before the core is there. */
  #inner;

  constructor(options) {
    super();
    this.#options = options;
    // A click should find it loaded; whether that failed, the first call says.
    if (typeof document !== 'undefined') load().catch(() => {});
  }

  static recover(options) { return recover(options); }

  #call(method, ...values) {
    return inCore(({ Recorder: Core }) => {
      if (!this.#inner) {
        this.#inner = new Core(this.#options);
        for (const name of EVENTS) {
          this.#inner.on(name, (detail) => this.dispatchEvent(new CustomEvent(name, { detail: typed(detail) })));
        }
      }
      return this.#inner[method](...values);
    });
  }

  start(options) { return this.#call('start', options); }
  pause() { return this.#call('pause'); }
  resume() { return this.#call('resume'); }
  stop({ sessionEnded = false } = {}) { return this.#call('stop', sessionEnded); }
  abort() { return this.#call('abort'); }

  on(name, listener) {
    const heard = (event) => listener(event.detail);
    this.addEventListener(name, heard);
    return () => this.removeEventListener(name, heard);
  }

  get state() { return this.#inner?.state ?? 'idle'; }
  get progress() { return this.#inner?.progress ?? NOTHING_YET; }
  get mimeType() { return this.#inner?.mimeType; }
  get recordingId() { return this.#inner?.recordingId; }
  get stream() { return this.#inner?.stream; }
  get hasUnsent() { return this.#inner?.hasUnsent ?? false; }
  get unsent() { return this.#inner?.unsent; }
}

export async function autoRecord({ source, onRecorder, onError = reportError, signal, ...options }) {
  signal?.throwIfAborted();
  const over = new AbortController();
  let recorder;
  /** Resolves when the server holds what that recorder has recorded, or never will. */
  let finished;
  let busy = false;

  const record = async () => {
    // Turned off and on again while it is being recorded.
    if (busy) return;
    busy = true;
    try {
      const found = typeof source === 'function' ? await source({ signal: over.signal }) : source;
      over.signal.throwIfAborted();
      recorder = new Recorder({ ...options, source: found });
      const stopped = new Promise((resolve) => {
        recorder.on('statechange', (state) => STOPPED.has(state) && resolve());
      });
      finished = new Promise((resolve) => {
        recorder.on('done', resolve);
        recorder.on('error', resolve);
      });
      onRecorder?.(recorder);
      await recorder.start();
      await stopped;
    } catch (error) {
      if (!over.signal.aborted) onError(error);
    } finally {
      busy = false;
    }
  };

  await inCore(async ({ SessionWatcher }) => {
    let watcher;
    try {
      await new Promise((resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
        watcher = new SessionWatcher(options, (order) => (order === 'start' ? record() : resolve()));
      });
    } finally {
      watcher?.free();
      over.abort();
    }
    if (!recorder) return;
    // It may still be asking for permission.
    if (recorder.state === 'idle') return recorder.abort();
    // What goes wrong now is an event of the recorder.
    if (!STOPPED.has(recorder.state)) recorder.stop({ sessionEnded: true }).catch(() => {});
    await finished;
  });
}

/** States of a recorder that does not record any more. */
const STOPPED = new Set(['stopping', 'uploading', 'done', 'failed']);

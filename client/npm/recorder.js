// Recorder as an EventTarget, and automatic recording of a session. WebAssembly takes the decisions.

import { hashOf, subjectOf, userOf } from './account.js';
import { recover } from './recoverable-recording.js';
import { RecorderError, inCore, inLater, load, typed } from './loading.js';
import { check, wrongState } from './options.js';

/** `aborted` settles `finished`; the page receives no such event. */
const EVENTS = ['statechange', 'progress', 'warning', 'stopped', 'done', 'error', 'aborted'];
const NOTHING_YET = Object.freeze({
  recorded: 0, safeUntil: 0, sizeBytes: 0, safeBytes: 0, pendingBytes: 0, bitrate: 0, spool: 'memory', waiting: null,
});

export class Recorder extends EventTarget {
  #options;
  /** Recorder of the WebAssembly module, once it is loaded. */
  #inner;
  #settle;
  #finished;
  /** Source; a function in the options is called for it by `start`. */
  #source;
  #asking = false;
  /** Owner of the copy on this device, once it is known. */
  #owner;
  #token;

  constructor(options) {
    super();
    check(options, { needsSource: true });
    this.#finished = new Promise((resolve, reject) => { this.#settle = { resolve, reject }; });
    // Events report the same to a page that does not read it.
    this.#finished.catch(() => {});
    this.#options = { ...options };
    this.#owner = options.owner || undefined;
    if (typeof options.source !== 'function') this.#source = options.source;
    // A click should find it loaded. The first call reports a failure.
    if (typeof document !== 'undefined') load().catch(() => {});
  }

  static recover(options) { return recover(options); }

  #call(method, ...values) {
    return inCore(({ Recorder: Core }) => {
      // Only `start` calls a source function, and only `abort` ends a recorder without a source.
      if (!this.#inner && this.#source === undefined && method !== 'abort') throw wrongState('idle');
      this.#inner ??= this.#make(Core);
      return this.#inner[method](...values);
    });
  }

  async #startWith(values) {
    if (this.#source === undefined && !this.#inner) {
      if (this.#asking) throw wrongState('starting');
      this.#asking = true;
      try {
        // Awaited only if needed: a screen can only be requested while a click is being handled.
        const source = this.#options.source();
        this.#source = typeof source?.then === 'function' ? await source : source;
        check({ ...this.#options, source: this.#source }, { needsSource: true });
        if (typeof this.#source === 'function') throw new TypeError('source must not return another function');
      } catch (error) {
        // The next start calls it again.
        this.#source = undefined;
        throw error;
      } finally {
        this.#asking = false;
      }
    }
    await this.#call('start', ...values);
    this.#askOwner();
  }

  /** Asks the server for the owner, for tokens that name none and for cookies. */
  #askOwner() {
    const { server, durable } = this.#options;
    if (this.#owner !== undefined || typeof server !== 'string' || durable === false) return;
    // Without an answer the copy has no owner, and the server decides who may recover it.
    userOf(server, this.#token).then((owner) => this.#own(owner)).catch(() => {});
  }

  #own(owner) {
    if (owner === undefined || this.#owner !== undefined) return;
    this.#owner = owner;
    this.#inner?.setOwner(owner);
  }

  /** Returns a token of the page. The first one names the owner of the recording. */
  async #getToken() {
    const { getToken, server } = this.#options;
    const token = await getToken();
    if (typeof token === 'string' && token !== '') {
      this.#token = token;
      this.#own(subjectOf(token) ?? (typeof server === 'string' ? undefined : await hashOf(token)));
    }
    return token;
  }

  #make(Core) {
    const { getToken } = this.#options;
    const made = new Core({
      ...this.#options,
      // `abort` may come before the source is known.
      source: this.#source ?? 'screen',
      owner: this.#owner,
      getToken: getToken && (() => this.#getToken()),
    });
    for (const name of EVENTS) {
      made.on(name, (detail) => {
        this.#receive(name, typed(detail));
      });
    }
    return made;
  }

  #receive(name, detail) {
    if (name === 'aborted') return this.#settle.resolve(null);
    if (name === 'done') this.#settle.resolve(detail);
    if (name === 'error') this.#settle.reject(detail);
    this.dispatchEvent(new CustomEvent(name, { detail }));
    if (name === 'warning' && detail.code === 'continued') enableParts();
  }

  start(options) { return this.#startWith([options]); }
  pause() { return this.#call('pause'); }
  resume() { return this.#call('resume'); }
  stop({ sessionEnded = false } = {}) {
    // Before the source function has returned, stopping cancels the start.
    if (this.#asking) this.abort().catch(() => {});
    const stopped = this.#call('stop', sessionEnded);
    // A page that is closed does not wait for it. `finished` and the events report the same.
    stopped.catch(() => {});
    return stopped;
  }
  abort() { return this.#call('abort'); }

  on(name, listener) {
    const heard = (event) => listener(event.detail);
    this.addEventListener(name, heard);
    return () => this.removeEventListener(name, heard);
  }

  get finished() { return this.#finished; }
  get state() { return this.#inner?.state ?? 'idle'; }
  get progress() { return this.#inner?.progress ?? NOTHING_YET; }
  get mimeType() { return this.#inner?.mimeType; }
  get recordingId() { return this.#inner?.recordingId; }
  get stream() { return this.#inner?.stream; }
  get hasUnsent() { return this.#inner?.hasUnsent ?? false; }
  get unsent() { return this.#inner?.unsent; }
}

/** Interval of attempts to fetch the module that further parts need. */
const AGAIN_MS = 5_000;

/** Fetches the module. The recording waits for it with its further part. */
function enableParts() {
  inLater((core) => core.enableParts()).catch(() => setTimeout(enableParts, AGAIN_MS));
}

export async function autoRecord({ source, onRecorder, onError = reportError, signal, ...options }) {
  check({ source, onRecorder, onError, signal, ...options }, { needsSource: true });
  signal?.throwIfAborted();
  const over = new AbortController();
  let recorder;
  let busy = false;

  const record = async () => {
    // Auto-record was turned off and on again during the recording.
    if (busy) return;
    busy = true;
    // A failed start is both an event and a rejection.
    let isTold = false;
    const tell = (error) => {
      if (!isTold) onError(error);
      isTold = true;
    };
    try {
      const found = typeof source === 'function' ? await source({ signal: over.signal }) : source;
      over.signal.throwIfAborted();
      recorder = new Recorder({ ...options, source: found });
      const stopped = new Promise((resolve) => {
        recorder.on('statechange', (state) => STOPPED.has(state) && resolve());
      });
      recorder.on('error', tell);
      onRecorder?.(recorder);
      await recorder.start();
      await stopped;
    } catch (error) {
      if (!over.signal.aborted) tell(error);
    } finally {
      busy = false;
    }
  };

  await inLater(async ({ SessionWatcher }) => {
    let watcher, refused;
    try {
      await new Promise((resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
        const ordered = (order) => (order === 'start' ? record() : resolve());
        const failed = (error) => {
          onError(typed(error));
          // The session is unknown or another user's: the watch ends, and the recording with it.
          if (error.code === 'refused') refused = error;
        };
        watcher = new SessionWatcher(options, ordered, failed);
      });
    } finally {
      watcher?.free();
      over.abort();
    }
    // The user may still be choosing what to share.
    if (recorder?.state === 'idle') await recorder.abort();
    else if (recorder) {
      // Later failures are events of the recorder, which `onError` receives.
      if (!STOPPED.has(recorder.state)) recorder.stop({ sessionEnded: true });
      await recorder.finished.catch(() => {});
    }
    if (refused) throw refused;
  });
}

/** States of a recorder that no longer records. */
const STOPPED = new Set(['stopping', 'uploading', 'done', 'failed']);

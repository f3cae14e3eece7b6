// One recorder, and a watch that makes one whenever it is wanted. Every decision is taken in WebAssembly; what is here
// makes it look as JavaScript expects.

import { hashOf, subjectOf, userOf } from './account.js';
import { recover } from './recoverable-recording.js';
import { RecorderError, inCore, inLater, load, typed } from './loading.js';
import { check, wrongState } from './options.js';

/** `aborted` is for this module only: for the page it is no event. */
const EVENTS = ['statechange', 'progress', 'warning', 'stopped', 'done', 'error', 'aborted'];
const NOTHING_YET = Object.freeze({
  recorded: 0, safeUntil: 0, sizeBytes: 0, safeBytes: 0, pendingBytes: 0, bitrate: 0, spool: 'memory', waiting: null,
});

/** How long an encoder that is started anew has to give its first bytes. */
const PATIENCE_MS = 15_000;

export class Recorder extends EventTarget {
  #options;
  /** The core's recorder, which knows everything; nothing before the core is there. */
  #inner;
  /** Recordings before this one, whose encoders had fallen silent. */
  #parts = [];
  #restarting = false;
  #settle;
  #finished;
  /** The source; a function in the options is called for it when recording starts. */
  #source;
  #asking = false;
  /** Owner of the copy on this device, once it is known. */
  #owner;
  #token;

  constructor(options) {
    super();
    check(options, { needsSource: true });
    this.#finished = new Promise((resolve, reject) => { this.#settle = { resolve, reject }; });
    // A page that does not ask for it is told by events.
    this.#finished.catch(() => {});
    this.#options = { ...options };
    this.#owner = options.owner || undefined;
    if (typeof options.source !== 'function') this.#source = options.source;
    // A click should find it loaded; whether that failed, the first call says.
    if (typeof document !== 'undefined') load().catch(() => {});
  }

  static recover(options) { return recover(options); }

  #call(method, ...values) {
    return inCore(({ Recorder: Core }) => {
      // Only `start` asks a function for the source, and only `abort` ends a recorder that has none.
      if (!this.#inner && this.#source === undefined && method !== 'abort') throw wrongState('idle');
      this.#inner ??= this.#make(Core, { ...this.#options, source: this.#source ?? 'screen' });
      return this.#inner[method](...values);
    });
  }

  async #startWith(values) {
    if (this.#source === undefined && !this.#inner) {
      if (this.#asking) throw wrongState('starting');
      this.#asking = true;
      try {
        // Without a wait where none is needed: a screen may only be asked for while a click is being handled.
        const source = this.#options.source();
        this.#source = typeof source?.then === 'function' ? await source : source;
        check({ ...this.#options, source: this.#source }, { needsSource: true });
        if (typeof this.#source === 'function') throw new TypeError('source must not return another function');
      } catch (error) {
        // Another start asks again.
        this.#source = undefined;
        throw error;
      } finally {
        this.#asking = false;
      }
    }
    await this.#call('start', ...values);
    this.#askOwner();
  }

  /** The owner by the server's account, for tokens that name none and for cookies. */
  #askOwner() {
    const { server, durable } = this.#options;
    if (this.#owner !== undefined || typeof server !== 'string' || durable === false) return;
    // Without an answer the copy has no owner, and only the server decides whose it is.
    userOf(server, this.#token).then((owner) => this.#own(owner)).catch(() => {});
  }

  #own(owner) {
    if (owner === undefined || this.#owner !== undefined) return;
    this.#owner = owner;
    this.#inner?.setOwner(owner);
  }

  /** Gives a token of the page, and learns from the first one whose recording it is. */
  async #getToken() {
    const { getToken, server } = this.#options;
    const token = await getToken();
    if (typeof token === 'string' && token !== '') {
      this.#token = token;
      this.#own(subjectOf(token) ?? (typeof server === 'string' ? undefined : await hashOf(token)));
    }
    return token;
  }

  #make(Core, options) {
    const { getToken } = options;
    const made = new Core({ ...options, owner: this.#owner, getToken: getToken && (() => this.#getToken()) });
    for (const name of EVENTS) {
      made.on(name, (detail) => {
        if (made === this.#inner) this.#heard(name, typed(detail), Core);
      });
    }
    return made;
  }

  #heard(name, detail, Core) {
    if (name === 'progress') detail = this.#whole(detail);
    // The promise of `stop()` says the same, and waits for the parts, too.
    if (name === 'aborted') return this.#settle.resolve(null);
    if (name === 'done' && this.#parts.length) {
      this.#all(detail).then((all) => this.#end('done', all), (error) => this.#end('error', typed(error)));
    } else this.#end(name, detail);
    if (name === 'warning' && detail.code === 'no_data') this.#restart(Core);
    if (name === 'warning' && detail.code === 'continued') enableParts();
  }

  #end(name, detail) {
    if (name === 'done') this.#settle.resolve(detail);
    if (name === 'error') this.#settle.reject(detail);
    this.#tell(name, detail);
  }

  #tell(name, detail) { this.dispatchEvent(new CustomEvent(name, { detail })); }

  /**
   * Begins another recording of the same source. It takes the place of the silent one when it gives bytes; a source
   * that has nothing to show is left to the recorder it has.
   */
  async #restart(Core) {
    if (this.#restarting || this.#inner.state !== 'recording') return;
    this.#restarting = true;
    const silent = this.#inner;
    // Stands still until there are bytes again, other than those it had left.
    const { recorded } = silent.progress;
    let next;
    // A canvas is asked again; nobody should have to choose a screen twice.
    const copy = this.#source instanceof HTMLCanvasElement ? undefined : silent.stream.clone();
    const release = () => copy?.getTracks().forEach((track) => track.stop());
    try {
      next = this.#make(Core, { ...this.#options, source: this.#source, ...(copy && { source: copy, microphone: false }) });
      for (const name of ['stopped', 'error']) next.on(name, release);
      const gives = new Promise((resolve) => {
        next.on('progress', (it) => it.sizeBytes > 0 && resolve(true));
        next.on('error', () => resolve(false));
        setTimeout(resolve, PATIENCE_MS, false);
      });
      await next.start();
      const goesOn = (await gives) && silent.state === 'recording' && silent.progress.recorded === recorded;
      if (!goesOn) throw new Error('not needed');
      // Nothing at all is no part.
      if (silent.progress.sizeBytes) {
        const finished = silent.stop(false);
        finished.catch(() => {});
        this.#parts.push({ inner: silent, finished });
      } else silent.abort();
      this.#inner = next;
      this.#tell('warning', { code: 'restarted', message: 'The browser\'s encoder fell silent. A new recording has begun.' });
    } catch {
      next?.abort();
      release();
    } finally {
      this.#restarting = false;
    }
  }

  /** What is told of this recording, with the parts before it. */
  #whole(progress) {
    if (!this.#parts.length) return progress;
    const whole = { ...progress };
    for (const { inner } of this.#parts.toReversed()) {
      const part = inner.progress;
      // Safe is what there is no gap before.
      whole.safeUntil = inner.state === 'done' ? part.recorded + whole.safeUntil : part.safeUntil;
      for (const what of ['recorded', 'sizeBytes', 'safeBytes', 'pendingBytes']) whole[what] += part[what];
    }
    return whole;
  }

  /** The end of this recording and those before it. */
  async #all(done) {
    if (!this.#parts.length) return done;
    const before = await Promise.all(this.#parts.map((it) => it.finished));
    const { recorded, sizeBytes } = this.#whole({ ...done, safeUntil: done.recorded, safeBytes: done.sizeBytes, pendingBytes: 0 });
    return { ...done, recorded, sizeBytes, parts: [...before, done].flatMap((it) => it.parts ?? it.recordingId ?? it.uploadUrl) };
  }

  start(options) { return this.#startWith([options]); }
  pause() { return this.#call('pause'); }
  resume() { return this.#call('resume'); }
  stop({ sessionEnded = false } = {}) {
    // While a function is asked for the source, stopping cancels the start.
    if (this.#asking) this.abort().catch(() => {});
    const stopped = this.#call('stop', sessionEnded).then((done) => inCore(() => this.#all(done)));
    // A page that goes away stops and does not wait: `finished` and the events tell the same.
    stopped.catch(() => {});
    return stopped;
  }
  abort() {
    for (const { inner } of this.#parts) inner.abort();
    return this.#call('abort');
  }

  on(name, listener) {
    const heard = (event) => listener(event.detail);
    this.addEventListener(name, heard);
    return () => this.removeEventListener(name, heard);
  }

  get finished() { return this.#finished; }
  get state() { return this.#inner?.state ?? 'idle'; }
  get progress() { return this.#inner ? this.#whole(this.#inner.progress) : NOTHING_YET; }
  get mimeType() { return this.#inner?.mimeType; }
  get recordingId() { return this.#inner?.recordingId; }
  get stream() { return this.#inner?.stream; }
  get hasUnsent() { return [...this.#parts.map((it) => it.inner), this.#inner].some((it) => it?.hasUnsent); }
  get unsent() { return this.#inner?.unsent; }
}

/** Between two attempts to fetch what further parts need. */
const AGAIN_MS = 5_000;

/** A recording waits for its further part until this is there. */
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
    // Turned off and on again while it is being recorded.
    if (busy) return;
    busy = true;
    // A start that fails is an event and a rejection.
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
          // The session is unknown or another user's: the watch ends, and what is being recorded with it.
          if (error.code === 'refused') refused = error;
        };
        watcher = new SessionWatcher(options, ordered, failed);
      });
    } finally {
      watcher?.free();
      over.abort();
    }
    // It may still be asking for permission.
    if (recorder?.state === 'idle') await recorder.abort();
    else if (recorder) {
      // A failure from now on is an event of the recorder, which `onError` is told of.
      if (!STOPPED.has(recorder.state)) recorder.stop({ sessionEnded: true });
      await recorder.finished.catch(() => {});
    }
    if (refused) throw refused;
  });
}

/** States of a recorder that does not record any more. */
const STOPPED = new Set(['stopping', 'uploading', 'done', 'failed']);

// Recorder as an EventTarget. WebAssembly takes the decisions.

import { hashOf, subjectOf, userOf } from './account.js';
import { inCore, lazily, load, typed } from './loading.js';
import { check, wrongState } from './options.js';

/** `aborted` settles `finished`; the page receives no event for it. */
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
    // A page may ignore `finished`, because events report the same.
    this.#finished.catch(() => {});
    this.#options = { ...options };
    this.#owner = options.owner || undefined;
    if (typeof options.source !== 'function') this.#source = options.source;
    // A click should find the module loaded. The first call reports a failure.
    if (typeof document !== 'undefined') load().catch(() => {});
  }

  static async recover(options) { return (await lazily(() => import('./recovery.js'))).recover(options); }

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
        // The next start calls the source function again.
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
      // `abort` may be called before the source is known.
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
  }

  start(options) { return this.#startWith([options]); }
  pause() { return this.#call('pause'); }
  resume() { return this.#call('resume'); }
  stop({ sessionEnded = false } = {}) {
    // Before the source function has returned, stopping cancels the start.
    if (this.#asking) this.abort().catch(() => {});
    const stopped = this.#call('stop', sessionEnded);
    // A page that is being closed does not wait for the promise. `finished` and the events report the same.
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

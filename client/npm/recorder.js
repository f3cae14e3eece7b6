// Recorder as an EventTarget. WebAssembly takes the decisions.

import { subjectOf } from './account.js';
import { inCore, inSetup, lazily, load, typed } from './loading.js';
import { aborted, check, needsSetup, wrongState } from './options.js';

/** `aborted` settles `finished`; the page receives no event for it. */
const EVENTS = ['statechange', 'progress', 'warning', 'stopped', 'done', 'error', 'aborted'];
const NOTHING_YET = Object.freeze({
  recordedMs: 0, safeMs: 0, sizeBytes: 0, safeBytes: 0, pendingBytes: 0, bitrate: 0, spool: 'memory', waiting: null,
});

/** Listeners of `on` and `once`, as listeners of `addEventListener`. */
const adapters = new WeakMap();

function adapter(listener) {
  if (!adapters.has(listener)) adapters.set(listener, ({ detail }) => listener(detail));
  return adapters.get(listener);
}

const requests = () => lazily(() => import('./requests.js'));

export class Recorder extends EventTarget {
  #options;
  /** Recorder of the WebAssembly module, once it is loaded. A start that fails removes it. */
  #inner;
  #settle;
  #finished;
  /** Options that `start` determines: the source, for which it calls a function, and those that `setup.js` changes. */
  #changes;
  /** Sources that `setup.js` has composed. */
  #composition;
  /** Whether the module is being loaded or the source opened. */
  #isLoading = false;
  /** Whether it was aborted before the module was loaded. */
  #isAborted = false;
  #hasBegun = false;
  /** Function that passes the events of this name on, and whether that of progress was needed. */
  #listen;
  #hasProgress = false;
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
    // A click should find the module loaded. The first call reports a failure.
    if (typeof document !== 'undefined') load().catch(() => {});
    if (needsSetup(options, options.source)) inSetup(() => {}).catch(() => {});
  }

  static async recover(options) { return (await lazily(() => import('./recovery.js'))).recover(options); }

  static async deviceCopies(options) { return (await lazily(() => import('./recovery.js'))).deviceCopies(options); }

  /** Calls the recorder of the module. Only `start` creates it. */
  async #call(method, ...values) {
    if (!this.#inner) throw wrongState(this.state);
    return inCore(() => this.#inner[method](...values));
  }

  async start(options) {
    if (this.state !== 'idle') throw wrongState(this.state);
    this.#isLoading = true;
    this.#announce('loading');
    try {
      // Awaited only if needed: a screen can only be requested while a click is being handled.
      const asked = this.#askForSource();
      if (asked) await asked;
      await inCore(({ Recorder: Core }) => {
        if (this.#isAborted) throw discarded();
        this.#inner = this.#make(Core);
        return this.#inner.start(options);
      });
    } catch (error) {
      this.#startFailed();
      throw error;
    }
    this.#askOwner();
  }

  /** Determines the source. Returns a promise if the page's function does. */
  #askForSource() {
    const { source } = this.#options;
    const take = (found) => {
      const options = { ...this.#options, source: found };
      check(options, { needsSource: true });
      if (typeof found === 'function') throw new TypeError('source must not return another function');
      this.#changes = { source: found };
      if (!needsSetup(options, found)) return undefined;
      return inSetup(({ setUp }) => setUp(options, this)).then(({ changes, composition }) => {
        Object.assign(this.#changes, changes);
        this.#composition = composition;
      });
    };
    const found = typeof source === 'function' ? source() : source;
    const taken = typeof found?.then === 'function' ? found.then(take) : take(found);
    // Neither the function nor the user may answer: aborting does not wait for them.
    return taken && Promise.race([taken, this.#finished.then(() => { throw discarded(); })]);
  }

  /** A start that failed can be repeated, because nothing was recorded. */
  #startFailed() {
    if (this.state === 'aborted') return;
    this.#inner = undefined;
    this.#isLoading = false;
    this.#announce('idle');
  }

  /** Like all events, delivered after the call that causes it. */
  #announce(state) {
    queueMicrotask(() => this.dispatchEvent(new CustomEvent('statechange', { detail: state })));
  }

  /** Asks the server for the owner, for tokens that name none and for cookies. */
  #askOwner() {
    const { server, durable } = this.#options;
    if (this.#owner !== undefined || typeof server !== 'string' || durable === false) return;
    // Without an answer the copy has no owner, and the server decides who may recover it.
    requests().then(({ userOf }) => userOf(server, this.#token)).then((owner) => this.#own(owner)).catch(() => {});
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
      // Our server names the owner of an opaque token; with another one it is the token's hash.
      const hash = async () => (await requests()).hashOf(token);
      this.#own(subjectOf(token) ?? (typeof server === 'string' ? undefined : await hash().catch(() => {})));
    }
    return token;
  }

  #make(Core) {
    const { getToken } = this.#options;
    const made = new Core({
      ...this.#options,
      ...this.#changes,
      owner: this.#owner,
      getToken: getToken && (() => this.#getToken()),
    });
    this.#listen = (name) => made.on(name, (detail) => {
      if (made === this.#inner) this.#receive(name, typed(detail));
    });
    for (const name of EVENTS) if (name !== 'progress' || this.#hasProgress) this.#listen(name);
    return made;
  }

  /** Progress comes several times a second. Without a listener it costs nothing. */
  addEventListener(name, ...rest) {
    super.addEventListener(name, ...rest);
    if (name !== 'progress' || this.#hasProgress) return;
    this.#hasProgress = true;
    this.#listen?.(name);
  }

  #receive(name, detail) {
    if (name === 'statechange' && detail === 'recording') this.#hasBegun = true;
    // The rejection of `start` reports a start that failed.
    if (!this.#hasBegun && (name === 'error' || detail === 'failed')) return;
    if (name === 'aborted') return this.#settle.resolve(null);
    // To the module, a composition is a stream like any other.
    if (detail === 'track_ended') detail = this.#composition?.endReason ?? detail;
    if (name === 'done') this.#settle.resolve(detail);
    if (name === 'error') this.#settle.reject(detail);
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  pause() { return this.#call('pause'); }
  resume() { return this.#call('resume'); }
  mark(text, kind) { return this.#call('mark', `${text ?? ''}`, kind ?? 'note'); }
  stop({ sessionEnded = false } = {}) {
    // Before the source function has returned, stopping cancels the start.
    if (!this.#inner && this.#isLoading) this.abort();
    const stopped = this.#isAborted ? Promise.reject(discarded()) : this.#call('stop', sessionEnded);
    // A page that is being closed does not wait for the promise. `finished` and the events report the same.
    stopped.catch(() => {});
    return stopped;
  }
  async abort() {
    if (this.#inner) return this.#call('abort');
    if (this.#isAborted) return;
    this.#isAborted = true;
    this.#announce('aborted');
    this.#settle.resolve(null);
  }

  async switchDevices(devices) {
    if (!this.#composition) throw wrongState(this.state);
    return inSetup(() => this.#composition.switchDevices(devices));
  }

  on(name, listener) {
    this.addEventListener(name, adapter(listener));
    return () => this.off(name, listener);
  }
  off(name, listener) {
    this.removeEventListener(name, adapter(listener));
  }
  once(name, listener) {
    if (typeof listener === 'function') {
      this.addEventListener(name, adapter(listener), { once: true });
      return () => this.off(name, listener);
    }
    return this.#until(name, () => true, listener);
  }
  async waitForState(wanted, options) {
    const states = [wanted].flat();
    return states.includes(this.state) ? this.state : this.#until('statechange', (it) => states.includes(it), options);
  }

  /** Returns the value of the next event that matches; rejects when the recording ends without it. */
  #until(name, matches, { signal } = {}) {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const over = new AbortController();
      const end = (settle) => (value) => {
        over.abort();
        settle(value);
      };
      signal?.addEventListener('abort', () => end(reject)(signal.reason), { signal: over.signal });
      this.addEventListener(name, ({ detail }) => matches(detail) && end(resolve)(detail), { signal: over.signal });
      this.#finished.then(() => end(reject)(wrongState(this.state)), end(reject));
    });
  }

  get finished() { return this.#finished; }
  get state() {
    if (this.#isAborted) return 'aborted';
    const state = this.#inner?.state ?? 'idle';
    return state === 'idle' && this.#isLoading ? 'loading' : state;
  }
  get progress() { return this.#inner?.progress ?? NOTHING_YET; }
  get mimeType() { return this.#inner?.mimeType; }
  get recordingId() { return this.#inner?.recordingId; }
  get stream() { return this.#inner?.stream; }
  get hasUnsent() { return this.#inner?.hasUnsent ?? false; }
  async unsent() { return this.#inner && inCore(() => this.#inner.unsent()); }
}

const discarded = () => aborted('The recording was discarded.');

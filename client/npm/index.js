// The JavaScript face of the recorder. Every decision is taken in WebAssembly; what is here loads it, and makes what
// comes out of it look as JavaScript expects: an EventTarget, errors with a class.
//
// Importing this does nothing: no request, no global, so a server that renders pages may import it, too.

/** The module that wasm-bindgen made, once it is there. */
let core;
/** That module on its way, for whoever asks meanwhile. */
let loading;

export class RecorderError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'RecorderError';
    this.code = code;
  }
}

export function load({ wasm } = {}) {
  loading ??= fetchCore(wasm).catch((error) => {
    // The next one to ask tries again.
    loading = undefined;
    throw error;
  });
  return loading.then(() => {});
}

async function fetchCore(wasm) {
  if (typeof document === 'undefined') {
    throw new RecorderError('unsupported', 'A recorder needs a page in a browser; on a server it can only be imported.');
  }
  // At once, and not only when the module has arrived and asks for it.
  const program = wasm ?? fetch(new URL('./core_bg.wasm', import.meta.url));
  // Whether it failed is asked below.
  Promise.resolve(program).catch(() => {});
  let module;
  try {
    module = await import('./core.js');
    const response = await program;
    if (response instanceof Response && !response.ok) throw new TypeError(`the answer was ${response.status}`);
  } catch (cause) {
    const error = new RecorderError('unreachable', `The recorder could not be loaded (${cause.message}). Check that core_bg.wasm is served, and try again.`);
    throw Object.assign(error, { cause });
  }
  try {
    await module.default({ module_or_path: program });
  } catch (cause) {
    const error = new RecorderError('unsupported', `The recorder could not be started (${cause.message}). A Content-Security-Policy needs script-src 'wasm-unsafe-eval'.`);
    throw Object.assign(error, { cause });
  }
  core = module;
}

/**
 * Calls into the core, at once when it is there: a screen may only be asked for while the click that led here is
 * being handled.
 */
async function inCore(call) {
  try {
    if (!core) await load();
    return await call(core);
  } catch (error) {
    throw typed(error);
  }
}

/** The core's errors are plain ones with a name. */
function typed(error) {
  if (error instanceof Error && error.name === 'RecorderError' && !(error instanceof RecorderError)) {
    Object.setPrototypeOf(error, RecorderError.prototype);
  }
  return error;
}

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
        signal?.addEventListener('abort', () => reject(signal.reason));
        watcher = new SessionWatcher(options, (order) => (order === 'start' ? record() : resolve()));
      });
    } finally {
      watcher?.free();
      over.abort();
    }
    // It may still be asking for permission, or have been stopped by hand.
    if (recorder?.state === 'idle') await recorder.abort();
    else if (busy) await recorder?.stop({ sessionEnded: true }).catch(onError);
  });
}

/** States of a recorder that does not record any more. */
const STOPPED = new Set(['stopping', 'uploading', 'done', 'failed']);

export function whenPresent(selector, { root = document, signal } = {}) {
  return new Promise((resolve, reject) => {
    const look = () => {
      const found = root.querySelector(selector);
      if (found) {
        end();
        resolve(found);
      }
    };
    const observer = new MutationObserver(look);
    const aborted = () => {
      end();
      reject(signal.reason);
    };
    const end = () => {
      observer.disconnect();
      signal?.removeEventListener('abort', aborted);
    };
    if (signal?.aborted) return aborted();
    signal?.addEventListener('abort', aborted);
    observer.observe(root, { childList: true, subtree: true });
    look();
  });
}

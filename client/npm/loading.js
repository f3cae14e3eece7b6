// Loads the WebAssembly modules, each once and when it is first needed.
//
// Importing this does nothing: no request, no global, so a server that renders pages may import it, too.

export class RecorderError extends Error {
  constructor(code, message, { cause, status, problem, retryAfter, retryable = false } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    Object.assign(this, { name: 'RecorderError', code, status, problem, retryAfter, retryable });
  }
}

/** Folder of the .wasm files, if the page serves them from elsewhere than beside this module. */
let folder;

/** A WebAssembly module, with the JavaScript that wasm-bindgen generated for it. */
class Module {
  #importJs;
  #beside;
  #loading;
  #exports;
  /** Program given by the page, instead of the file: anything that wasm-bindgen's `init` takes. */
  program;

  /** `beside` returns the URL of the .wasm file beside this module. */
  constructor(importJs, beside) {
    this.#importJs = importJs;
    this.#beside = beside;
  }

  load() {
    this.#loading ??= this.#start().then(
      (exports) => { this.#exports = exports; },
      (error) => {
        // The next call tries again.
        this.#loading = undefined;
        throw error;
      },
    );
    return this.#loading;
  }

  /**
   * Calls `use` with the exports, synchronously once they are loaded: a screen may only be requested while a click is
   * being handled.
   */
  async call(use) {
    try {
      if (!this.#exports) await this.load();
      return await use(this.#exports);
    } catch (error) {
      throw typed(error);
    }
  }

  async #start() {
    if (typeof document === 'undefined') {
      throw new RecorderError('unsupported', 'A recorder needs a page in a browser; on a server it can only be imported.');
    }
    // In parallel with the import.
    const program = this.program ?? fetch(place(this.#beside()));
    let advice = 'Check that the package\'s .wasm files are served, and try again.';
    // A rejection is handled below.
    Promise.resolve(program).catch(() => {});
    let exports;
    try {
      exports = await this.#importJs();
      const response = await program;
      if (response instanceof Response) {
        if (!response.ok) throw new TypeError(`the answer was ${response.status}`);
        // Servers of single-page apps answer like this for every file that does not exist.
        if (response.headers.get('content-type')?.startsWith('text/html')) {
          advice += ' With Vite\'s development server, add optimizeDeps: { exclude: [\'sortie-recorder\'] } to vite.config.';
          throw new TypeError('the answer was a web page');
        }
      }
    } catch (cause) {
      throw failure('unreachable', `The recorder could not be loaded (${cause.message}). ${advice}`, cause);
    }
    try {
      await exports.default({ module_or_path: program });
    } catch (cause) {
      advice = 'A Content-Security-Policy needs script-src \'wasm-unsafe-eval\'.';
      throw failure('unsupported', `The recorder could not be started (${cause.message}). ${advice}`, cause);
    }
    return exports;
  }
}

/** Imports a module of this package. */
export async function lazily(importJs) {
  try {
    return await importJs();
  } catch (cause) {
    throw failure('unreachable', `A part of the recorder could not be loaded (${cause.message}). Try again.`, cause);
  }
}

/** Calls the module that chooses formats and composes sources. */
export async function inSetup(use) {
  try {
    return await use(await lazily(() => import('./setup.js')));
  } catch (error) {
    throw typed(error);
  }
}

const failure = (code, message, cause) => new RecorderError(code, message, { cause, retryable: code === 'unreachable' });

/** URL of a .wasm file: in the page's folder, or beside this module. */
function place(beside) {
  const name = beside.pathname.split('/').at(-1);
  if (folder) return new URL(name, folder);
  // The development server of Vite 5 to 7 copies this module into its cache, without the .wasm files.
  return beside.pathname.includes('/.vite/deps/') ? new URL(`../../sortie-recorder/${name}`, beside) : beside;
}

// Bundlers recognise exactly these expressions: `import('…')` and `new URL('…', import.meta.url)`.
const core = new Module(() => import('./core.js'), () => new URL('./core_bg.wasm', import.meta.url));
const later = new Module(() => import('./later.js'), () => new URL('./later_bg.wasm', import.meta.url));
const sessionWatcher = new Module(
  () => import('./session_watcher.js'),
  () => new URL('./session_watcher_bg.wasm', import.meta.url),
);
const files = new Module(() => import('./playable.js'), () => new URL('./playable_bg.wasm', import.meta.url));

export function load({ wasm, laterWasm, baseUrl } = {}) {
  if (baseUrl !== undefined && baseUrl !== null && typeof document !== 'undefined') {
    try {
      const url = new URL(baseUrl, document.baseURI);
      // The option names a folder, with or without the slash.
      if (!url.pathname.endsWith('/')) url.pathname += '/';
      folder ??= url;
    } catch {
      return Promise.reject(new TypeError('baseUrl must be the URL of a folder'));
    }
  }
  core.program ??= wasm;
  later.program ??= laterWasm;
  return core.load();
}

/** Calls into the recorder. */
export const inCore = (use) => core.call(use);

/** Calls the module that uploads recoverable recordings and files. */
export const inLater = (use) => later.call(use);

/** Calls the module that watches a session. */
export const inSessionWatcher = (use) => sessionWatcher.call(use);

/** Calls the module that makes one file of a recording's parts. */
export const playable = (parts) => files.call((exports) => exports.playable(parts));

/** Turns an error of a WebAssembly module, a plain one with a name, into a {@link RecorderError}. */
export function typed(error) {
  if (error?.code === 'unreachable') error.message = error.message.replace(/ORIGINS(?!=)/, `$&=${origin}`);
  if (error instanceof Error && error.name === 'RecorderError' && !(error instanceof RecorderError)) {
    Object.setPrototypeOf(error, RecorderError.prototype);
  }
  return error;
}

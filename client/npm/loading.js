// Loads what records, once, and when somebody wants it.
//
// Importing this does nothing: no request, no global, so a server that renders pages may import it, too.

export class RecorderError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'RecorderError';
    this.code = code;
  }
}

/** The module that wasm-bindgen made, once it is there. */
let core;
/** The same on its way, for whoever asks meanwhile. */
let coming;
/** The part of it that no running recording needs, on its way or there; and where it is, if the page has said so. */
let later;
let laterAt;
/** The folder of the programs, if the page serves them from another one than this module's. */
let folder;
/** The module that makes files; few pages ever want it. */
let files;

/** Of the programs: what the page has said, or beside this module. */
function place(name, beside) {
  if (folder !== undefined) return new URL(name, folder);
  // Vite's dev server moves this module into its cache of dependencies, without the programs beside it.
  const moved = /\/\.vite\/deps\//.test(beside.pathname);
  return moved ? new URL(`../../sortie-recorder/${name}`, beside) : beside;
}

export function load({ wasm, laterWasm, baseUrl } = {}) {
  if (baseUrl !== undefined && baseUrl !== null && typeof document !== 'undefined') {
    try {
      const url = new URL(baseUrl, document.baseURI);
      // It names a folder, with or without the slash.
      if (!url.pathname.endsWith('/')) url.pathname += '/';
      folder ??= url;
    } catch {
      return Promise.reject(new TypeError('baseUrl must be the URL of a folder'));
    }
  }
  laterAt ??= laterWasm;
  coming ??= start(
    () => import('./core.js'),
    () => wasm ?? fetch(place('core_bg.wasm', new URL('./core_bg.wasm', import.meta.url))),
    (module, program) => module.default({ module_or_path: program }),
  ).then(
    (module) => {
      core = module;
    },
    (error) => {
      // The next one to ask tries again.
      coming = undefined;
      throw error;
    },
  );
  return coming;
}

/**
 * Calls into the core, at once when it is there: a screen may only be asked for while the click that led here is
 * being handled.
 */
export async function inCore(call) {
  try {
    if (!core) await load();
    return await call(core);
  } catch (error) {
    throw typed(error);
  }
}

/** The same for leftovers, files and sessions. */
export async function inLater(call) {
  later ??= start(
    () => load().then(() => core),
    () => laterAt ?? fetch(place('later_bg.wasm', new URL('./later_bg.wasm', import.meta.url))),
    (module, program) => module.addLater(program),
  );
  try {
    return await call(await later.catch(forgetLater));
  } catch (error) {
    throw typed(error);
  }
}

/** Makes one file of a recording's parts. */
export async function playable(parts) {
  files ??= start(
    () => import('./playable.js'),
    () => fetch(place('playable_bg.wasm', new URL('./playable_bg.wasm', import.meta.url))),
    (module, program) => module.default({ module_or_path: program }),
  );
  try {
    return await (await files.catch(forgetFiles)).playable(parts);
  } catch (error) {
    throw typed(error);
  }
}

// The next one to ask tries again.

function forgetLater(error) {
  later = undefined;
  throw error;
}

function forgetFiles(error) {
  files = undefined;
  throw error;
}

/** `adding` makes a program of what was fetched run in the module. */
async function start(importing, fetching, adding) {
  if (typeof document === 'undefined') {
    throw new RecorderError('unsupported', 'A recorder needs a page in a browser; on a server it can only be imported.');
  }
  // At once, and not only when the module has arrived and asks for it.
  const program = fetching();
  // Whether it failed is asked below.
  Promise.resolve(program).catch(() => {});
  let module;
  try {
    module = await importing();
    const response = await program;
    if (response instanceof Response) {
      if (!response.ok) throw new TypeError(`the answer was ${response.status}`);
      // Servers of single-page apps answer so for every file that is not there.
      if (response.headers.get('content-type')?.startsWith('text/html')) throw new TypeError('the answer was a web page');
    }
  } catch (cause) {
    if (cause instanceof RecorderError) throw cause;
    const message = `The recorder could not be loaded (${cause.message}). Check that the package's .wasm files are served, and try again.`;
    throw Object.assign(new RecorderError('unreachable', message), { cause });
  }
  try {
    await adding(module, program);
  } catch (cause) {
    const message = `The recorder could not be started (${cause.message}). A Content-Security-Policy needs script-src 'wasm-unsafe-eval'.`;
    throw Object.assign(new RecorderError('unsupported', message), { cause });
  }
  return module;
}

/** The core's errors are plain ones with a name, and do not know whose page this is. */
export function typed(error) {
  if (error?.code === 'unreachable') error.message = error.message.replace(/ORIGINS(?!=)/, `$&=${origin}`);
  if (error instanceof Error && error.name === 'RecorderError' && !(error instanceof RecorderError)) {
    Object.setPrototypeOf(error, RecorderError.prototype);
  }
  return error;
}

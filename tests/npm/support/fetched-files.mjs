// Files of the package that a page fetches for a purpose, and the limit of their size with Brotli. `size-limit` compares the
// sizes (`.size-limit.mjs`), wasm.test.mjs the files with those that a browser fetches.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The unpacked package, built by `scripts/npm.sh`. */
export const built = join(process.env.SORTIE_NPM ?? new URL('../../../target/npm/', import.meta.url).pathname, 'sortie-recorder');

/** Returns a file and those that it imports when it is loaded. Names of chunks contain a hash. */
function withImports(name) {
  const code = readFileSync(join(built, name), 'utf8');
  const imported = [...code.matchAll(/(?:from|import)"\.\/(chunk-[^"]+)"/g)].map((it) => it[1]);
  return new Set([name, ...imported.flatMap((it) => [...withImports(it)])]);
}

/** Returns the name of a chunk with a hash in its name. */
const chunk = (name) => readdirSync(built).find((it) => new RegExp(`^${name}-[A-Z0-9]{8}\\.js$`).test(it));
const program = (name) => [`${name}.js`, `${name}_bg.wasm`];

const index = [...withImports('index.js')];
const recovery = new Set([...index, ...withImports(chunk('recovery'))]);
const autoRecord = new Set([...index, ...withImports(chunk('auto-record'))]);

export const PURPOSES = {
  import: { title: 'import the package', limitBytes: 4_500, files: index },
  record: { title: 'record', limitBytes: 99_250, files: [...index, ...program('core')] },
  setup: { title: 'mask, or use a region, a camera or a device: in addition', limitBytes: 9_000, files: [chunk('setup')] },
  later: { title: 'recover, or upload a file', limitBytes: 75_500, files: [...recovery, ...program('later')] },
  watch: { title: 'watch a session', limitBytes: 29_000, files: [...autoRecord, ...program('session_watcher')] },
  save: { title: 'save a recording as a file: in addition', limitBytes: 62_500, files: program('playable') },
};

// Runs the unit tests of a crate without I/O, built for wasm32-unknown-unknown, and verifies that it does no I/O: the
// module must have no imports, so it can use no clock, no file and no socket. The only exception is the seed that
// proptest requests from getrandom. It is constant, so that a run is reproducible.
//
// Cargo calls this as its runner: node wasm-test-runner.mjs FILE [TEST ARGUMENTS]. The target cannot print: to read the
// message of a failed test, run it natively.
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';

const file = process.argv[2];
const name = basename(file);
const module = new WebAssembly.Module(await readFile(file));

// getrandom's `custom` backend: fn(destination, length) -> Result<(), Error>, zero being Ok.
const SEED = '__getrandom_v03_custom';
const imports = WebAssembly.Module.imports(module).filter(({ name }) => name !== SEED);
if (imports.length > 0) {
  console.error(`${name} has imports, which a crate without I/O must not have:`);
  for (const { module, name } of imports) console.error(`  ${module}.${name}`);
  process.exit(1);
}

let state = 0x9e3779b9;
const seed = (destination, length) => {
  const bytes = new Uint8Array(exports.memory.buffer, destination, length);
  for (let i = 0; i < length; i += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return 0;
};
const { exports } = new WebAssembly.Instance(module, { env: { [SEED]: seed } });
let failures;
try {
  // The test harness' own main(argc, argv).
  failures = exports.main(0, 0);
} catch (trap) {
  console.error(`${name}: a test panicked (${trap.message}); run the crate's tests natively to find it.`);
  process.exit(1);
}
if (failures !== 0) {
  console.error(`${name}: the test harness returned ${failures}.`);
  process.exit(1);
}
console.log(`${name}: passed, does no I/O`);

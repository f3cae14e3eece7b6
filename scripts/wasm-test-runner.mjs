// Runs the unit tests of a crate without I/O, built for wasm32-unknown-unknown,
// and proves the "without I/O" on the way: the module may import nothing, so it
// can reach no clock, no file and no socket. The one exception is the seed that
// proptest asks getrandom for; it gets a fixed one, so a run can be repeated.
//
// Cargo calls this as its runner: node wasm-test-runner.mjs FILE [TEST ARGUMENTS].
// The target has no way to print; when a test fails here, run it natively to
// read the message.
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';

const file = process.argv[2];
const name = basename(file);
const module = new WebAssembly.Module(await readFile(file));

// getrandom's `custom` backend: fn(destination, length) -> Result<(), Error>, zero being Ok.
const SEED = '__getrandom_v03_custom';
const imports = WebAssembly.Module.imports(module).filter(({ name }) => name !== SEED);
if (imports.length > 0) {
  console.error(`${name} imports what a crate without I/O must not need:`);
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
  console.error(`${name}: a test panicked (${trap.message}); run the crate's tests natively to see which.`);
  process.exit(1);
}
if (failures !== 0) {
  console.error(`${name}: the test harness answered ${failures}.`);
  process.exit(1);
}
console.log(`${name}: passed, does no I/O`);

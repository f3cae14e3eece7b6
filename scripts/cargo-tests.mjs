// Runs the workspace's native tests, several test programs in parallel, because they mostly wait. The output of a
// program is printed when it has ended.
//
//   node scripts/cargo-tests.mjs              all tests, and the examples in the documentation
//   node scripts/cargo-tests.mjs postgres     on PostgreSQL: the tests whose database is configurable
//
// Always builds the whole workspace: a single package has other features and would be compiled again.

import { spawn } from 'node:child_process';
import { cpus } from 'node:os';
import { basename, dirname, relative } from 'node:path';
import { createInterface } from 'node:readline';

const WORKSPACE = ['--locked', '--workspace'];
/** Number of parallel programs: one per core, although each has a thread per core, because half of them wait. At most four S3 servers. */
const AT_A_TIME = Math.min(cpus().length, 4);

/** Takes longest, mostly waiting, so this program starts first. */
const LONGEST = 'replicas';

/** A program that hangs fails instead of holding up the run; the longest takes three minutes. */
const TIME_LIMIT_MS = 15 * 60 * 1000;

/** Test programs that use PostgreSQL in any case. */
const ALWAYS_ON_POSTGRES = new Set(['replicas']);
/** Filter of the unit tests whose database is configurable: see server/src/db/testing.rs. */
const UNIT_TESTS_ON_POSTGRES = 'db::';

/** Builds the test programs; returns the folder, package, kind and path of each. */
async function build() {
  const cargo = spawn('cargo', ['test', ...WORKSPACE, '--no-run', '--message-format=json-render-diagnostics'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const programs = [];
  const ended = new Promise((resolve, reject) => cargo.once('error', reject).once('close', resolve));
  for await (const line of createInterface({ input: cargo.stdout })) {
    const message = line.startsWith('{') ? JSON.parse(line) : {};
    if (message.reason !== 'compiler-artifact' || !message.profile.test || !message.executable) continue;
    const folder = dirname(message.manifest_path);
    programs.push({
      folder,
      package: relative('.', folder),
      name: message.target.name,
      kind: message.target.kind[0],
      path: message.executable,
    });
  }
  if ((await ended) !== 0) throw new Error('the tests do not build');
  return programs.sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

const order = ({ package: folder, kind, name }) =>
  `${name === LONGEST ? 0 : 1} ${folder} ${kind === 'test' ? 1 : 0} ${name}`;

/** Arguments of a program's run on PostgreSQL; `undefined` if it has none. */
function onPostgres({ package: name, kind, name: target }) {
  if (name !== 'server' || kind === 'bin' || ALWAYS_ON_POSTGRES.has(target)) return undefined;
  return kind === 'lib' ? [UNIT_TESTS_ON_POSTGRES] : [];
}

/** Runs a program; returns its output and its exit code or signal. */
function run({ path, folder, args }) {
  return new Promise((resolve, reject) => {
    const output = [];
    const child = spawn(path, args, {
      cwd: folder,
      env: { ...process.env, CARGO_MANIFEST_DIR: folder },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: TIME_LIMIT_MS,
      killSignal: 'SIGKILL',
    });
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => output.push(bytes));
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ output: Buffer.concat(output), ended: code ?? signal }));
  });
}

/** Runs all programs; returns the titles of those that failed. */
async function runAll(programs) {
  const waiting = programs.values();
  const failed = [];
  const worker = async () => {
    for (const program of waiting) {
      const title = `${program.package}: ${program.kind === 'test' ? `tests/${program.name}` : `unit tests of the ${program.kind}`}`;
      const begun = performance.now();
      const { output, ended } = await run(program);
      const seconds = ((performance.now() - begun) / 1000).toFixed(1);
      process.stdout.write(`     Running ${title} (${basename(program.path)}), ${seconds} s\n`);
      process.stdout.write(output);
      if (ended !== 0) failed.push(`${title} (${ended})`);
      // Renaming the module must not disable its tests.
      if (program.args.length > 0 && output.includes('running 0 tests')) failed.push(`${title} (no ${program.args})`);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, () => worker()));
  return failed;
}

const [database] = process.argv.slice(2);
let programs = await build();
if (database === 'postgres') {
  process.env.SORTIE_TEST_DB = database;
  programs = programs.map((it) => ({ ...it, args: onPostgres(it) })).filter((it) => it.args);
} else {
  programs = programs.map((it) => ({ ...it, args: [] }));
}
const failed = await runAll(programs);
if (database !== 'postgres') {
  const examples = spawn('cargo', ['test', ...WORKSPACE, '--doc', '--no-fail-fast'], { stdio: ['ignore', 'inherit', 'inherit'] });
  const ended = await new Promise((resolve, reject) => examples.once('error', reject).once('close', resolve));
  if (ended !== 0) failed.push('examples in the documentation');
}
if (failed.length > 0) {
  console.error(`failed: ${failed.join(', ')}`);
  process.exitCode = 1;
}

// Runs the workspace's native tests, several test programs at a time: most of them wait for something most of the time.
// What a program says comes in one piece, when it has ended.
//
//   node scripts/cargo-tests.mjs              all of them, and the examples in the documentation
//   node scripts/cargo-tests.mjs postgres     on PostgreSQL, those whose database that changes
//
// Always the whole workspace is built: one package by itself has other features, and would be compiled again.

import { spawn } from 'node:child_process';
import { cpus } from 'node:os';
import { basename, dirname, relative } from 'node:path';
import { createInterface } from 'node:readline';

const WORKSPACE = ['--locked', '--workspace'];
/** As many programs as cores, each with as many threads: half of them wait. On large machines no more than four servers of S3. */
const AT_A_TIME = Math.min(cpus().length, 4);

/** Waits for minutes while the others run, so it starts first. */
const LONGEST = 'replicas';

/** Test programs that use PostgreSQL in any case. */
const ALWAYS_ON_POSTGRES = new Set(['replicas']);
/** Of the unit tests only those of db:: have a database that the variable chooses: see server/src/db/testing.rs. */
const UNIT_TESTS_ON_POSTGRES = 'db::';

/** Builds the test programs; gives the folder, the package, the kind and the path of each. */
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

/** What of a program runs a second time, on PostgreSQL: its arguments, or nothing. */
function onPostgres({ package: name, kind, name: target }) {
  if (name !== 'server' || kind === 'bin' || ALWAYS_ON_POSTGRES.has(target)) return undefined;
  return kind === 'lib' ? [UNIT_TESTS_ON_POSTGRES] : [];
}

/** Runs a program to its end; gives what it said and whether it went well. */
function run({ path, folder, args }) {
  return new Promise((resolve, reject) => {
    const said = [];
    const child = spawn(path, args, {
      cwd: folder,
      env: { ...process.env, CARGO_MANIFEST_DIR: folder },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => said.push(bytes));
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ said: Buffer.concat(said), ended: code ?? signal }));
  });
}

/** Runs all of them; gives the titles of those that failed. */
async function runAll(programs) {
  const waiting = programs.values();
  const failed = [];
  const worker = async () => {
    for (const program of waiting) {
      const title = `${program.package}: ${program.kind === 'test' ? `tests/${program.name}` : `unit tests of the ${program.kind}`}`;
      const begun = performance.now();
      const { said, ended } = await run(program);
      const seconds = ((performance.now() - begun) / 1000).toFixed(1);
      process.stdout.write(`     Running ${title} (${basename(program.path)}), ${seconds} s\n`);
      process.stdout.write(said);
      if (ended !== 0) failed.push(`${title} (${ended})`);
      // Whoever renames the module must not switch its tests off.
      if (program.args.length > 0 && said.includes('running 0 tests')) failed.push(`${title} (no ${program.args})`);
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

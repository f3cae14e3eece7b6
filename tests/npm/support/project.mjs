// A new project of an app developer, in which npm installs the packed package.

import { execFile } from 'node:child_process';
import { access, cp, mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

export const run = promisify(execFile);

const here = new URL('../', import.meta.url).pathname;
const examples = new URL('../../../client/examples/', import.meta.url).pathname;
/** Folder in which `scripts/npm.sh` has put the tarball. */
const packed = process.env.SORTIE_NPM ?? new URL('../../../target/npm/', import.meta.url).pathname;

export const tarball = join(packed, (await readdir(packed)).find((name) => name.endsWith('.tgz')));

/** Projects made here, which are removed at the end. */
const made = [];

/**
 * Returns a folder in which npm has installed the tarball. It is kept beside the tarball for all test files that run, even
 * at the same time: an installation takes a second of CPU time, a copy none.
 */
async function installation() {
  const { mtimeMs } = await stat(tarball);
  const folder = join(packed, `installed-${mtimeMs}`);
  if (await exists(folder)) return folder;
  const partial = await mkdtemp(join(packed, 'partial-'));
  await writeFile(join(partial, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  // Works offline, because the package has no dependencies.
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', '--loglevel=error', tarball], { cwd: partial });
  // Another test file may have been faster.
  await rename(partial, folder).catch(() => rm(partial, { recursive: true }));
  return folder;
}

let installed;

const exists = (path) => access(path).then(() => true, () => false);

/**
 * Creates a project: a copy of an example, or an empty one; with the package in its `node_modules`, and the named
 * packages beside it.
 */
export async function project({ example, others = [], files = {} }) {
  const folder = await mkdtemp(join(tmpdir(), 'sortie-npm-'));
  made.push(folder);
  await cp(await (installed ??= installation()), folder, { recursive: true });
  if (example) {
    const from = join(examples, example);
    const { dependencies, devDependencies } = JSON.parse(await readFile(join(from, 'package.json'), 'utf8'));
    for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
      if (name !== 'sortie-recorder') others = [...others, [name, version]];
    }
    await cp(from, folder, { recursive: true, filter: (path) => !path.slice(from.length).includes('node_modules') });
  }
  for (const other of others) await link(folder, ...[other].flat());
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return folder;
}

/** Links a package that is installed for the tests; the version must be the one that the example asks for. */
async function link(folder, name, version) {
  const source = await realpath(join(here, 'node_modules', name));
  const { version: have } = JSON.parse(await readFile(join(source, 'package.json'), 'utf8'));
  if (version && version !== have) throw new Error(`the example wants ${name} ${version}, the tests have ${have}`);
  const target = join(folder, 'node_modules', name);
  await mkdir(dirname(target), { recursive: true });
  await symlink(source, target);
}

/** Returns the path of a program that a package installs. */
export const program = (name) => join(here, 'node_modules/.bin', name);

export async function removeProjects() {
  await Promise.all(made.splice(0).map((folder) => rm(folder, { recursive: true, force: true })));
}

// Contents of the tarball: it can be imported without a browser, its types match the code, and it follows the conventions
// of packages.

import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { program, project, removeProjects, run, tarball } from './support/project.mjs';

const compilerOptions = {
  strict: true, noEmit: true, skipLibCheck: false, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true,
  target: 'es2022', lib: ['es2022', 'dom', 'dom.iterable'], types: [],
};

const SOURCES = new URL('../../client/npm/', import.meta.url);

describe('the packed package', { timeout: 600_000 }, () => {
  let folder;

  before(async () => {
    folder = await project({
      others: ['react', 'react-dom', '@types/react', 'vue', 'svelte', 'preact', 'solid-js'],
      files: {
        'types.ts': await readFile(new URL('types.ts', import.meta.url), 'utf8'),
        'frameworks.ts': await readFile(new URL('frameworks.ts', import.meta.url), 'utf8'),
        'react.tsx': await readFile(new URL('react.tsx', import.meta.url), 'utf8'),
        'oldest.json': JSON.stringify({ compilerOptions: { ...compilerOptions, module: 'esnext', moduleResolution: 'bundler' }, files: ['types.ts'] }),
        // The frameworks' own types do not pass skipLibCheck: false.
        'frameworks.json': JSON.stringify({
          compilerOptions: { ...compilerOptions, skipLibCheck: true, module: 'esnext', moduleResolution: 'bundler', jsx: 'react-jsx' },
          files: ['frameworks.ts', 'react.tsx'],
        }),
        'bundler.json': JSON.stringify({ compilerOptions: { ...compilerOptions, module: 'esnext', moduleResolution: 'bundler' }, files: ['types.ts'] }),
        'node.json': JSON.stringify({ compilerOptions: { ...compilerOptions, module: 'nodenext' }, files: ['types.ts'] }),
      },
    });
  });
  after(removeProjects);

  /** Runs a module in the project, without a browser. */
  const node = async (source) => {
    const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '--eval', source], { cwd: folder });
    assert.equal(stderr, '');
    return stdout.trim();
  };

  test('contains exactly the exported files', async () => {
    const installed = join(folder, 'node_modules/sortie-recorder');
    const { exports, version, dependencies } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'));
    assert.match(version, /^\d+\.\d+\.\d+/);
    assert.equal(dependencies, undefined);
    const files = new Set(await readdir(installed));
    for (const path of new Set(Object.values(exports).flatMap((it) => (it.types ? Object.values(it) : [it])))) {
      assert.ok(files.delete(path.slice(2)), `${path} is exported and not there`);
    }
    // Chunks shared by the entry points have a hash in their names.
    const others = [...files].map((name) => name.replace(/-[A-Z0-9]{8}\.js/, '.js')).filter((name) => !/^chunk\.js(\.map)?$/.test(name));
    assert.deepEqual(others.sort(), [
      'CHANGELOG.md', 'LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'THIRD_PARTY_LICENSES.txt', 'auto-record.js', 'auto-record.js.map',
      'core.js', 'element.js.map', 'faults.js.map', 'index.js.map', 'later.js', 'playable.js', 'react.js.map', 'recovery.js',
      'recovery.js.map', 'requests.js', 'requests.js.map', 'session_watcher.js', 'setup.js', 'setup.js.map', 'store.d.ts', 'svelte.js.map', 'types.d.ts', 'unknown-options.js',
      'unknown-options.js.map', 'vue.js.map',
    ]);
  });

  test('import on a server has no effect', async () => {
    const said = await node(`
      // Globals of the frameworks do not count.
      await Promise.all(['react', 'vue', 'svelte'].map((it) => import(it)));
      const before = Object.getOwnPropertyNames(globalThis).join();
      globalThis.fetch = () => { throw new Error('it asked for something'); };
      const all = await Promise.all(['', '/react', '/vue', '/svelte', '/element', '/faults'].map((it) => import('sortie-recorder' + it)));
      const recorder = new all[0].Recorder({ server: '', source: 'screen' });
      const error = await recorder.start().catch((it) => it);
      console.log(JSON.stringify({
        names: all.map((it) => Object.keys(it)), state: recorder.state, code: error.code,
        is: error instanceof all[0].RecorderError, same: before === Object.getOwnPropertyNames(globalThis).join(),
      }));
    `);
    assert.deepEqual(JSON.parse(said), {
      names: [['Recorder', 'RecorderError', 'autoRecord', 'load', 'supportedFormats', 'uploadFile', 'whenPresent'], ['useRecorder'], ['useRecorder'], ['createRecorder'], ['SortieRecorderElement'], ['injectFaults']],
      state: 'idle', code: 'unsupported', is: true, same: true,
    });
  });

  test('constructor rejects wrong options by name and warns of unknown ones once', async () => {
    const said = await node(`
      const warned = [];
      console.warn = (text) => warned.push(text);
      const { Recorder, uploadFile } = await import('sortie-recorder');
      const right = { server: '', source: 'screen' };
      const refuses = (options) => {
        try {
          new Recorder(options);
          return 'nothing';
        } catch (error) {
          return error.name + ': ' + error.message;
        }
      };
      const wrong = [
        undefined, { server: '' }, { source: 'screen' }, { ...right, endpoint: '/files/' }, { endpoint: '/files/', source: 'screen', session: 's' },
        { ...right, source: 'window' }, { ...right, fps: '30' }, { ...right, maxDuration: 0 }, { ...right, microphone: 1 },
        { ...right, getToken: 'token' }, { ...right, owner: 7 }, { ...right, maxSize: NaN },
        { ...right, metadata: [] }, { ...right, externalId: 7 }, { endpoint: '/files/', source: 'screen', metadata: {} },
      ];
      const fine = [{ ...right, externalId: '7', metadata: {} }, { ...right, owner: undefined, session: null }, { ...right, source: () => 'camera', fps: 0.5 }];
      for (let time = 0; time < 2; time += 1) new Recorder({ ...right, max_duration: 1, surprise: 2 });
      // The text of the warnings is imported.
      while (warned.length === 0) await new Promise(setImmediate);
      const file = await uploadFile({}, { server: 7 }).catch((error) => error.name + ': ' + error.message);
      console.log(JSON.stringify({ wrong: wrong.map(refuses), fine: fine.map(refuses), warned, file }));
    `);
    const { wrong, fine, warned, file } = JSON.parse(said);
    const names = ['options', 'source', 'server', 'server', 'session', 'source', 'fps', 'maxDuration', 'microphone', 'getToken', 'owner', 'maxSize', 'metadata', 'externalId', 'metadata'];
    assert.equal(wrong.length, names.length);
    names.forEach((name, at) => assert.match(wrong[at], new RegExp(`^TypeError: .*\\b${name}\\b`)));
    assert.deepEqual(fine, ['nothing', 'nothing', 'nothing']);
    assert.deepEqual(warned, [
      'sortie-recorder: the option max_duration is unknown and ignored. Is maxDuration meant?',
      'sortie-recorder: the option surprise is unknown and ignored.',
    ]);
    assert.equal(file, 'TypeError: server must be a string');
  });

  test('the hook renders on a server', async () => {
    const html = await node(`
      import { createElement } from 'react';
      import { renderToString } from 'react-dom/server';
      import { useRecorder } from 'sortie-recorder/react';
      const Button = () => createElement('button', null, useRecorder({ server: '', source: 'screen' }).state);
      console.log(renderToString(createElement(Button)));
    `);
    assert.equal(html, '<button>idle</button>');
  });

  for (const name of ['bundler', 'node', 'frameworks']) {
    test(`types hold under --strict: ${name}.json`, () => compiles(program('tsc'), name));
  }

  test('types hold with the oldest supported TypeScript', async () => {
    const oldest = new URL('node_modules/typescript50/bin/tsc', import.meta.url).pathname;
    const { stdout } = await run(process.execPath, [oldest, '--version']);
    assert.match(stdout, /^Version 5\.0\./);
    await compiles(process.execPath, 'oldest', [oldest]);
  });

  /** Compiles a project of `folder`. */
  async function compiles(command, name, before = []) {
    await run(command, [...before, '--project', `${name}.json`], { cwd: folder }).catch((failed) => {
      assert.fail(failed.stdout || failed.message);
    });
  }

  test('publint and Are The Types Wrong find nothing', async () => {
    const failed = ({ stdout, stderr, message }) => assert.fail(stdout || stderr || message);
    await run(program('publint'), [join(dirname(tarball), 'sortie-recorder'), '--strict'], { cwd: folder }).catch(failed);
    // The package has no CommonJS modules, and these exports are no modules.
    const others = ['worker.js', 'core_bg.wasm', 'later_bg.wasm', 'session_watcher_bg.wasm', 'playable_bg.wasm', 'custom-elements.json'];
    await run(program('attw'), [tarball, '--profile', 'esm-only', '--no-emoji', '--exclude-entrypoints', ...others], { cwd: folder }).catch(failed);
  });

  test('files that a page fetches are within their limits', async () => {
    await run(program('size-limit'), [], { cwd: new URL('.', import.meta.url).pathname }).catch(({ stdout, message }) => {
      assert.fail(stdout || message);
    });
  });

  test('source maps contain the sources', async () => {
    const installed = join(folder, 'node_modules/sortie-recorder');
    const maps = (await readdir(installed)).filter((it) => it.endsWith('.js.map'));
    const sources = new Set();
    for (const name of maps) {
      const map = JSON.parse(await readFile(join(installed, name), 'utf8'));
      map.sources.forEach((source, at) => {
        assert.ok(map.sourcesContent[at].length > 0, `${name}: ${source}`);
        sources.add(source.split('/').at(-1));
      });
    }
    for (const name of ['recorder.js', 'element.js', 'vue.js', 'svelte.js', 'store.js']) assert.ok(sources.has(name), name);
  });

  test('licences of all compiled libraries are contained', async () => {
    const text = await readFile(join(folder, 'node_modules/sortie-recorder/THIRD_PARTY_LICENSES.txt'), 'utf8');
    for (const name of ['wasm-bindgen', 'web-sys', 'talc', 'Rust standard library']) assert.match(text, new RegExp(`^${name} [\\d.]+ \\(`, 'm'));
    assert.doesNotMatch(text, /GPL/);
  });

  test('custom elements manifest matches the element', async () => {
    const scratch = await mkdtemp(join(tmpdir(), 'sortie-manifest-'));
    try {
      await copyFile(new URL('element.js', SOURCES), join(scratch, 'element.js'));
      await writeFile(join(scratch, 'package.json'), '{}');
      await run(program('custom-elements-manifest'), ['analyze', '--globs', 'element.js', '--outdir', '.', '--quiet'], { cwd: scratch });
      const manifest = publicMembers(JSON.parse(await readFile(join(scratch, 'custom-elements.json'), 'utf8')));
      const file = new URL('custom-elements.json', SOURCES);
      if (process.env.UPDATE_DOCS) await writeFile(file, `${JSON.stringify(manifest, null, 2)}\n`);
      assert.deepEqual(manifest, JSON.parse(await readFile(file, 'utf8')), 'run this test with UPDATE_DOCS=1');
      const [{ attributes }] = manifest.modules[0].declarations;
      const types = await readFile(new URL('element.d.ts', SOURCES), 'utf8');
      for (const { name } of attributes) assert.match(types, new RegExp(`^  '?${name}'?\\?:`, 'm'));
    } finally {
      await rm(scratch, { recursive: true });
    }
  });

  test('types declare exactly the public members', async () => {
    const modules = { Recorder: 'sortie-recorder', RecoverableRecording: new URL('recoverable-recording.js', SOURCES).href };
    for (const [name, module] of Object.entries(modules)) {
      const declared = await declaredMembers(join(folder, 'node_modules/sortie-recorder'), name);
      const members = await node(`
        import { ${name} as It } from '${module}';
        console.log(Object.getOwnPropertyNames(It.prototype).sort().join());
      `);
      // Inherited members that are described again.
      const inherited = ['addEventListener', 'constructor', 'removeEventListener'];
      const own = (all) => all.filter((it) => !inherited.includes(it)).join();
      assert.equal(own(members.split(',')), own(declared), name);
    }
  });
});

/** Removes private members, and events that the analyzer guesses. */
function publicMembers(manifest) {
  for (const module of manifest.modules) {
    module.declarations = module.declarations.filter((it) => it.tagName);
    for (const it of module.declarations) {
      it.members = it.members.filter(({ privacy, description }) => privacy !== 'private' && description);
      it.events = it.events.filter(({ description }) => description);
    }
  }
  return manifest;
}

/** Returns the public members of a class or an interface in index.d.ts, as the compiler reads it. */
async function declaredMembers(installed, name) {
  const { default: ts } = await import('typescript');
  const text = await readFile(join(installed, 'index.d.ts'), 'utf8');
  const source = ts.createSourceFile('index.d.ts', text, ts.ScriptTarget.Latest);
  const found = source.statements.find((it) => (ts.isClassDeclaration(it) || ts.isInterfaceDeclaration(it)) && it.name.text === name);
  const members = found.members.filter((it) => it.name && !ts.getModifiers(it)?.some((m) => m.kind === ts.SyntaxKind.StaticKeyword));
  return [...new Set(members.map((it) => it.name.text))].sort();
}

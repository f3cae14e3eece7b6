// Contents of the tarball: it can be imported without a browser, and its types match the code.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { program, project, removeProjects, run } from './support/project.mjs';

const compilerOptions = {
  strict: true, noEmit: true, skipLibCheck: false, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true,
  target: 'es2022', lib: ['es2022', 'dom', 'dom.iterable'], types: [],
};

describe('the packed package', { timeout: 600_000 }, () => {
  let folder;

  before(async () => {
    folder = await project({
      others: ['react', 'react-dom', '@types/react'],
      files: {
        'types.ts': await readFile(new URL('types.ts', import.meta.url), 'utf8'),
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
    for (const path of Object.values(exports).flatMap((it) => (it.types ? [it.types, it.default] : [it]))) {
      assert.ok(files.delete(path.slice(2)), `${path} is exported and not there`);
    }
    // Chunks shared by the entry points have a hash in their names.
    const others = [...files].map((name) => name.replace(/-[A-Z0-9]{8}\.js/, '.js')).filter((name) => !/^chunk\.js(\.map)?$/.test(name));
    assert.deepEqual(others.sort(), [
      'LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'auto-record.js', 'auto-record.js.map', 'core.js', 'element.js.map', 'faults.js.map',
      'index.js.map', 'later.js', 'playable.js', 'react.js.map', 'recovery.js', 'recovery.js.map', 'session_watcher.js', 'types.d.ts',
    ]);
  });

  test('import on a server has no effect', async () => {
    const said = await node(`
      const before = Object.getOwnPropertyNames(globalThis).join();
      globalThis.fetch = () => { throw new Error('it asked for something'); };
      const all = await Promise.all(['', '/react', '/element', '/faults'].map((it) => import('sortie-recorder' + it)));
      const recorder = new all[0].Recorder({ server: '', source: 'screen' });
      const error = await recorder.start().catch((it) => it);
      console.log(JSON.stringify({
        names: all.map((it) => Object.keys(it)), state: recorder.state, code: error.code,
        is: error instanceof all[0].RecorderError, same: before === Object.getOwnPropertyNames(globalThis).join(),
      }));
    `);
    assert.deepEqual(JSON.parse(said), {
      names: [['Leftover', 'Recorder', 'RecorderError', 'RecoverableRecording', 'autoRecord', 'load', 'uploadFile', 'whenPresent'], ['useRecorder'], ['SortieRecorderElement'], ['injectFaults']],
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
      ];
      const fine = [right, { ...right, owner: undefined, session: null }, { ...right, source: () => 'camera', fps: 0.5 }];
      for (let time = 0; time < 2; time += 1) new Recorder({ ...right, max_duration: 1, surprise: 2 });
      const file = await uploadFile({}, { server: 7 }).catch((error) => error.name + ': ' + error.message);
      console.log(JSON.stringify({ wrong: wrong.map(refuses), fine: fine.map(refuses), warned, file }));
    `);
    const { wrong, fine, warned, file } = JSON.parse(said);
    const names = ['options', 'source', 'server', 'server', 'session', 'source', 'fps', 'maxDuration', 'microphone', 'getToken', 'owner', 'maxSize'];
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

  for (const resolution of ['bundler', 'node']) {
    test(`its types hold under --strict, resolved as ${resolution} does`, async () => {
      await run(program('tsc'), ['--project', `${resolution}.json`], { cwd: folder }).catch((failed) => {
        assert.fail(failed.stdout || failed.message);
      });
    });
  }

  test('types declare exactly the public members', async () => {
    for (const name of ['Recorder', 'RecoverableRecording']) {
      const declared = await declaredMembers(join(folder, 'node_modules/sortie-recorder'), name);
      const members = await node(`
        import { ${name} as It } from 'sortie-recorder';
        console.log(Object.getOwnPropertyNames(It.prototype).filter((it) => it !== 'constructor').sort().join());
      `);
      // Inherited members that are described again.
      const own = declared.filter((it) => !['addEventListener', 'removeEventListener'].includes(it));
      assert.equal(members, own.join(), name);
    }
  });
});

/** Returns the public members of a class in index.d.ts, as the compiler reads it. */
async function declaredMembers(installed, name) {
  const { default: ts } = await import('typescript');
  const text = await readFile(join(installed, 'index.d.ts'), 'utf8');
  const source = ts.createSourceFile('index.d.ts', text, ts.ScriptTarget.Latest);
  const found = source.statements.find((it) => ts.isClassDeclaration(it) && it.name.text === name);
  const members = found.members.filter((it) => it.name && !ts.getModifiers(it)?.some((m) => m.kind === ts.SyntaxKind.StaticKeyword));
  return [...new Set(members.map((it) => it.name.text))].sort();
}

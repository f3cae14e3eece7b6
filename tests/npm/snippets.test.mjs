// Every snippet of the package's documents is built, runs in a page and records on the real server. A test below names
// each snippet by document, heading and language; a snippet without a test fails.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { build as esbuild } from 'esbuild';
import { untilReady } from '../browser/support/assertions.mjs';
import { FAKE_CAMERA, launch, shareTab, withPage } from '../browser/support/browser.mjs';
import { codeBlocks } from './support/markdown.mjs';
import { program, project, run } from './support/project.mjs';
import { PATIENCE, READY_WITHIN_MS, RECORD_MS } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

const DOCUMENTS = ['README.md', 'client/npm/README.md', 'docs/recorder.md'];
/** Languages that run in a page. */
const RUNNING = ['js', 'jsx', 'vue', 'svelte', 'html'];
const EXPORTS = ['Recorder', 'autoRecord', 'load', 'uploadFile', 'whenPresent'];
/** Title of the page that shares its own tab. */
const SHARED = 'Shared';

const page = (body, title = 'Snippet') => `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head>
  <body><div id="screen"><canvas width="320" height="240"></canvas></div>${body}</body></html>`;

/** Draws a picture to record. */
const DRAW = `
  const picture = document.querySelector('canvas').getContext('2d', { alpha: false });
  const draw = (now) => {
    picture.fillStyle = 'hsl(' + now / 20 + ' 60% 45%)';
    picture.fillRect(0, 0, 320, 240);
    requestAnimationFrame(draw);
  };
  requestAnimationFrame(draw);
`;

const snippets = new Map();
for (const document of DOCUMENTS) {
  const text = await readFile(new URL(`../../${document}`, import.meta.url), 'utf8');
  for (const { heading, language, code } of codeBlocks(text)) {
    if (!RUNNING.includes(language)) continue;
    let key = `${document}, ${heading}, ${language}`;
    while (snippets.has(key)) key += ' again';
    snippets.set(key, code);
  }
}
const tested = new Set();

describe('snippets of the documents', { timeout: 600_000 }, () => {
  const stage = useSite({ start: () => launch([...FAKE_CAMERA, ...shareTab(SHARED)]) });
  let site, server, api, usual;

  before(async () => {
    ({ site, server, api } = stage);
    usual = await stage.browser.newContext();
  });

  /** Returns a snippet with the tests' server, and with a wait where a comment leaves something out. */
  const snippet = (key) => {
    tested.add(key);
    return (snippets.get(key) ?? assert.fail(`there is no snippet ${key}`))
      .replaceAll('https://recordings.example.org', server.origin)
      .replace(/\/\/ …$/m, `await new Promise((resolve) => { setTimeout(resolve, ${RECORD_MS}); });`);
  };
  const target = () => `
    const server = ${JSON.stringify(server.origin)};
    const token = ${JSON.stringify(api.tokens.access_token)};
    const getToken = async () => token;
  `;

  /** Builds a page with Vite and opens it. */
  const open = async (name, { files, others = [], plugin, body = '', title, context }, use) => {
    const config = plugin && `import { ${plugin[1]} as plugin } from '${plugin[0]}';\nexport default { base: './', plugins: [plugin()] };`;
    const folder = await project({
      others: [...others, ...(plugin ? [plugin[0]] : [])],
      files: { 'index.html': page(`${body}<script type="module" src="./main.js"></script>`, title), ...(config && { 'vite.config.js': config }), ...files },
    });
    await run(program('vite'), ['build', '--logLevel', 'warn', '--base', './'], { cwd: folder });
    await visit(name, site.add(name, join(folder, 'dist')), use, context);
  };
  const visit = (name, url, use, context = usual) =>
    withPage(context, `npm snippet ${name}`, async (tab) => {
      await tab.goto(url);
      await use(tab);
    });
  /** Waits for `window.result`. */
  const result = async (tab) => {
    await tab.waitForFunction(() => window.result !== undefined, null, PATIENCE);
    return tab.evaluate(() => window.result);
  };
  const isReady = (id) => untilReady(api, id, READY_WITHIN_MS);

  /** Returns a module with a snippet between other code. Code after it sets `window.result`. */
  const moduleOf = (key, { before: first = '', after: last }) => {
    const code = snippet(key);
    const missing = EXPORTS.filter((it) => new RegExp(`\\b${it}\\b`).test(`${first}${code}${last}`) && !new RegExp(`import .*\\b${it}\\b`).test(code));
    const imports = missing.length > 0 ? `import { ${missing.join(', ')} } from 'sortie-recorder';` : '';
    return [imports, DRAW, target(), first, code, last].join('\n');
  };
  const runs = (name, key, around, use, context) => open(name, { files: { 'main.js': moduleOf(key, around) }, context }, use);
  const CANVAS_RECORDER = "const recorder = new Recorder({ server, getToken, source: document.querySelector('canvas') });";
  const STOP = `await new Promise((resolve) => { setTimeout(resolve, 1_500); }); window.result = (await recorder.stop()).recordingId;`;

  // They wait more than they compute.
  describe('side by side', { concurrency: 4 }, () => {
    for (const key of ['README.md, Record from your own page, js', 'client/npm/README.md, sortie-recorder, js']) {
      test(key, () => runs(`first-${key.length}`, key, { after: 'window.result = recordingId;' }, async (tab) => isReady(await result(tab))));
    }

    test('docs/recorder.md, Record a source: plain page', async () => {
      const code = snippet('docs/recorder.md, Record a source, html').replace('</script>', 'window.result = recordingId;\n</script>');
      const folder = await project({ files: { 'index.html': page(`<script>${DRAW}${target()}</script>${code}`) } });
      await visit('plain', site.add('plain', folder), async (tab) => isReady(await result(tab)));
    });

    test('docs/recorder.md, Record a source: start again after signed_out', async () => {
      const first = `
        let signedIn = false;
        const signIn = async () => { signedIn = true; };
        const recorder = new Recorder({
          server, source: document.querySelector('canvas'), getToken: () => { if (!signedIn) throw new Error('signed out'); return token; },
        });`;
      await runs('again', 'docs/recorder.md, Record a source, js', { before: first, after: STOP }, async (tab) => isReady(await result(tab)));
    });

    for (const [heading, start] of [['Choose the format', 'await recorder.start();'], ['Add a camera and a microphone', '']]) {
      test(`docs/recorder.md, ${heading}`, async () => {
        await runs(heading.split(' ')[0], `docs/recorder.md, ${heading}, js`, { after: `${start} ${STOP}` }, async (tab) => isReady(await result(tab)));
      });
    }

    for (const heading of ['Hide parts of the picture', 'Record one element of the page']) {
      test(`docs/recorder.md, ${heading}`, async () => {
        // The fake devices include a fake screen, which is not the page's tab.
        const browser = await launch(['--auto-accept-this-tab-capture']);
        try {
          const context = await browser.newContext();
          await runs(heading.split(' ')[0], `docs/recorder.md, ${heading}, js`, { after: STOP }, async (tab) => isReady(await result(tab)), context);
        } finally {
          await browser.close();
        }
      });
    }

    test('docs/recorder.md, Bundle it', async () => {
      const code = moduleOf('docs/recorder.md, Bundle it, js', { after: `${CANVAS_RECORDER} await recorder.start(); ${STOP}` });
      const folder = await project({ files: { 'index.html': page('<script type="module" src="./main.js"></script>'), 'entry.js': code } });
      // Unlike Vite, esbuild neither copies nor renames the modules.
      await esbuild({ absWorkingDir: folder, entryPoints: ['entry.js'], bundle: true, format: 'esm', outfile: 'main.js', logLevel: 'error' });
      site.add('programs', join(folder, 'node_modules/sortie-recorder'));
      const loaded = [];
      await visit('load', 'about:blank', async (tab) => {
        tab.on('request', (request) => loaded.push(new URL(request.url()).pathname));
        await tab.goto(site.add('load', folder));
        await isReady(await result(tab));
      });
      assert.ok(loaded.includes('/programs/core_bg.wasm'), loaded.join());
    });

    const clicks = async (tab) => {
      const started = tab.waitForResponse((it) => it.request().method() === 'POST' && it.url().endsWith('/recording/start'), PATIENCE);
      await tab.getByRole('button', { name: 'Record' }).click();
      const { recording_id: id } = await (await started).json();
      const stop = tab.getByRole('button', { name: /^Stop/ });
      await stop.waitFor(PATIENCE);
      await wait(RECORD_MS);
      await stop.click();
      await tab.getByRole('button', { name: 'Record' }).waitFor(PATIENCE);
      await isReady(id);
    };
    const PROPS = "server, getToken, source: document.querySelector('canvas')";
    for (const [language, options] of Object.entries({
      jsx: {
        others: ['react', 'react-dom'], plugin: ['@vitejs/plugin-react', 'default'], file: 'Recording.jsx',
        main: "import { createElement } from 'react';\nimport { createRoot } from 'react-dom/client';\nimport { Recording } from './Recording.jsx';",
        mount: `createRoot(document.getElementById('app')).render(createElement(Recording, { ${PROPS} }));`,
      },
      vue: {
        others: ['vue'], plugin: ['@vitejs/plugin-vue', 'default'], file: 'Recording.vue',
        main: "import { createApp } from 'vue';\nimport Recording from './Recording.vue';",
        mount: `createApp(Recording, { ${PROPS} }).mount('#app');`,
      },
      svelte: {
        others: ['svelte'], plugin: ['@sveltejs/vite-plugin-svelte', 'svelte'], file: 'Recording.svelte',
        main: "import { mount } from 'svelte';\nimport Recording from './Recording.svelte';",
        mount: `mount(Recording, { target: document.getElementById('app'), props: { ${PROPS} } });`,
      },
    })) {
      test(`docs/recorder.md, Use a framework: ${language}`, async () => {
        const { others, plugin, file, main, mount } = options;
        const code = snippet(`docs/recorder.md, Use a framework, ${language}`);
        const files = { [file]: code, 'main.js': [main, DRAW, target(), mount].join('\n') };
        await open(`framework-${language}`, { files, others, plugin, body: '<div id="app"></div>' }, clicks);
      });
    }

    test('docs/recorder.md, Use the button', async () => {
      const body = snippet('docs/recorder.md, Use the button, html');
      const code = snippet('docs/recorder.md, Use the button, js');
      const listen = "button.addEventListener('done', ({ detail }) => { window.result = detail.recordingId; });";
      await open('button', { body, title: SHARED, files: { 'main.js': [DRAW, target(), code, listen].join('\n') } }, async (tab) => {
        // It shares this tab, and the microphone.
        await tab.getByRole('button', { name: 'Start recording' }).click();
        const stop = tab.getByRole('button', { name: 'Stop recording' });
        await stop.waitFor(PATIENCE);
        await wait(RECORD_MS);
        await stop.click();
        await isReady(await result(tab));
      });
    });

    test('docs/recorder.md, Record a session automatically', async () => {
      const session = (await (await api.post('/api/sessions', { app_id: 'e2e' })).json()).id;
      const turn = (value) => api.fetch('/api/admin/settings', {
        method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ recording_auto_record: value }),
      });
      assert.equal((await turn('true')).status, 204);
      try {
        const first = `const session = ${JSON.stringify(session)};`;
        await runs('auto', 'docs/recorder.md, Record a session automatically, js', { before: first, after: "window.result = 'over';" }, async (tab) => {
          let mine;
          for (let tries = 0; !mine && tries < 100; tries += 1) {
            await wait(200);
            mine = (await api.recordings()).find((it) => it.session_id === session);
          }
          assert.ok(mine, 'nothing was recorded');
          await wait(RECORD_MS);
          assert.ok((await api.post(`/api/sessions/${session}/stop`)).ok);
          assert.equal(await result(tab), 'over');
          await isReady(mine.id);
        });
      } finally {
        await turn('false');
      }
    });

    test('docs/recorder.md, Recover recordings after a crash', async () => {
      let url;
      const setUp = `
        const choices = [];
        const ask = async (...shown) => { choices.push(shown); return 'upload'; };
        const save = () => {};
        if (location.hash === '#record') {
          ${CANVAS_RECORDER.replace('const recorder', 'window.recorder')}
          await window.recorder.start();
          await new Promise(() => {});
        }`;
      const key = 'docs/recorder.md, Recover recordings after a crash, js';
      const context = await stage.browser.newContext();
      await runs('recover', key, { before: setUp, after: 'window.result = choices;' }, async (tab) => { url = tab.url(); }, context);
      let id;
      await visit('crashed', 'about:blank', async (tab) => {
        await tab.goto(`${url}#record`);
        await tab.waitForFunction(() => window.recorder?.progress.safeMs > 0, null, PATIENCE);
        await tab.route('**/api/uploads/**', (route) => route.abort());
        const from = await tab.evaluate(() => window.recorder.progress.recordedMs);
        await tab.waitForFunction((it) => window.recorder.progress.recordedMs > it + 2_000, from, PATIENCE);
        id = await tab.evaluate(() => window.recorder.recordingId);
        await tab.goto('about:blank');
      }, context);
      await visit('recovered', url, async (tab) => {
        const [[recordedMs, sizeBytes, onServer], ...others] = await result(tab);
        assert.ok(recordedMs > 2_000 && sizeBytes > 0, `${recordedMs} ms, ${sizeBytes} bytes`);
        assert.deepEqual([onServer, others], ['resumable', []]);
      }, context);
      await isReady(id);
      await context.close();
    });

    test('docs/recorder.md, Recover recordings after a crash: sign out', async () => {
      const before = `
        const userId = 'ann';
        window.signedOut = 0;
        const signOut = async () => { window.signedOut += 1; };
        const confirm = (text) => { window.asked = text; return true; };
        if (location.hash === '#record') {
          ${CANVAS_RECORDER.replace('const recorder', 'window.recorder').replace('source:', "owner: 'ann', source:")}
          await window.recorder.start();
          await new Promise(() => {});
        }`;
      const key = 'docs/recorder.md, Recover recordings after a crash, js again';
      const context = await stage.browser.newContext();
      let url;
      await runs('sign-out', key, { before, after: 'window.result = [window.signedOut, window.asked ?? null];' }, async (tab) => {
        url = tab.url();
        assert.deepEqual(await result(tab), [1, null]);
      }, context);
      await visit('signed-out', `${url}#record`, async (tab) => {
        await tab.waitForFunction(() => window.recorder?.progress.safeMs > 0, null, PATIENCE);
        await tab.route('**/api/uploads/**', (route) => route.abort());
        const from = await tab.evaluate(() => window.recorder.progress.recordedMs);
        await tab.waitForFunction((it) => window.recorder.progress.recordedMs > it + 2_000, from, PATIENCE);
        await tab.goto('about:blank');
      }, context);
      for (const asked of ['Delete 1 unfinished recordings from this device?', null]) {
        await visit('signs-out', url, async (tab) => assert.deepEqual(await result(tab), [1, asked]), context);
      }
      await context.close();
    });

    test('docs/recorder.md, Upload a file', async () => {
      const first = `
        const encoder = new MediaRecorder(document.querySelector('canvas').captureStream(30), { mimeType: 'video/webm' });
        const chunks = [];
        encoder.ondataavailable = ({ data }) => chunks.push(data);
        const stopped = new Promise((resolve) => { encoder.onstop = resolve; });
        encoder.start();
        setTimeout(() => encoder.stop(), 1_500);
        await stopped;
        const file = new File(chunks, 'lecture.webm', { type: 'video/webm' });`;
      await runs('file', 'docs/recorder.md, Upload a file, js', { before: first, after: 'window.result = recordingId;' }, async (tab) => {
        const id = await result(tab);
        await isReady(id);
        assert.equal((await api.recording(id)).filename, 'lecture.webm');
      });
    });

    test('docs/recorder.md, Events', async () => {
      const last = `
        await recorder.start();
        await new Promise((resolve) => { setTimeout(resolve, 1_500); });
        recorder.stop();
        window.result = [await started, await stopped, (await finished).recordingId];`;
      await runs('events', 'docs/recorder.md, Events, js', { before: CANVAS_RECORDER, after: last }, async (tab) => {
        const [state, reason, id] = await result(tab);
        assert.deepEqual([state, reason], ['recording', 'user']);
        await isReady(id);
      });
    });
  });

  test('every snippet has a test', () => {
    assert.deepEqual([...snippets.keys()].filter((it) => !tested.has(it)), []);
  });
});

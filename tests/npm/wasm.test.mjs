// Files that a page fetches from the package: only the module in use, within the size limit.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { brotliCompressSync } from 'node:zlib';
import { withPage } from '../browser/support/browser.mjs';
import { project } from './support/project.mjs';
import { PATIENCE } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

/** Size of JavaScript and WebAssembly that a page needs to record, compressed with Brotli. */
const RECORDING_BYTES = 85_000;

/** Size of the code for masks, regions, cameras over the picture and devices. */
const SETUP_BYTES = 9_000;

const PAGE = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Record</title>
  <script type="module" src="./main.js"></script></head><body><canvas width="320" height="240"></canvas></body></html>`;

const MAIN = (target) => `
  import * as all from './node_modules/sortie-recorder/index.js';
  const canvas = document.querySelector('canvas');
  const context = canvas.getContext('2d', { alpha: false });
  const draw = (now) => {
    context.fillStyle = 'hsl(' + now / 20 + ' 60% 45%)';
    context.fillRect(0, 0, canvas.width, canvas.height);
    requestAnimationFrame(draw);
  };
  requestAnimationFrame(draw);
  window.target = ${target};
  window.all = all;
  window.canvas = canvas;
`;

describe('what a page fetches', { timeout: 300_000 }, () => {
  const stage = useSite();
  let site, server, context, api;

  before(() => ({ site, server, context, api } = stage));

  /** Opens a page, calls `use` and returns the fetched files of the package: name and compressed size. */
  const fetched = async (name, use) => {
    const target = `{ server: ${JSON.stringify(server.origin)}, getToken: () => ${JSON.stringify(api.tokens.access_token)} }`;
    const folder = await project({ files: { 'index.html': PAGE, 'main.js': MAIN(target) } });
    const files = new Map();
    await withPage(context, `npm fetches ${name}`, async (page) => {
      const pending = [];
      page.on('response', (response) => {
        const [, file] = /\/sortie-recorder\/(.+)$/.exec(response.url()) ?? [];
        if (file) pending.push(response.body().then((body) => files.set(file, brotliCompressSync(body).length)));
      });
      await page.goto(site.add(`fetches-${name}`, folder));
      await page.waitForFunction(() => window.all, null, PATIENCE);
      await use(page);
      await Promise.all(pending);
    });
    return files;
  };
  const programs = (files) => [...files.keys()].filter((it) => it.endsWith('.wasm')).sort();

  test('a page that imports the package fetches no WebAssembly', async () => {
    assert.deepEqual(programs(await fetched('nothing', () => {})), []);
  });

  test('a page that records fetches one module, within the promised size', async (t) => {
    const files = await fetched('recorder', (page) => page.evaluate(async () => {
      const recorder = new window.all.Recorder({ ...window.target, source: window.canvas });
      await recorder.start();
      await new Promise((resolve) => { setTimeout(resolve, 1_500); });
      await recorder.stop();
    }));
    assert.deepEqual(programs(files), ['core_bg.wasm']);
    const bytes = [...files.values()].reduce((sum, it) => sum + it, 0);
    t.diagnostic(`${bytes} bytes: ${[...files].map((it) => it.join(' ')).join(', ')}`);
    assert.ok(bytes <= RECORDING_BYTES, `${bytes} bytes`);
    assert.ok(![...files.keys()].some((it) => it.startsWith('setup')), [...files.keys()].join());
  });

  test('a page with masks fetches their code in addition', async (t) => {
    const files = await fetched('masks', (page) => page.evaluate(async () => {
      const recorder = new window.all.Recorder({ ...window.target, source: window.canvas, masks: [{ x: 0, y: 0, width: 9, height: 9 }] });
      await recorder.start();
      await recorder.abort();
    }));
    assert.deepEqual(programs(files), ['core_bg.wasm']);
    const [[, bytes], ...others] = [...files].filter(([name]) => name.startsWith('setup'));
    assert.deepEqual(others, []);
    t.diagnostic(`${bytes} bytes`);
    assert.ok(bytes < SETUP_BYTES, `${bytes} bytes`);
  });

  test('a page that uploads a file fetches no recorder', async () => {
    const files = await fetched('file', (page) => page.evaluate(
      () => window.all.uploadFile(new Blob(['no recording']), window.target).catch(() => {}),
    ));
    assert.deepEqual(programs(files), ['later_bg.wasm']);
  });

  test('a page that looks for recoverable recordings fetches no recorder', async () => {
    const files = await fetched('recover', (page) => page.evaluate(() => window.all.Recorder.recover(window.target).then((it) => it.length)));
    assert.deepEqual(programs(files), ['later_bg.wasm']);
  });

  test('a page that waits for its session fetches the session watcher only', async () => {
    const session = await (await api.post('/api/sessions', { app_id: 'e2e' })).json();
    const files = await fetched('session', (page) => page.evaluate(async (id) => {
      const stop = new AbortController();
      const watching = window.all.autoRecord({ ...window.target, session: id, source: window.canvas, signal: stop.signal, onError() {} });
      await new Promise((resolve) => { setTimeout(resolve, 1_000); });
      stop.abort();
      await watching.catch(() => {});
    }, session.id));
    assert.deepEqual(programs(files), ['session_watcher_bg.wasm']);
  });
});

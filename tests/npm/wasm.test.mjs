// Files that a page fetches from the package: only those in use. Their size is limited in `.size-limit.mjs`.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { withPage } from '../browser/support/browser.mjs';
import { PURPOSES } from './support/fetched-files.mjs';
import { project } from './support/project.mjs';
import { PATIENCE } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

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
  let context, api, url;

  before(async () => {
    ({ context, api } = stage);
    const target = `{ server: ${JSON.stringify(stage.server.origin)}, getToken: () => ${JSON.stringify(api.tokens.access_token)} }`;
    url = stage.site.add('fetches', await project({ files: { 'index.html': PAGE, 'main.js': MAIN(target) } }));
  });

  /** Opens a page, calls `use` and returns the names of the fetched files of the package. */
  const fetched = (name, use) => withPage(context, `npm fetches ${name}`, async (page) => {
    const files = new Set();
    page.on('response', (response) => {
      const [, file] = /\/sortie-recorder\/(.+)$/.exec(response.url()) ?? [];
      if (file) files.add(file);
    });
    await page.goto(url);
    await page.waitForFunction(() => window.all, null, PATIENCE);
    await use(page);
    return [...files].sort();
  });
  const filesOf = (...purposes) => [...new Set(purposes.flatMap((it) => PURPOSES[it].files))].sort();

  test('a page that imports the package fetches no WebAssembly', async () => {
    assert.deepEqual(await fetched('nothing', () => {}), filesOf('import'));
  });

  test('a page that records fetches one module', async () => {
    const files = await fetched('recorder', (page) => page.evaluate(async () => {
      const recorder = new window.all.Recorder({ ...window.target, source: window.canvas });
      await recorder.start();
      await new Promise((resolve) => { setTimeout(resolve, 1_500); });
      await recorder.stop();
    }));
    assert.deepEqual(files, filesOf('record'));
  });

  test('a page with masks fetches their code in addition', async () => {
    const files = await fetched('masks', (page) => page.evaluate(async () => {
      const recorder = new window.all.Recorder({ ...window.target, source: window.canvas, masks: [{ x: 0, y: 0, width: 9, height: 9 }] });
      await recorder.start();
      await recorder.abort();
    }));
    assert.deepEqual(files, filesOf('record', 'setup'));
  });

  test('a page that uploads a file fetches no recorder', async () => {
    const files = await fetched('file', (page) => page.evaluate(
      () => window.all.uploadFile(new Blob(['no recording']), window.target).catch(() => {}),
    ));
    assert.deepEqual(files, filesOf('later'));
  });

  test('a page that recovers recordings fetches no recorder, and the code for files when it saves one', async () => {
    await fetched('left', async (page) => {
      await page.evaluate(() => {
        window.recorder = new window.all.Recorder({ ...window.target, source: window.canvas });
        return window.recorder.start();
      });
      await page.waitForFunction(() => window.recorder.progress.safeMs > 0, null, PATIENCE);
    });
    const recover = () => window.all.Recorder.recover(window.target).then((found) => { window.found = found; return found.length; });
    const looking = await fetched('recover', async (page) => {
      assert.equal(await page.evaluate(recover), 1);
    });
    assert.deepEqual(looking, filesOf('later'));
    const saving = await fetched('save', async (page) => {
      assert.equal(await page.evaluate(recover), 1);
      assert.ok(await page.evaluate(() => window.found[0].download().then((it) => it.size)) > 0);
      await page.evaluate(() => window.found[0].discard());
    });
    assert.deepEqual(saving, filesOf('later', 'save'));
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
    assert.deepEqual(files, filesOf('watch'));
  });
});

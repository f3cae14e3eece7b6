// docs/integrate.md, followed step by step: every snippet runs as written, but for ports.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { launch, withPage } from '../browser/support/browser.mjs';
import { serverBinary } from '../browser/support/server.mjs';
import { Reader, snippetsOf } from './support/guide.mjs';
import { freePort } from './support/port.mjs';
import { tarball } from './support/project.mjs';

const GUIDE = new URL('../../docs/integrate.md', import.meta.url).pathname;
/** Longer than a start of the recorder on a busy machine. */
const PATIENCE = { timeout: 60_000 };

describe('docs/integrate.md', { timeout: 300_000 }, () => {
  let folder, reader, browser, snippets, app;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sortie-guide-'));
    const [server, port] = [await freePort(), await freePort()];
    snippets = await snippetsOf(GUIDE, {
      'SORTIE_PORT=8080': `SORTIE_PORT=${server}`,
      'http://localhost:8080': `http://localhost:${server}`,
      'http://localhost:3000': `http://localhost:${port}`,
      'listen(3000,': `listen(${port},`,
    });
    app = `http://localhost:${port}/`;
    await symlink(serverBinary, join(folder, 'sortie-server'));
    await writeFile(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
    reader = new Reader(folder, {
      PATH: `${folder}:${process.env.PATH}`,
      HOME: folder,
      SORTIE_DB: join(folder, 'sortie.db'),
      SORTIE_HOST: '127.0.0.1',
      SORTIE_RECORDER: tarball,
      npm_config_offline: 'true',
    });
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await reader?.close();
    await rm(folder, { recursive: true, force: true });
  });

  test('a reader who follows it records, plays back, finds and erases', async () => {
    const outputs = new Map();
    let hasRecorded = false;
    for (const snippet of snippets) {
      // The step after the app runs is to use it.
      if (outputs.has('app') && !hasRecorded) {
        await record();
        hasRecorded = true;
      }
      const output = await reader.follow(snippet);
      outputs.set(snippet.text.includes('node app.mjs') ? 'app' : snippet.line, output.trim());
    }
    assert.ok(hasRecorded);
    const shown = [...outputs.values()].filter(Boolean);
    // The number of recordings found, and the status of the erasure.
    assert.deepEqual(shown.slice(-2), ['1', 'done'], JSON.stringify(shown));
    const log = await readFile(join(folder, 'sortie.log'), 'utf8');
    assert.ok(!log.includes('panicked'), log);
  });

  /** Uses the app in a browser: records for two seconds, stops, and watches. */
  const record = async () => {
    const context = await browser.newContext();
    await withPage(context, 'integrate', async (page) => {
      // The app starts in the background.
      for (const end = performance.now() + PATIENCE.timeout; !(await fetch(app).catch(() => null));) {
        assert.ok(performance.now() < end, 'the app does not listen');
        await page.waitForTimeout(100);
      }
      await page.goto(app);
      await page.waitForFunction(() => document.querySelector('#stop').onclick, null, PATIENCE);
      await page.waitForTimeout(2_000);
      await page.getByRole('button', { name: 'Stop' }).click();
      await page.waitForFunction(() => document.querySelector('video').readyState >= 2, null, PATIENCE);
      const video = await page.evaluate(async () => {
        const video = document.querySelector('video');
        await video.play();
        video.currentTime = video.duration / 2;
        await new Promise((resolve) => { video.onseeked = resolve; });
        return { width: video.videoWidth, duration: video.duration, error: video.error?.message ?? null };
      });
      assert.equal(video.error, null);
      assert.equal(video.width, 320);
      assert.ok(video.duration > 1, `${video.duration} s`);
    });
    await context.close();
  };

  test('the runner reports a snippet that fails', async () => {
    await assert.rejects(reader.follow({ language: 'sh', text: 'false\ntrue', line: 7 }), /line 7: a command failed/);
    await assert.rejects(reader.follow({ language: 'js', text: 'no name', line: 8 }), /does not name its file/);
  });
});

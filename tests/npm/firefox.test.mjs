// The plain example in a real Firefox, which has another MediaRecorder.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { untilReady } from '../browser/support/assertions.mjs';
import { launchFirefox } from './support/firefox.mjs';
import { maskedPage } from './support/masked-page.mjs';
import { saved, secrets } from './support/pixels.mjs';
import { project } from './support/project.mjs';
import { RECORD_MS, finishedRecording, readSaved } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

/** Starting it takes long on a slow machine. */
const PATIENCE = { timeout: 60_000 };

describe('Firefox', { timeout: 600_000 }, () => {
  const stage = useSite({ start: () => launchFirefox() });
  let site, server, browser, api;

  before(() => ({ site, server, browser, api } = stage));

  test('records a canvas', async (t) => {
    const page = await browser.newPage();
    await page.goto(site.add('plain', await project({ example: 'plain' })), PATIENCE);
    await page.$eval('input[name=server]', (input, value) => { input.value = value; }, server.origin);
    await page.$eval('input[name=token]', (input, value) => { input.value = value; }, api.tokens.access_token);
    await page.click('button');
    await page.waitForFunction(() => document.querySelector('button').textContent === 'Stop' || /[.!]$/.test(document.querySelector('output').textContent), PATIENCE);
    await wait(RECORD_MS);
    await page.click('button');
    const text = await page.waitForFunction(() => /Saved .*|.*[.!]$/.exec(document.querySelector('output').textContent)?.[0], PATIENCE);
    const saved = readSaved(await text.jsonValue());
    const file = await finishedRecording({ api, title: 'npm firefox', ...saved });
    assert.equal((await api.recording(saved.id)).pictures, 1);
    t.diagnostic(`${await browser.version()}: ${file.video.codec_name}, ${file.durationSeconds} s`);
  });

  test('masks a canvas, and refuses to mask a screen', async (t) => {
    const target = `{ server: '${server.origin}', getToken: () => '${api.tokens.access_token}' }`;
    const page = await browser.newPage();
    await page.goto(site.add('masks', await project({ files: maskedPage(target) })), PATIENCE);
    await page.waitForFunction(() => window.page, PATIENCE);
    const refused = await page.evaluate(() => window.page.refused('tab', { source: 'screen', masks: ['.secret'] }));
    assert.equal(refused.code, 'mask_failed', refused.message);
    await page.evaluate(() => window.page.record('canvas', { source: 'canvas', masks: ['#marker'] }));
    await wait(RECORD_MS);
    const done = await page.evaluate(() => window.page.stop());
    await untilReady(api, done.recordingId, 10_000);
    const path = await saved(await api.download(done.recordingId), 'npm firefox masks');
    const { frames, dirty, first, black } = await secrets(path, { width: 640, height: 480 });
    t.diagnostic(`${frames} frames, ${black} black`);
    assert.equal(dirty, 0, first);
    assert.ok(frames - black > 10, `${frames - black} of ${frames} frames are not black`);
    const poster = await api.fetch(`/api/recordings/${done.recordingId}/poster`);
    assert.equal(poster.status, 200);
    const picture = await saved(Buffer.from(await poster.arrayBuffer()), 'npm firefox masked picture', 'webp');
    assert.equal((await secrets(picture, { width: 240, height: 180 })).dirty, 0);
    await page.close();
  });

  test('recovers the recording of a closed tab after the server was away', async (t) => {
    const folder = await project({
      files: {
        'index.html': '<!doctype html><html lang="en"><title>Left behind</title><canvas width="320" height="240"></canvas><script type="module" src="./main.js"></script></html>',
        'main.js': `
          import { Recorder } from './node_modules/sortie-recorder/index.js';
          const canvas = document.querySelector('canvas');
          const context = canvas.getContext('2d', { alpha: false });
          setInterval(() => {
            context.fillStyle = 'hsl(' + performance.now() / 20 + ' 60% 45%)';
            context.fillRect(0, 0, canvas.width, canvas.height);
          }, 40);
          const target = { server: '${server.origin}', getToken: () => '${api.tokens.access_token}' };
          window.page = {
            async record() {
              window.recorder = new Recorder({ ...target, source: canvas });
              await window.recorder.start();
            },
            async recover() {
              const all = await Recorder.recover(target);
              return all.map((it) => { window.left = it; return { id: it.recordingId, recordedMs: it.recordedMs, keptBytes: it.keptBytes }; });
            },
            upload: () => window.left.upload(),
          };
        `,
      },
    });
    const url = site.add('left', folder);
    const open = async () => {
      const page = await browser.newPage();
      await page.goto(url, PATIENCE);
      await page.waitForFunction(() => window.page, PATIENCE);
      return page;
    };
    const page = await open();
    await page.evaluate(() => window.page.record());
    await page.waitForFunction(() => window.recorder.progress.safeBytes > 0, PATIENCE);
    await server.kill();
    const killed = await page.evaluate(() => window.recorder.progress);
    assert.equal(killed.spool, 'opfs');
    await page.waitForFunction((from) => window.recorder.progress.recordedMs > from + 4_000, PATIENCE, killed.recordedMs);
    const last = await page.evaluate(() => window.recorder.progress);
    await page.close();
    await server.restart();
    const next = await open();
    const found = await next.evaluate(() => window.page.recover());
    assert.equal(found.length, 1);
    assert.ok(found[0].keptBytes > 0, 'there is nothing that the server does not have');
    assert.ok(last.recordedMs - found[0].recordedMs < 3_500, `${last.recordedMs} ms were recorded, ${found[0].recordedMs} ms kept`);
    const done = await next.evaluate(() => window.page.upload());
    const file = await finishedRecording({ api, title: 'npm firefox left', id: done.recordingId, seconds: found[0].recordedMs / 1_000 });
    await next.close();
    t.diagnostic(`closed at ${last.recordedMs} ms, ${found[0].recordedMs} ms found; file ${file.durationSeconds} s`);
  });
});

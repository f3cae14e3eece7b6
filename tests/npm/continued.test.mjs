// A network outage that is longer than the server's silence limit: the recording continues in further parts.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { withPage } from '../browser/support/browser.mjs';
import { untilReady } from '../browser/support/assertions.mjs';
import { until } from '../browser/support/recorder.mjs';
import { project } from './support/project.mjs';
import { PATIENCE, READY_WITHIN_MS, RECORD_MS, recordingDetail } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

const MAIN = (options) => `
  import { Recorder } from './node_modules/sortie-recorder/index.js';
  const canvas = document.querySelector('canvas');
  const context = canvas.getContext('2d', { alpha: false });
  setInterval(() => {
    context.fillStyle = 'hsl(' + performance.now() / 20 + ' 60% 45%)';
    context.fillRect(0, 0, canvas.width, canvas.height);
  }, 30);
  const { server, token } = ${options};
  const real = window.fetch;
  window.fetch = (url, init) => (window.away && String(url).startsWith(server) ? Promise.reject(new TypeError('away')) : real(url, init));
  window.warnings = [];
  window.recorder = new Recorder({ server, getToken: () => token, source: canvas });
  window.recorder.on('warning', ({ code }) => window.warnings.push(code));
  await window.recorder.start();
`;

describe('silence limit of the server', { timeout: 300_000 }, () => {
  const stage = useSite({ environment: { SORTIE_RECORDING_SILENCE_SECONDS: '5' } });
  let site, server, context, api;

  before(() => ({ site, server, context, api } = stage));

  const recorded = async (name, use) => {
    const folder = await project({
      files: {
        'index.html': '<!doctype html><title>Record</title><canvas width="320" height="240"></canvas><script type="module" src="./main.js"></script>',
        'main.js': MAIN(JSON.stringify({ server: server.origin, token: api.tokens.access_token })),
      },
    });
    await withPage(context, `npm ${name}`, async (page) => {
      await page.goto(site.add(name, folder));
      await page.waitForFunction(() => window.recorder?.progress.safeBytes > 0, null, PATIENCE);
      await wait(RECORD_MS);
      await use(page, await page.evaluate(() => window.recorder.recordingId));
    });
  };
  const status = async (id) => (await recordingDetail(api, id)).status;

  test('pause longer than the silence limit does not end the recording', () => recorded('paused', async (page, id) => {
    await page.evaluate(() => window.recorder.pause());
    await wait(15_000);
    assert.equal(await status(id), 'recording');
    await page.evaluate(() => window.recorder.resume());
    await wait(RECORD_MS);
    const done = await page.evaluate(() => window.recorder.stop());
    assert.deepEqual([done.recordingId, done.parts], [id, undefined]);
    assert.deepEqual(await page.evaluate(() => window.warnings), []);
    await untilReady(api, id, READY_WITHIN_MS);
  }));

  test('outage longer than the silence limit continues in further parts', () => recorded('away', async (page, id) => {
    await page.evaluate(() => { window.away = true; });
    await until('ended', () => status(id), (it) => it === 'ready');
    assert.ok(await page.evaluate(() => window.recorder.progress.waiting && window.recorder.progress.pendingBytes > 0));
    await page.evaluate(() => { window.away = false; });
    await page.waitForFunction(() => window.warnings.includes('continued'), null, { timeout: 60_000 });
    const at = await page.evaluate(() => window.recorder.progress.recordedMs);
    await page.waitForFunction((at) => window.recorder.progress.safeMs > at + 3_000, at, { timeout: 60_000 });
    const done = await page.evaluate(() => window.recorder.stop());
    assert.equal(done.recordingId, id);
    assert.equal(done.parts.length, 3, done.parts.join());
    assert.deepEqual((await api.recording(id)).parts.map((it) => it.id), done.parts);
    for (const part of done.parts) await until(`part ${part} finished`, () => status(part), (it) => it === 'ready' || it === 'failed');
    assert.deepEqual(await Promise.all(done.parts.map(status)), ['ready', 'ready', 'ready']);
  }));
});

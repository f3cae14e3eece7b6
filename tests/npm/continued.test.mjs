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
  const { server, token, noise } = ${options};
  const image = context.createImageData(canvas.width, canvas.height);
  setInterval(() => {
    if (noise) {
      const numbers = new Uint32Array(image.data.buffer);
      for (let at = 0; at < numbers.length; at += 1) numbers[at] = 0xff000000 | (Math.random() * 0xffffff);
      return context.putImageData(image, 0, 0);
    }
    context.fillStyle = 'hsl(' + performance.now() / 20 + ' 60% 45%)';
    context.fillRect(0, 0, canvas.width, canvas.height);
  }, 30);
  // The worker fails to read this many times.
  window.failing = 0;
  window.Worker = class extends Worker {
    postMessage(request) {
      const fails = window.failing > 0 && request[1] === 'blob';
      if (fails) window.failing -= 1;
      super.postMessage(fails ? [request[0], 'blob', [['none', 'none', 0, 1]]] : request);
    }
  };
  window.warnings = [];
  window.recorder = new Recorder({ server, getToken: () => token, source: canvas, keyFrameInterval: 2_000, videoBitsPerSecond: noise ? 12_000_000 : undefined, externalId: 'lesson 7', metadata: { room: 7 } });
  window.recorder.on('warning', ({ code }) => window.warnings.push(code));
  await window.recorder.start();
`;

describe('silence limit of the server', { timeout: 300_000, concurrency: 2 }, () => {
  const stage = useSite({ environment: { SORTIE_RECORDING_SILENCE_SECONDS: '5' } });
  let site, server, context, api;

  before(() => ({ site, server, context, api } = stage));

  const recorded = async (name, use, options = {}) => {
    const folder = await project({
      files: {
        'index.html': '<!doctype html><title>Record</title><canvas width="320" height="240"></canvas><script type="module" src="./main.js"></script>',
        'main.js': MAIN(JSON.stringify({ server: server.origin, token: api.tokens.access_token, ...options })),
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
    await page.route(`${server.origin}/**`, (request) => request.abort());
    await until('ended', () => status(id), (it) => it === 'ready');
    assert.ok(await page.evaluate(() => window.recorder.progress.waiting && window.recorder.progress.pendingBytes > 0));
    await page.evaluate(() => window.recorder.mark('without a network'));
    await page.unroute(`${server.origin}/**`);
    await page.waitForFunction(() => window.warnings.includes('continued'), null, { timeout: 60_000 });
    const at = await page.evaluate(() => window.recorder.progress.recordedMs);
    await page.waitForFunction((at) => window.recorder.progress.safeMs > at + 3_000, at, { timeout: 60_000 });
    const done = await page.evaluate(() => window.recorder.stop());
    assert.equal(done.recordingId, id);
    assert.equal(done.parts.length, 3, done.parts.join());
    assert.deepEqual((await api.recording(id)).parts.map((it) => it.id), done.parts);
    for (const part of done.parts) await until(`part ${part} finished`, () => status(part), (it) => it === 'ready' || it === 'failed');
    const details = await Promise.all(done.parts.map((part) => recordingDetail(api, part)));
    assert.deepEqual(details.map((it) => it.failure ?? it.status), ['ready', 'ready', 'ready']);
    // The rest begins with a keyframe: a marker says what is missing before it.
    const markers = await Promise.all(done.parts.map(async (part) => (await api.fetch(`/api/recordings/${part}/markers`)).json()));
    const noted = markers.map((all) => all.map((it) => it.text).includes('without a network'));
    assert.deepEqual(noted, [false, true, false], JSON.stringify(markers));
    const gap = markers[1].find((it) => it.kind === 'gap');
    const missing = gap ? Number(/^(\d+) s before this/.exec(gap.text)[1]) : 0;
    assert.equal(gap?.time_ms ?? 0, 0);
    const seconds = details.reduce((sum, it) => sum + it.duration_seconds, missing);
    assert.ok(Math.abs(seconds - done.recordedMs / 1_000) < 2.5, `${seconds} s with ${missing} s missing, ${done.recordedMs} ms recorded`);
    // The labels are those of the first part.
    assert.deepEqual(details.map((it) => [it.external_id, it.metadata]), [['lesson 7', { room: 7 }], [undefined, undefined], [undefined, undefined]]);
  }));

  test('rest that cannot be read yet is not given up', () => recorded('unreadable', async (page, id) => {
    // Files are sealed, so that only the worker can read the rest.
    await page.route(`${server.origin}/**`, (request) => request.abort());
    await page.waitForFunction(() => window.recorder.progress.pendingBytes > 12_000_000, null, { timeout: 120_000 });
    await until('ended', () => status(id), (it) => it === 'ready');
    await page.evaluate(() => {
      window.failing = 2;
    });
    await page.unroute(`${server.origin}/**`);
    await page.waitForFunction(() => window.warnings.includes('continued'), null, { timeout: 60_000 });
    const done = await page.evaluate(() => window.recorder.stop());
    assert.equal(await page.evaluate(() => window.failing), 0);
    assert.equal(done.recordingId, id);
    const parts = [];
    for (const part of done.parts) {
      await until(`part ${part} finished`, () => status(part), (it) => it === 'ready' || it === 'failed');
      parts.push(await recordingDetail(api, part));
    }
    // On a busy machine a part may end before its first bytes arrive, and the recording continues in a further one.
    const filled = parts.filter((it) => it.received_bytes > 0);
    assert.ok(filled.length >= 2 && filled.every((it) => it.status === 'ready'), JSON.stringify(parts));
    // The rest begins with a keyframe; a marker says how much is missing before it.
    const [gap] = await (await api.fetch(`/api/recordings/${filled[1].id}/markers`)).json();
    const missing = Number(/^(\d+) s before this/.exec(gap?.text)?.[1] ?? 0);
    const seconds = filled.reduce((sum, it) => sum + it.duration_seconds, missing);
    assert.ok(Math.abs(seconds - done.recordedMs / 1_000) < 2, `the parts have ${seconds} s, the recorder ${done.recordedMs} ms`);
  }, { noise: true }));
});

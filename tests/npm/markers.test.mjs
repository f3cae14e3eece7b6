// Markers of the recorder: made by the app, by the button, by the key M, and automatically.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { assertAccessible } from '../browser/support/axe.mjs';
import { untilReady } from '../browser/support/assertions.mjs';
import { crash, withPage } from '../browser/support/browser.mjs';
import { until } from '../browser/support/recorder.mjs';
import { project } from './support/project.mjs';
import { PATIENCE, READY_WITHIN_MS } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

const MARKERS = /\/api\/recordings\/[^/]+\/markers$/;

describe('markers', { timeout: 300_000, concurrency: 3 }, () => {
  const stage = useSite();
  let api, url;

  before(async () => {
    api = stage.api;
    const target = { server: stage.server.origin, token: api.tokens.access_token };
    url = stage.site.add('markers', await project({
      files: {
        'index.html': `<!doctype html><html lang="en"><head><title>Record</title><script type="module" src="./main.js"></script></head>
          <body><main><h1>Record</h1><canvas width="320" height="240"></canvas><sortie-recorder source="canvas" markers></sortie-recorder></main></body></html>`,
        'main.js': `
          import { Recorder } from './node_modules/sortie-recorder/index.js';
          import './node_modules/sortie-recorder/element.js';
          const canvas = document.querySelector('canvas');
          const context = canvas.getContext('2d', { alpha: false });
          setInterval(() => {
            context.fillStyle = 'hsl(' + performance.now() / 20 + ' 60% 45%)';
            context.fillRect(0, 0, canvas.width, canvas.height);
          }, 40);
          const { server, token } = ${JSON.stringify(target)};
          document.querySelector('sortie-recorder').options = { server, getToken: () => token };
          window.page = {
            async record(options) {
              window.warnings = [];
              window.recorder = new Recorder({ server, getToken: () => token, source: canvas, ...options });
              window.recorder.on('warning', ({ code }) => window.warnings.push(code));
              await window.recorder.start();
              return window.recorder.recordingId;
            },
            async recover() {
              const all = await Recorder.recover({ server, getToken: () => token });
              return Promise.all(all.map((it) => it.upload()));
            },
            failure: (work) => work().then(() => 'done', ({ code, name, message }) => [code ?? name, message]),
          };
        `,
      },
    }));
  });

  const onPage = (title, use, context = stage.context) => withPage(context, `npm markers ${title}`, async (page) => {
    await page.goto(url);
    await page.waitForFunction(() => window.page, null, PATIENCE);
    return use(page);
  });
  const markersOf = async (id) => (await api.fetch(`/api/recordings/${id}/markers`)).json();
  const seen = (markers) => markers.map(({ time_ms: at, text, kind }) => ({ at, text, kind }));
  const hasRecorded = (page, ms) => page.waitForFunction((it) => window.recorder.progress.recordedMs > it, ms, PATIENCE);

  test('recording token marks its recording; markers are in the list, the chapters and the search', async () => {
    const session = await (await api.post('/api/sessions', { app_id: 'e2e' })).json();
    const { token } = await (await api.post(`/api/sessions/${session.id}/token`)).json();
    await onPage('token', async (page) => {
      const id = await page.evaluate((it) => window.page.record({ session: it.session, getToken: () => it.token }), { session: session.id, token });
      await hasRecorded(page, 1_000);
      const first = await page.evaluate(() => window.recorder.mark('Störung "A"\n<b>'));
      await page.evaluate(() => window.recorder.pause());
      const paused = await page.evaluate(() => window.recorder.mark(null, 'gap'));
      await page.evaluate(() => window.recorder.resume());
      await hasRecorded(page, 3_000);
      const done = await page.evaluate(() => window.recorder.stop());
      assert.equal(done.recordingId, id);
      assert.deepEqual(await page.evaluate(() => window.warnings), []);
      const expected = [
        { at: first, text: 'Störung "A"\n<b>', kind: 'note' },
        { at: paused, text: 'Recording paused', kind: 'pause' },
        { at: paused, text: '', kind: 'gap' },
      ];
      const markers = await markersOf(id);
      assert.deepEqual(seen(markers), expected);
      assert.deepEqual(markers.map((it) => it.username), ['admin', undefined, undefined]);
      await untilReady(api, id, READY_WITHIN_MS);
      const chapters = await (await api.fetch(`/api/recordings/${id}/markers.vtt`)).text();
      assert.match(chapters, /\nStörung "A" &lt;b&gt;\n[^]*\nRecording paused\n[^]*\nGap\n/);
      const found = await (await api.fetch('/api/recordings?q=storung')).json();
      assert.deepEqual(found.map((it) => it.id), [id]);
    });
  });

  test('markers made without a network survive a killed tab, and are sent once', async () => {
    const own = await stage.browser.newContext();
    try {
      const { id, expected } = await onPage('killed', async (page) => {
        const id = await page.evaluate(() => window.page.record());
        await hasRecorded(page, 1_000);
        const online = await page.evaluate(() => window.recorder.mark('online'));
        await until('sent', () => markersOf(id), (it) => it.length === 1);
        await own.setOffline(true);
        const offline = await page.evaluate(() => window.recorder.mark('offline', 'note'));
        await hasRecorded(page, 4_000);
        await crash(page);
        return { id, expected: [{ at: online, text: 'online', kind: 'note' }, { at: offline, text: 'offline', kind: 'note' }] };
      }, own);
      await own.setOffline(false);
      await onPage('recovered', async (page) => {
        const [done, ...others] = await page.evaluate(() => window.page.recover());
        assert.deepEqual([done.recordingId, others], [id, []]);
        assert.deepEqual(seen(await markersOf(id)), expected);
      }, own);
    } finally {
      await own.close();
    }
  });

  test('recording that is made again gets its markers', async () => {
    const own = await stage.browser.newContext();
    try {
      const { id, at } = await onPage('deleted', async (page) => {
        const id = await page.evaluate(() => window.page.record());
        await hasRecorded(page, 1_000);
        const at = await page.evaluate(() => window.recorder.mark('kept'));
        await until('sent', () => markersOf(id), (it) => it.length === 1);
        await own.setOffline(true);
        await hasRecorded(page, 3_000);
        await crash(page);
        return { id, at };
      }, own);
      assert.equal((await api.fetch(`/api/recordings/${id}`, { method: 'DELETE' })).status, 204);
      await own.setOffline(false);
      await onPage('made again', async (page) => {
        const [done] = await page.evaluate(() => window.page.recover());
        assert.notEqual(done.recordingId, id);
        assert.deepEqual(seen(await markersOf(done.recordingId)), [{ at, text: 'kept', kind: 'note' }]);
      }, own);
    } finally {
      await own.close();
    }
  });

  test('markers that the server refuses for a while are sent after the recording, or by the next page', async () => {
    const own = await stage.browser.newContext();
    try {
      const failing = (route) => route.fulfill({ status: 503, headers: { 'access-control-allow-origin': '*' } });
      await own.route(MARKERS, failing);
      const { id, at } = await onPage('unavailable', async (page) => {
        const id = await page.evaluate(() => window.page.record());
        await hasRecorded(page, 2_000);
        const at = await page.evaluate(() => window.recorder.mark('late'));
        // All bytes arrive, and the page is killed while it waits for the marker.
        await page.evaluate(() => { window.recorder.stop(); });
        await page.waitForFunction(() => window.recorder.progress.pendingBytes === 0 && window.recorder.state === 'uploading', null, PATIENCE);
        await untilReady(api, id, READY_WITHIN_MS);
        await crash(page);
        return { id, at };
      }, own);
      assert.deepEqual(await markersOf(id), []);
      await own.unroute(MARKERS);
      await onPage('available', async (page) => {
        assert.deepEqual(await page.evaluate(() => window.page.recover()), []);
        const [marker, ...others] = await markersOf(id);
        assert.deepEqual([marker.text, others], ['late', []]);
        assert.ok(Math.abs(marker.time_ms - at) < 1_000, `${marker.time_ms} ms, not ${at}`);
      }, own);
      await own.route(MARKERS, failing, { times: 2 });
      await onPage('twice', async (page) => {
        const id = await page.evaluate(() => window.page.record());
        await hasRecorded(page, 1_000);
        await page.evaluate(() => window.recorder.mark('third attempt'));
        const done = await page.evaluate(() => window.recorder.stop());
        assert.equal(done.recordingId, id);
        assert.deepEqual((await markersOf(id)).map((it) => it.text), ['third attempt']);
      }, own);
    } finally {
      await own.close();
    }
  });

  test('wrong calls are refused with a reason', async () => {
    await onPage('wrong', async (page) => {
      const [idle, ...others] = await page.evaluate(async ({ server, token }) => {
        const { Recorder } = await import('./node_modules/sortie-recorder/index.js');
        const source = document.querySelector('canvas');
        const fresh = new Recorder({ server, getToken: () => token, source });
        const failures = [await window.page.failure(() => fresh.mark())];
        await window.page.record();
        for (const given of [['x'.repeat(501)], ['a\u0000b'], ['x', 'other']]) {
          failures.push(await window.page.failure(() => window.recorder.mark(...given)));
        }
        await window.recorder.abort();
        failures.push(await window.page.failure(() => window.recorder.mark()));
        await window.page.record({ server: undefined, endpoint: `${server}/api/uploads` });
        failures.push(await window.page.failure(() => window.recorder.mark('x')));
        await window.recorder.abort();
        return failures;
      }, { server: stage.server.origin, token: api.tokens.access_token });
      assert.equal(idle[0], 'wrong_state');
      assert.deepEqual(others.map(([code]) => code), ['bad_request', 'bad_request', 'TypeError', 'wrong_state', 'unsupported_server']);
      assert.match(others[0][1], /at most 500 characters/);
      assert.match(others[2][1], /kind/);
    });
  });

  test('button and key M of the element add a marker', async () => {
    await onPage('element', async (page) => {
      await page.getByRole('button', { name: 'Start recording' }).click();
      const mark = page.getByRole('button', { name: 'Add marker' });
      await mark.waitFor(PATIENCE);
      await mark.click();
      const status = page.getByRole('status');
      await status.filter({ hasText: /^Marker added \d:\d\d$/ }).waitFor(PATIENCE);
      await assertAccessible(page, 'the element with a marker');
      await page.keyboard.press('m');
      await page.keyboard.press('Control+m');
      await status.filter({ hasText: 'Recording' }).waitFor(PATIENCE);
      await page.getByRole('button', { name: 'Stop recording' }).click();
      await status.filter({ hasText: 'Saved' }).waitFor(PATIENCE);
      assert.equal(await mark.isVisible(), false);
      const id = await page.evaluate(() => document.querySelector('sortie-recorder').recorder.recordingId);
      assert.equal((await markersOf(id)).length, 2);
    });
  });
});

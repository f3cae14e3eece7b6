// What is rarely met and easily never run: a browser without a private file system, a page that is left, a device that
// slept, a tab behind another one, a camera that is taken away, an encoder that gives nothing, tokens that do not last.

import assert from 'node:assert/strict';
import { createServer, request as forward } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Api } from './support/api.mjs';
import { FAKE_CAMERA, launch, openTestPage, withPage } from './support/browser.mjs';
import { assertWholeFile, untilReady } from './support/proof.mjs';
import { Server } from './support/server.mjs';

/** How far a file's duration may be from the one that was promised: what an idle picture and a busy page cost. */
const OFF_S = 1.5;

describe('a recorder in the corners', { timeout: 240_000 }, () => {
  let server, browser, context, api;

  before(async () => {
    server = await Server.start();
    browser = await launch(FAKE_CAMERA);
    context = await browser.newContext();
    api = await Api.signIn(server.origin);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  async function open(page, ...tokens) {
    await openTestPage(page, server.origin, 'recorder.html', 'e2e');
    await page.evaluate((it) => window.e2e.use(...it), tokens.length ? tokens : [api.tokens.access_token]);
  }

  async function record(page, options = {}) {
    const session = await (await api.post('/api/sessions', { app_id: 'e2e' })).json();
    return page.evaluate((it) => window.e2e.start(it), { session: session.id, ...options });
  }

  const progress = (page) => page.evaluate(() => window.e2e.progress());
  const stop = (page) => page.evaluate(() => window.e2e.stop());
  const heard = (page, name) =>
    page.evaluate((it) => window.e2e.events().filter((event) => event.name === it).map((event) => event.detail), name);

  async function until(what, ask, enough, withinMs = 30_000) {
    const asked = performance.now();
    let seen;
    do {
      seen = await ask();
      if (enough(seen)) return seen;
      await wait(100);
    } while (performance.now() - asked < withinMs);
    return assert.fail(`not ${what} after ${withinMs} ms: ${JSON.stringify(seen)}`);
  }

  async function assertKept(id, title, promisedMs) {
    await untilReady(api, id, 20_000);
    const { duration_seconds: seconds } = await api.recording(id);
    assert.ok(Math.abs(seconds - promisedMs / 1_000) <= OFF_S, `${promisedMs} ms were promised, ${seconds} s are there`);
    await assertWholeFile(api, id, { title, seconds });
    return seconds;
  }

  test('without a private file system IndexedDB keeps it over a crash', async (t) => {
    /** The worker as it is, in a browser that has the one without the other. */
    const withoutFiles = async (page) => {
      await page.evaluate(() => {
        const real = window.Worker;
        window.Worker = class extends real {
          constructor(script) {
            const source = `StorageManager.prototype.getDirectory = () => Promise.reject(new DOMException('no', 'SecurityError'));
              importScripts(${JSON.stringify(String(script))});`;
            super(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })));
          }
        };
      });
    };
    const page = await context.newPage();
    await open(page);
    await withoutFiles(page);
    const { id } = await record(page);
    await until('safe', () => progress(page), (it) => it.safeBytes > 0);
    const cdp = await page.context().newCDPSession(page);
    const none = { latency: 0, downloadThroughput: -1, uploadThroughput: -1 };
    await cdp.send('Network.emulateNetworkConditions', { offline: true, ...none });
    const from = await progress(page);
    assert.equal(from.spool, 'indexeddb');
    const last = await until('ahead', () => progress(page), (it) => it.recorded - from.recorded > 3_000 && it.pendingBytes > 0);
    const crashed = new Promise((resolve) => page.once('crash', resolve));
    cdp.send('Page.crash').catch(() => {});
    await crashed;
    await page.close();

    await withPage(context, 'indexeddb', async (next) => {
      await open(next);
      await withoutFiles(next);
      const [leftover, ...others] = await next.evaluate(() => window.e2e.recover());
      assert.deepEqual(others, []);
      assert.equal(leftover.recordingId, id);
      assert.ok(leftover.sizeBytes > last.safeBytes, 'nothing was kept that the server does not have');
      assert.ok(last.recorded - leftover.recorded < 2_500, `${last.recorded} ms were recorded, ${leftover.recorded} kept`);
      await next.evaluate(() => window.e2e.upload(0));
      const seconds = await assertKept(id, 'indexeddb', leftover.recorded);
      t.diagnostic(`crashed at ${last.recorded} ms, ${leftover.recorded} ms recovered from IndexedDB; file ${seconds} s`);
    });
  });

  test('a page that is hidden and then closed has sent what it had', async (t) => {
    // Between page and server: answers of the server come to nobody any more, requests that are broken off never
    // reach it.
    const seen = [];
    const slow = createServer((request, response) => {
      const to = forward(new URL(request.url, server.origin), { method: request.method, headers: request.headers }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      to.on('error', () => response.destroy());
      const isPatch = request.method === 'PATCH';
      if (isPatch) seen.push({ bytes: Number(request.headers['content-length']), broken: false });
      const entry = seen.at(-1);
      request.on('aborted', () => {
        if (isPatch) entry.broken = true;
        to.destroy();
      });
      // Long enough for the tab to be gone.
      if (isPatch && slow.holds) setTimeout(() => request.pipe(to), 2_000);
      else request.pipe(to);
    });
    await new Promise((resolve) => slow.listen(0, '127.0.0.1', resolve));
    try {
      const origin = `http://127.0.0.1:${slow.address().port}`;
      const page = await context.newPage();
      await openTestPage(page, origin, 'recorder.html', 'e2e');
      await page.evaluate((it) => window.e2e.use(it), api.tokens.access_token);
      // Nothing is handed over by itself; only leaving makes it.
      const { id } = await record(page, { timeslice: 600_000, videoBitsPerSecond: 100_000 });
      await wait(2_000);
      assert.equal((await progress(page)).sizeBytes, 0);
      slow.holds = true;
      await page.evaluate(() => {
        Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' });
        document.dispatchEvent(new Event('visibilitychange'));
      });
      const left = await until('handed over', () => progress(page), (it) => it.sizeBytes > 0);
      await until('on its way', () => seen.length, (it) => it > 0);
      assert.ok(left.sizeBytes < 56 * 1024, `${left.sizeBytes} bytes are more than a browser sends for pages that are gone`);
      await page.close();
      await until('stored', () => api.recording(id), (it) => it.size_bytes >= left.sizeBytes, 20_000);
      assert.deepEqual(seen.map((it) => it.broken), seen.map(() => false));
      t.diagnostic(`${left.sizeBytes} bytes arrived after the tab was gone`);
    } finally {
      slow.closeAllConnections();
      await new Promise((resolve) => slow.close(resolve));
    }
  });

  test('a device that slept says for how long', async () => {
    await withPage(context, 'slept', async (page) => {
      await open(page);
      const { id } = await record(page);
      await until('recording', () => progress(page), (it) => it.safeBytes > 0);
      // What a closed lid looks like from inside: the wall clock has gone on, and nobody has ticked.
      await page.evaluate(() => {
        const real = Date.now;
        Date.now = () => real() + 3_600_000;
      });
      await until('told', () => heard(page, 'warning'), (it) => it.some(({ code }) => code === 'slept'));
      const [{ message }] = (await heard(page, 'warning')).filter(({ code }) => code === 'slept');
      assert.match(message, /slept for 360\d s/);
      const done = await stop(page);
      await assertKept(id, 'slept', done.recorded);
      assert.deepEqual((await heard(page, 'warning')).map(({ code }) => code), ['slept']);
    });
  });

  test('a camera that is taken away ends the recording as lost, and keeps it', async (t) => {
    await withPage(context, 'camera', async (page) => {
      await open(page);
      const { id } = await record(page, { source: 'camera' });
      await until('safe', () => progress(page), (it) => it.safeBytes > 0 && it.recorded > 2_000);
      // The person takes the permission back: Chromium ends the camera's track by itself, as it does for one that is gone.
      const cdp = await browser.newBrowserCDPSession();
      const { targetInfo: { browserContextId } } = await (await context.newCDPSession(page)).send('Target.getTargetInfo');
      for (const name of ['camera', 'microphone']) {
        await cdp.send('Browser.setPermission', { permission: { name }, setting: 'denied', origin: server.origin, browserContextId });
      }
      const done = await until('done', () => heard(page, 'done'), (it) => it.length === 1);
      assert.deepEqual(await heard(page, 'stopped'), ['device_lost']);
      const seconds = await assertKept(id, 'camera', done[0].recorded);
      t.diagnostic(`file ${seconds} s`);
    });
  });

  test('an encoder that never gave a byte is a failure with a reason, not a success', async () => {
    await withPage(context, 'empty', async (page) => {
      await open(page);
      // As WebKitGTK does.
      await page.evaluate(() => {
        const real = MediaRecorder.prototype.addEventListener;
        MediaRecorder.prototype.addEventListener = function addEventListener(name, ...rest) {
          if (name !== 'dataavailable') real.call(this, name, ...rest);
        };
      });
      const { id } = await record(page);
      await wait(1_500);
      const error = await page.evaluate(() => window.e2e.stop().catch((it) => ({ code: it.code, message: it.message })));
      assert.equal(error.code, 'empty', JSON.stringify(error));
      assert.match(error.message, /not one byte/);
      await until('gone from the server', () => api.recording(id), (it) => it === undefined);
    });
  });

  test('an empty file is refused before anything is begun', async () => {
    await withPage(context, 'empty file', async (page) => {
      await open(page);
      const before = (await api.recordings()).length;
      const error = await page.evaluate(() => window.e2e.uploadSample([]).catch((it) => it.code));
      assert.equal(error, 'empty');
      assert.equal((await api.recordings()).length, before);
    });
  });

  test('a new token that is refused, too, is followed by the next one', async () => {
    await withPage(context, 'tokens', async (page) => {
      await open(page, api.tokenFor(3), api.expiredToken(), api.tokenFor(-60), api.tokens.access_token);
      const { id } = await record(page);
      await until('long enough', () => progress(page), (it) => it.recorded > 5_000 && it.safeUntil > 4_000, 40_000);
      const done = await stop(page);
      await assertKept(id, 'tokens', done.recorded);
    });
  });
});


// Rare conditions: no private file system, closed pages, a suspended device, a background tab, a revoked camera, an
// encoder without output, short-lived tokens.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { FAKE_CAMERA, withPage } from './support/browser.mjs';
import { Relay } from './support/relay.mjs';
import { RecorderPage, assertKept, until } from './support/recorder.mjs';
import { useFixture } from './support/fixture.mjs';

/** The recorder relies on browsers to send this much for a closed page. */
const KEEPALIVE_BYTES = 56 * 1024;

describe('recorder under rare conditions', { timeout: 600_000 }, () => {
  const fixture = useFixture({ flags: FAKE_CAMERA });

  /** Opens a page with a recorder and runs `action` with it. */
  const withRecorder = (title, action, options) =>
    withPage(fixture.visitor, title, async (page) => action(await RecorderPage.open(page, fixture.api, options)));

  test('without a private file system IndexedDB keeps the recording over a crash', async (t) => {
    /** Simulates a browser with workers but without the private file system. */
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
    const recorder = await RecorderPage.open(await fixture.visitor.newPage(), fixture.api);
    await withoutFiles(recorder.page);
    const { id } = await recorder.record();
    await recorder.until('safe', (it) => it.safeBytes > 0);
    await recorder.offline(true);
    const from = await recorder.progress();
    assert.equal(from.spool, 'indexeddb');
    const last = await recorder.until('ahead', (it) => it.recordedMs - from.recordedMs > 3_000 && it.pendingBytes > 0);
    await recorder.crash();

    await withRecorder('indexeddb', async (next) => {
      await withoutFiles(next.page);
      const [leftover, ...others] = await next.recover();
      assert.deepEqual(others, []);
      assert.equal(leftover.recordingId, id);
      assert.ok(leftover.sizeBytes > last.safeBytes, 'nothing was kept that the server does not have');
      assert.ok(last.recordedMs - leftover.recordedMs < 2_500, `${last.recordedMs} ms were recorded, ${leftover.recordedMs} kept`);
      await next.upload(0);
      const seconds = await assertKept(fixture, id, 'indexeddb', leftover.recordedMs);
      t.diagnostic(`crashed at ${last.recordedMs} ms, ${leftover.recordedMs} ms recovered from IndexedDB; file ${seconds} s`);
    });
  });

  /** Runs `action` with a relay that can delay uploads. */
  async function withRelay(action) {
    const relay = await Relay.start(fixture.server.origin);
    try {
      await action(relay);
    } finally {
      await relay.close();
    }
  }

  test('a page that is hidden and closed has uploaded everything', async (t) => {
    await withRelay(async (relay) => {
      const recorder = await RecorderPage.open(await fixture.visitor.newPage(), fixture.api, { origin: relay.origin });
      // The encoder delivers nothing before the page is left.
      const { id } = await recorder.record({ timeslice: 600_000, videoBitsPerSecond: 100_000 });
      await wait(2_000);
      assert.equal((await recorder.progress()).sizeBytes, 0);
      relay.holds = true;
      await recorder.page.evaluate(() => {
        Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' });
        document.dispatchEvent(new Event('visibilitychange'));
      });
      const left = await recorder.until('handed over', (it) => it.sizeBytes > 0);
      await until('on its way', () => relay.patches.length, (it) => it > 0);
      assert.ok(left.sizeBytes < KEEPALIVE_BYTES, `${left.sizeBytes} bytes are more than a browser sends for pages that are gone`);
      await recorder.page.close();
      await until('stored', () => fixture.api.recording(id), (it) => it.size_bytes >= left.sizeBytes, 20_000);
      assert.deepEqual(relay.patches.map((it) => it.broken), relay.patches.map(() => false));
      t.diagnostic(`${left.sizeBytes} bytes arrived after the tab was gone`);
    });
  });

  test('a page that is left by a link has uploaded its pending bytes', async (t) => {
    await withRelay((relay) =>
      withRecorder('left by a link', async (recorder) => {
        const { page } = recorder;
        const { id } = await recorder.record({ idle: true, timeslice: 2_000 });
        await recorder.until('safe', (it) => it.safeBytes > 0 && it.pendingBytes === 0);
        relay.holdMs = 12_000;
        relay.holds = true;
        // One request is in flight, and more bytes wait for its response.
        const { sizeBytes } = await recorder.until('on its way', (it) => it.pendingBytes > 0);
        await recorder.until('more', (it) => it.sizeBytes > sizeBytes);
        // The bytes are in the spool, and the next chunk is not due yet.
        await wait(500);
        // Pending bytes when the page is closed, reported by the page itself.
        await page.evaluate(() => addEventListener('pagehide', () => {
          localStorage.left = JSON.stringify(window.e2e.progress());
        }));
        await page.goto(`${relay.origin}/e2e/picture.svg`);
        const left = JSON.parse(await page.evaluate(() => localStorage.left));
        assert.ok(left.pendingBytes > 0 && left.pendingBytes < KEEPALIVE_BYTES, JSON.stringify(left));
        const status = await until('answered', () => relay.patches.at(-1).status, (it) => it !== undefined, 60_000);
        assert.equal(status, 204);
        assert.equal(await offset(fixture.api, id), left.sizeBytes);
        t.diagnostic(`${left.pendingBytes} bytes were pending and arrived after the page was gone`);
      }, { origin: relay.origin }),
    );
  });

  test('a suspended device reports for how long', async () => {
    await withRecorder('slept', async (recorder) => {
      const { id } = await recorder.record();
      await recorder.until('recording', (it) => it.safeBytes > 0);
      // A suspended device: the wall clock has advanced without a timer tick.
      await recorder.page.evaluate(() => {
        const real = Date.now;
        Date.now = () => real() + 3_600_000;
      });
      await until('told', () => recorder.heard('warning'), (it) => it.some(({ code }) => code === 'slept'));
      const [{ message }] = (await recorder.heard('warning')).filter(({ code }) => code === 'slept');
      assert.match(message, /slept for 360\d s/);
      const done = await recorder.stop();
      await assertKept(fixture, id, 'slept', done.recordedMs);
      assert.deepEqual((await recorder.heard('warning')).map(({ code }) => code), ['slept']);
    });
  });

  test('a revoked camera ends the recording as lost and keeps it', async (t) => {
    await withRecorder('camera', async (recorder) => {
      const { id } = await recorder.record({ source: 'camera' });
      await recorder.until('safe', (it) => it.safeBytes > 0 && it.recordedMs > 2_000);
      // Revoking the permission ends the camera's track, as unplugging does.
      const cdp = await fixture.browser.newBrowserCDPSession();
      const { targetInfo: { browserContextId } } = await (await recorder.cdp()).send('Target.getTargetInfo');
      for (const name of ['camera', 'microphone']) {
        await cdp.send('Browser.setPermission', { permission: { name }, setting: 'denied', origin: fixture.server.origin, browserContextId });
      }
      const done = await until('done', () => recorder.heard('done'), (it) => it.length === 1);
      assert.deepEqual(await recorder.heard('stopped'), ['device_lost']);
      const seconds = await assertKept(fixture, id, 'camera', done[0].recordedMs, { clock: false });
      t.diagnostic(`file ${seconds} s`);
    });
  });

  test('an encoder without output is a failure with a reason', async () => {
    await withRecorder('empty', async (recorder) => {
      // Behaviour of WebKitGTK.
      await recorder.page.evaluate(() => {
        const real = MediaRecorder.prototype.addEventListener;
        MediaRecorder.prototype.addEventListener = function addEventListener(name, ...rest) {
          if (name !== 'dataavailable') real.call(this, name, ...rest);
        };
      });
      const { id } = await recorder.record();
      await wait(1_500);
      const error = await recorder.page.evaluate(() => window.e2e.stop().catch((it) => ({ code: it.code, message: it.message })));
      assert.equal(error.code, 'empty', JSON.stringify(error));
      assert.match(error.message, /not one byte/);
      await until('gone from the server', () => fixture.api.recording(id), (it) => it === undefined);
    });
  });

  test('an empty file is rejected before an upload is created', async () => {
    await withRecorder('empty file', async (recorder) => {
      const before = (await fixture.api.recordings()).length;
      const error = await recorder.page.evaluate(() => window.e2e.uploadSample([]).catch((it) => it.code));
      assert.equal(error, 'empty');
      assert.equal((await fixture.api.recordings()).length, before);
    });
  });

  test('a rejected new token is followed by the next one', async () => {
    const { api } = fixture;
    const tokens = [api.tokenFor(3), api.expiredToken(), api.tokenFor(-60), api.tokens.access_token];
    await withRecorder('tokens', async (recorder) => {
      const { id } = await recorder.record();
      await recorder.until('long enough', (it) => it.recordedMs > 5_000 && it.safeMs > 4_000, 40_000);
      const done = await recorder.stop();
      await assertKept(fixture, id, 'tokens', done.recordedMs);
    }, { tokens });
  });
});

/** Bytes of a recording's upload on the server. */
async function offset(api, id) {
  const answer = await api.fetch(`/api/uploads/${id}`, { method: 'HEAD', headers: { 'tus-resumable': '1.0.0' } });
  return Number(answer.headers.get('upload-offset'));
}

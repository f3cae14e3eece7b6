// The recorder's worker: it stores and uploads, is replaced when it crashes, and is not needed.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { withPage } from '../browser/support/browser.mjs';
import { until } from '../browser/support/recorder.mjs';
import { project } from './support/project.mjs';
import { PATIENCE, RECORD_MS, finishedRecording } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

/** Detection of a worker that ended without an event, and the start of the next one. */
const REPLACED_WITHIN_MS = 60_000;
/** Time after which recorded bytes are on the server, with a margin for a slow machine. */
const SAFE_WITHIN_MS = 6_000;

describe('the worker', { timeout: 600_000 }, () => {
  const stage = useSite();
  let site, server, context, api, folder;

  before(async () => {
    ({ site, server, context, api } = stage);
    folder = await project({
      files: {
        'index.html': `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Record</title>
          <script type="module" src="./main.js"></script></head><body><canvas width="320" height="240"></canvas></body></html>`,
        'main.js': `
          import { Recorder } from './node_modules/sortie-recorder/index.js';
          window.workers = [];
          window.Worker = class extends Worker {
            constructor(...given) {
              super(...given);
              window.workers.push(this);
            }
          };
          const canvas = document.querySelector('canvas');
          const context = canvas.getContext('2d', { alpha: false });
          const image = context.createImageData(canvas.width, canvas.height);
          const numbers = new Uint32Array(image.data.buffer);
          const draw = (now) => {
            requestAnimationFrame(draw);
            if (window.isNoisy) {
              for (let at = 0; at < numbers.length; at += 1) numbers[at] = 0xff000000 | (Math.random() * 0xffffff);
              return context.putImageData(image, 0, 0);
            }
            context.fillStyle = 'hsl(' + now / 20 + ' 60% 45%)';
            context.fillRect(0, 0, canvas.width, canvas.height);
          };
          requestAnimationFrame(draw);
          const server = ${JSON.stringify(server.origin)};
          const token = ${JSON.stringify(api.tokens.access_token)};
          window.warnings = [];
          window.Recorder = Recorder;
          window.start = async (options) => {
            window.recorder = new Recorder({ server, getToken: () => token, source: canvas, ...options });
            window.recorder.on('warning', (it) => window.warnings.push(it));
            await window.recorder.start();
          };
          window.ready = true;
        `,
      },
    });
  });

  /** Records in a page with these headers; `during(page)` runs meanwhile. Returns the result of `stop`. */
  const record = (name, headers, during = () => wait(RECORD_MS)) =>
    withPage(context, `npm worker ${name}`, async (page) => {
      await page.goto(site.add(`worker-${name}`, folder, headers));
      await page.waitForFunction(() => window.ready, null, PATIENCE);
      await page.evaluate(() => window.start());
      await page.waitForFunction(() => window.recorder.progress.safeMs > 0, null, PATIENCE);
      await during(page);
      const done = await page.evaluate(() => window.recorder.stop());
      await finishedRecording({ api, title: `npm worker ${name}`, id: done.recordingId, seconds: done.recordedMs / 1_000 });
      return { warnings: await page.evaluate(() => window.warnings), workers: () => page.workers().length, done };
    });
  const spool = (page) => page.evaluate(() => window.recorder.progress.spool);
  const policy = (more) => ({ 'content-security-policy': `script-src 'self' 'wasm-unsafe-eval'; ${more}` });

  test('uploads without a request of the page', async () => {
    await withPage(context, 'npm worker uploads', async (page) => {
      await page.goto(site.add('worker-uploads', folder));
      await page.waitForFunction(() => window.ready, null, PATIENCE);
      await page.evaluate(() => {
        window.sent = 0;
        const real = window.fetch;
        window.fetch = (url, init) => { window.sent += init?.method === 'PATCH' ? 1 : 0; return real(url, init); };
      });
      await page.evaluate(() => window.start());
      await page.waitForFunction(() => window.recorder.progress.safeMs > 1_000, null, PATIENCE);
      assert.equal(page.workers().length, 1);
      assert.equal(await spool(page), 'opfs');
      await page.evaluate(() => window.recorder.stop());
      assert.equal(await page.evaluate(() => window.sent), 0);
      assert.deepEqual(await page.evaluate(() => window.warnings), []);
    });
  });

  test('is replaced when it is killed, and the recording continues whole', async (t) => {
    const { warnings, done } = await record('killed', {}, async (page) => {
      await wait(RECORD_MS);
      await page.evaluate(() => window.workers.at(-1).terminate());
      const heard = () => page.evaluate(() => window.warnings.map((it) => it.code));
      await until('replaced', heard, (it) => it.includes('worker_restarted'), REPLACED_WITHIN_MS);
      await until('stored again', () => spool(page), (it) => it === 'opfs', REPLACED_WITHIN_MS);
      const { recordedMs } = await page.evaluate(() => window.recorder.progress);
      const progress = () => page.evaluate(() => window.recorder.progress);
      await until('sent again', progress, (it) => it.safeMs > recordedMs, REPLACED_WITHIN_MS);
    });
    // A busy machine may also have a slow encoder.
    assert.deepEqual(warnings.map((it) => it.code).filter((it) => it !== 'encoder_slow'), ['worker_restarted']);
    assert.equal(done.parts, undefined, 'it is one file');
    t.diagnostic(`${done.recordedMs} ms recorded, ${done.sizeBytes} bytes`);
  });

  test('is replaced after the stop, when files wait for the network', async () => {
    await withPage(context, 'npm worker stopped', async (page) => {
      await page.goto(site.add('worker-stopped', folder));
      await page.waitForFunction(() => window.ready, null, PATIENCE);
      await page.evaluate(() => {
        window.isNoisy = true;
        return window.start({ videoBitsPerSecond: 12_000_000 });
      });
      await page.waitForFunction(() => window.recorder.progress.safeMs > 0, null, PATIENCE);
      await page.route(`${server.origin}/**`, (request) => request.abort());
      // Complete files: only the worker can read them.
      await page.waitForFunction(() => window.recorder.progress.pendingBytes > 12_000_000, null, { timeout: 120_000 });
      await page.evaluate(() => {
        window.stopped = window.recorder.stop();
        window.workers.at(-1).terminate();
      });
      await page.unroute(`${server.origin}/**`);
      const done = await page.evaluate(() => window.stopped);
      assert.equal(done.parts, undefined, 'it is one file');
      await finishedRecording({ api, title: 'npm worker stopped', id: done.recordingId, seconds: done.recordedMs / 1_000 });
    });
  });

  test('is not needed: a policy without workers has a warning that names it', async () => {
    const { warnings } = await record('csp', policy("worker-src 'none'"));
    assert.deepEqual(warnings.map((it) => it.code).toSorted(), ['no_worker', 'not_durable']);
    const { message } = warnings.find((it) => it.code === 'no_worker');
    assert.match(message, /Content-Security-Policy needs worker-src blob:/);
  });

  test('runs under Trusted Types that name its policy', async () => {
    const { warnings } = await record('trusted', policy("worker-src blob:; require-trusted-types-for 'script'; trusted-types sortie-recorder"), async (page) => {
      await wait(RECORD_MS);
      assert.equal(await spool(page), 'opfs');
    });
    assert.deepEqual(warnings, []);
  });

  test('is not needed under Trusted Types that do not name its policy', async () => {
    const { warnings } = await record('untrusted', policy("worker-src blob:; require-trusted-types-for 'script'; trusted-types other"));
    assert.deepEqual(warnings.map((it) => it.code).toSorted(), ['no_worker', 'not_durable']);
    const { message } = warnings.find((it) => it.code === 'no_worker');
    assert.match(message, /TrustedScriptURL.*trusted-types sortie-recorder/);
  });

  test('keeps up while the page is busy with tasks of 200 ms', async (t) => {
    const { warnings } = await record('busy', {}, async (page) => {
      await page.evaluate(() => {
        const busy = () => {
          const end = performance.now() + 200;
          while (performance.now() < end);
          window.timer = setTimeout(busy, 20);
        };
        busy();
      });
      await wait(3 * RECORD_MS);
      const { recordedMs, safeMs } = await page.evaluate(() => window.recorder.progress);
      await page.evaluate(() => clearTimeout(window.timer));
      // The encoder catches up.
      await wait(1_000);
      assert.ok(recordedMs - safeMs < SAFE_WITHIN_MS, `${safeMs} of ${recordedMs} ms are safe`);
      t.diagnostic(`${safeMs} of ${recordedMs} ms were safe`);
    });
    assert.deepEqual(warnings.map((it) => it.code), []);
  });

  test('encrypts what it stores, and reads it again', async (t) => {
    await withPage(context, 'npm worker encrypts', async (page) => {
      await page.goto(site.add('worker-encrypts', folder));
      await page.waitForFunction(() => window.ready, null, PATIENCE);
      await page.evaluate(() => window.start());
      await page.waitForFunction(() => window.recorder.progress.safeMs > 0, null, PATIENCE);
      await page.context().setOffline(true);
      const { recordedMs } = await page.evaluate(() => window.recorder.progress);
      await page.waitForFunction((it) => window.recorder.progress.recordedMs > it + 2_000, recordedMs, PATIENCE);
      // Its end closes the files.
      await page.evaluate(() => window.workers.at(-1).terminate());
      const files = await page.evaluate(async () => {
        const top = await (await navigator.storage.getDirectory()).getDirectoryHandle('sortie-recorder');
        const found = [];
        for await (const folder of top.values()) {
          for await (const entry of folder.values()) {
            const file = await entry.getFile();
            found.push({ name: entry.name, size: file.size, text: new TextDecoder('latin1').decode(await file.slice(0, 65_536).arrayBuffer()) });
          }
        }
        return found;
      });
      assert.ok(files.some((it) => it.name === 'head') && files.some((it) => it.name.startsWith('j')), JSON.stringify(files.map((it) => it.name)));
      for (const { name, text } of files) {
        assert.doesNotMatch(text, /\x1aE\xdf\xa3|webm|http|recording/, `${name} is readable`);
      }
      t.diagnostic(files.map((it) => `${it.name} ${it.size}`).join(', '));
      await page.context().setOffline(false);
      const done = await page.evaluate(() => window.recorder.stop());
      await finishedRecording({ api, title: 'npm worker encrypts', id: done.recordingId, seconds: done.recordedMs / 1_000 });
    });
  });

  test('counts and removes the copies of an owner', async () => {
    await withPage(context, 'npm worker copies', async (page) => {
      await page.goto(site.add('worker-copies', folder));
      await page.waitForFunction(() => window.ready, null, PATIENCE);
      await page.evaluate(() => window.start({ owner: 'ann' }));
      await page.waitForFunction(() => window.recorder.progress.safeMs > 0, null, PATIENCE);
      await page.context().setOffline(true);
      const { recordedMs } = await page.evaluate(() => window.recorder.progress);
      await page.waitForFunction((it) => window.recorder.progress.recordedMs > it + 2_000, recordedMs, PATIENCE);
      await page.reload().catch(() => {});
      await page.context().setOffline(false);
      await page.goto(site.add('worker-copies-later', folder));
      await page.waitForFunction(() => window.ready, null, PATIENCE);
      const counted = (owner) => page.evaluate(async (it) => {
        const { count, sizeBytes } = await window.Recorder.deviceCopies({ owner: it });
        return { count, sizeBytes };
      }, owner);
      assert.deepEqual(await counted('bob'), { count: 0, sizeBytes: 0 });
      const { count, sizeBytes } = await counted('ann');
      assert.equal(count, 1);
      assert.ok(sizeBytes > 0);
      await page.evaluate(async () => (await window.Recorder.deviceCopies({ owner: 'ann' })).remove());
      assert.deepEqual(await counted('ann'), { count: 0, sizeBytes: 0 });
      const keys = await page.evaluate(() => new Promise((resolve, reject) => {
        const request = indexedDB.open('sortie-recorder-keys');
        request.onerror = () => reject(request.error);
        request.onsuccess = () => {
          const all = request.result.transaction('keys').objectStore('keys').getAll();
          all.onsuccess = () => resolve(all.result.map((it) => it.extractable));
        };
      }));
      assert.ok(keys.every((it) => it === false), 'no key can be exported');
    });
  });

  test('continues in memory when the browser clears the storage', async () => {
    const { warnings } = await record('cleared', {}, async (page) => {
      const cdp = await page.context().newCDPSession(page);
      await cdp.send('Storage.clearDataForOrigin', { origin: site.origin, storageTypes: 'all' });
      await wait(RECORD_MS);
    });
    assert.deepEqual(warnings.map((it) => it.code).filter((it) => it !== 'not_durable'), []);
  });
});

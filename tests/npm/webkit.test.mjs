// Tests in WebKitGTK. The encoder of Debian 12 (GStreamer 1.22) starts but emits no byte, so tests that need bytes
// replace it by one that emits a file made by ffmpeg.

import assert from 'node:assert/strict';
import { access, readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { inspect, longWebm, sampleWebm } from '../browser/support/media.mjs';
import { untilReady } from '../browser/support/assertions.mjs';
import { PROMISE_S, until } from '../browser/support/recorder.mjs';
import { project } from './support/project.mjs';
import { READY_WITHIN_MS } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';
import { MINI_BROWSER, WebKit } from './support/webkit.mjs';

const isThere = await access(MINI_BROWSER).then(() => true, () => false);

describe('WebKitGTK', { timeout: 600_000, skip: !isThere && `there is no ${MINI_BROWSER}` }, () => {
  const stage = useSite({ start: () => WebKit.start() });
  let webkit, api, url;

  before(async () => {
    ({ browser: webkit, api } = stage);
    const folder = await project({
      files: {
        'index.html': `<!doctype html><html lang="en"><title>WebKit</title><canvas width="320" height="240"></canvas>
          <script type="module" src="./main.js"></script></html>`,
        'main.js': `
          if (location.search === '?stand-in') await import('./stand-in.js');
          import { Recorder, uploadFile } from './node_modules/sortie-recorder/index.js';
          const canvas = document.querySelector('canvas');
          const context = canvas.getContext('2d', { alpha: false });
          setInterval(() => {
            context.fillStyle = 'hsl(' + performance.now() / 20 + ' 60% 45%)';
            context.fillRect(0, 0, canvas.width, canvas.height);
          }, 40);
          const target = { server: '${stage.server.origin}', getToken: () => '${api.tokens.access_token}' };
          const bytesOf = (base64) => Uint8Array.from(atob(base64), (it) => it.charCodeAt(0));
          window.page = {
            give: (base64) => window.encoder.give(bytesOf(base64)),
            async record() {
              window.recorder = new Recorder({ ...target, source: canvas });
              await window.recorder.start();
              return window.recorder.recordingId;
            },
            upload: (base64) => uploadFile(new File([bytesOf(base64)], 'a.webm', { type: 'video/webm' }), target),
            async recover() {
              const found = await Recorder.recover(target);
              [window.left] = found;
              return found.map(({ recordingId, sizeBytes, onServer }) => ({ recordingId, sizeBytes, onServer }));
            },
          };
          ${webkit.script}
        `,
        'stand-in.js': await readFile(new URL('../browser/pages/fake-encoder.js', import.meta.url), 'utf8'),
      },
    });
    url = stage.site.add('webkit', folder);
  });

  /** Returns a finished recording's file. */
  async function finished(id, title) {
    await untilReady(api, id, READY_WITHIN_MS);
    return inspect(await api.download(id), title);
  }

  test('silent encoder of a canvas is an error that says what to do', async (t) => {
    await webkit.open(url);
    t.diagnostic(await webkit.evaluate(() => navigator.userAgent));
    const id = await webkit.evaluate(() => window.page.record());
    await until('a while', () => webkit.evaluate(() => window.recorder.progress.recordedMs), (it) => it > 3_000);
    const { done, error } = await webkit.evaluate(() => window.recorder.stop().then(
      (it) => ({ done: it }),
      ({ name, code, message }) => ({ error: { name, code, message } }),
    ));
    if (done) {
      // A newer GStreamer has a working encoder: then the recording must be complete.
      await untilReady(api, id, READY_WITHIN_MS);
      const { duration_seconds: seconds } = await api.recording(id);
      assert.ok(Math.abs(seconds - done.recordedMs / 1_000) <= PROMISE_S, `${done.recordedMs} ms were promised, ${seconds} s are there`);
    } else {
      assert.deepEqual([error.name, error.code], ['RecorderError', 'empty'], JSON.stringify(error));
      assert.match(error.message, /not one byte.*use a current Chrome/);
      await until('gone from the server', () => api.recording(id), (it) => it === undefined);
    }
    t.diagnostic(done ? `it recorded ${done.mimeType}` : `the error is ${error.code}`);
    await webkit.kill();
  });

  test('a file is uploaded', async () => {
    await webkit.open(url);
    const done = await webkit.evaluate((it) => window.page.upload(it), (await sampleWebm(3)).toString('base64'));
    const file = await finished(done.recordingId, 'webkit file');
    assert.equal(Math.round(file.durationSeconds), 3);
    await webkit.kill();
  });

  test('recording of a crashed browser is recovered by the next one', async (t) => {
    const bytes = await longWebm(30);
    const half = Math.floor(bytes.length / 2);
    const give = (from, to) => webkit.evaluate((it) => window.page.give(it), bytes.subarray(from, to).toString('base64'));
    await webkit.open(`${url}?stand-in`);
    const id = await webkit.evaluate(() => window.page.record());
    await give(0, half);
    const progress = () => webkit.evaluate(() => window.recorder.progress);
    await until('safe', progress, (it) => it.safeBytes > 0 && it.pendingBytes === 0);
    await stage.server.kill();
    await give(half);
    // Bytes that were not sent are on the device.
    const { spool } = await until('waiting', progress, (it) => it.waiting !== null);
    assert.notEqual(spool, 'memory');
    await webkit.kill();
    await stage.server.restart();
    await webkit.open(url);
    const found = await until('found', () => webkit.evaluate(() => window.page.recover()), (it) => it.length > 0);
    assert.deepEqual(found, [{ recordingId: id, sizeBytes: bytes.length, onServer: 'resumable' }]);
    await webkit.evaluate(() => window.left.upload());
    const file = await finished(id, 'webkit left');
    assert.equal(Math.round(file.durationSeconds), 30);
    assert.deepEqual(await webkit.evaluate(() => window.page.recover()), []);
    t.diagnostic(`kept in ${spool}: ${bytes.length - half} of ${bytes.length} bytes`);
    await webkit.kill();
  });
});

// Formats: each one that the browser can record becomes a file that plays and seeks, also after crashes.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { assertPlays, untilReady } from '../browser/support/assertions.mjs';
import { FAKE_CAMERA, crash, launch, withPage } from '../browser/support/browser.mjs';
import { inspect, packetTimes } from '../browser/support/media.mjs';
import { until } from '../browser/support/recorder.mjs';
import { signedIn } from '../browser/support/sign-in.mjs';
import { startClock } from '../browser/pages/clock-picture.mjs';
import { project } from './support/project.mjs';
import { PATIENCE, READY_WITHIN_MS, RECORD_MS } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

const SILENCE_S = 5;

const PAGE = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Formats</title>
  <script type="module" src="./main.js"></script></head><body><canvas width="320" height="240"></canvas></body></html>`;
const MAIN = (target) => `
  import { Recorder, supportedFormats } from './node_modules/sortie-recorder/index.js';
  ${startClock}
  const target = ${target};
  window.page = {
    supportedFormats,
    async record({ isIdle, ...options }) {
      const canvas = document.querySelector('canvas');
      if (isIdle) canvas.getContext('2d', { alpha: false }).fillText('idle', 50, 50);
      else startClock(canvas);
      window.recorder = new Recorder({ ...target, source: canvas, ...options });
      window.heard = [];
      for (const name of ['warning', 'stopped', 'error']) window.recorder.on(name, (it) => window.heard.push([name, it.code ?? it]));
      await window.recorder.start();
    },
    refused: (options) => window.page.record(options).then(() => ({ code: 'it records' }), ({ name, code, message }) => ({ name, code, message })),
    stop: () => window.recorder.stop(),
    recover: async () => (await Recorder.recover(target)).map((it) => { window.left = it; return it.recordedMs; }),
    upload: () => window.left.upload(),
    download: async () => Array.from(new Uint8Array(await (await window.left.download()).arrayBuffer())),
  };
`;

const MP4 = ['video/mp4', 'video/mp4;codecs=avc1.640028'];

/** Tests that run at the same time, in separate browser contexts: they wait more than they compute. */
const SIDE_BY_SIDE = { concurrency: 3 };

/** Codec names of ffprobe. */
const CODECS = { vp8: 'vp8', vp9: 'vp9', avc1: 'h264', av01: 'av1', opus: 'opus', mp4a: 'aac' };
const nameOf = (codec) => CODECS[codec.split('.')[0]];

describe('formats', { timeout: 900_000 }, () => {
  const stage = useSite({ start: () => launch(FAKE_CAMERA), environment: { SORTIE_RECORDING_SILENCE_SECONDS: String(SILENCE_S) } });
  let server, api, player, url;

  before(async () => {
    ({ server, api } = stage);
    player = await signedIn(stage.browser, server.origin);
    const target = `{ server: ${JSON.stringify(server.origin)}, getToken: () => ${JSON.stringify(api.tokens.access_token)} }`;
    url = stage.site.add('formats', await project({ files: { 'index.html': PAGE, 'main.js': MAIN(target) } }));
  });

  const visit = (name, use, context) => withPage(context, `formats ${name}`, async (page) => {
    await page.goto(url);
    await page.waitForFunction(() => window.page, null, PATIENCE);
    return use(page);
  });
  /** Visits the page in a context of its own. */
  const alone = async (name, use) => {
    const context = await stage.browser.newContext();
    try {
      return await visit(name, use, context);
    } finally {
      await context.close();
    }
  };
  /** Checks a finished recording: it passes independent programs, plays and seeks, and has this length. */
  const check = async (id, title, { seconds, toleranceS = 1, clock = true }) => {
    await untilReady(api, id, READY_WITHIN_MS);
    const { duration_seconds: stored } = await api.recording(id);
    assert.ok(Math.abs(stored - seconds) <= toleranceS, `${seconds} s were recorded, ${stored} s are there`);
    const file = await inspect(await api.download(id), title);
    assert.ok(Math.abs(file.durationSeconds - stored) < 0.3, `ffprobe says ${file.durationSeconds} s, the server ${stored} s`);
    await assertPlays(player, server.origin, id, { title, seconds: stored, clock, toleranceMs: 1_000 });
    return file;
  };

  test('every supported format becomes a file that plays and seeks', SIDE_BY_SIDE, async (t) => {
    const formats = await alone('all', (page) => page.evaluate(() => window.page.supportedFormats({ audio: true })));
    assert.equal(formats[0].mimeType, 'video/webm;codecs=vp9,opus');
    assert.ok(formats.some((it) => it.container === 'mp4'), JSON.stringify(formats));
    // Chromium records no AAC without a codec of the system.
    await Promise.all(formats.map(({ mimeType, videoCodec, audioCodec, container }) => t.test(mimeType, async (tt) => {
      await alone(mimeType, async (page) => {
        await page.evaluate((it) => window.page.record(it), { mimeType, microphone: true });
        await wait(RECORD_MS + 2_000);
        const done = await page.evaluate(() => window.page.stop());
        const file = await check(done.recordingId, `format ${mimeType}`, { seconds: done.recordedMs / 1_000 });
        assert.ok(file.format.includes(container), file.format);
        assert.deepEqual([file.video.codec_name, file.audio.codec_name], [nameOf(videoCodec), nameOf(audioCodec)]);
        tt.diagnostic(`${file.durationSeconds} s, ${done.sizeBytes} bytes`);
      });
    })));
  });

  test('unsupported type is refused, and nothing is recorded', async () => {
    await alone('unsupported', async (page) => {
      const known = (await api.recordings()).length;
      for (const mimeType of ['video/quicktime', ['video/x', 'video/mp4;codecs=nonsense'], 'nonsense']) {
        const { name, code, message } = await page.evaluate((it) => window.page.refused(it), { mimeType });
        assert.deepEqual([name, code], ['RecorderError', 'unsupported'], message);
      }
      const wrong = await page.evaluate(() => window.page.refused({ mimeType: [7] }));
      assert.equal(wrong.name, 'TypeError');
      assert.equal((await api.recordings()).length, known);
    });
  });

  // Crashes of WebM are tested with the recorder and the server.
  test('bytes of an MP4 are kept every few seconds, the server may crash', SIDE_BY_SIDE, async (t) => {
    const context = await stage.browser.newContext();
    const pages = await Promise.all(MP4.map(async (mimeType) => {
      const page = await context.newPage();
      await page.goto(url);
      await page.waitForFunction(() => window.page, null, PATIENCE);
      await page.evaluate((it) => window.page.record(it), { mimeType });
      await page.waitForFunction(() => window.recorder.progress.safeBytes > 50_000, null, PATIENCE);
      return page;
    }));
    await server.kill();
    await wait(3_000);
    await server.restart();
    await wait(3_000);
    await Promise.all(pages.map((page, i) => t.test(MP4[i], async (tt) => {
      const done = await page.evaluate(() => window.page.stop());
      assert.deepEqual(await page.evaluate(() => window.heard.filter(([name, code]) => code === 'no_data' || name === 'error')), []);
      const file = await check(done.recordingId, `server crash ${MP4[i]}`, { seconds: done.recordedMs / 1_000 });
      tt.diagnostic(`${done.recordedMs} ms, file ${file.durationSeconds} s`);
    })));
    await context.close();
  });

  describe('side by side', SIDE_BY_SIDE, () => {
    test('formats without sound name no audio codec', async () => {
      const formats = await alone('mute', (page) => page.evaluate(() => window.page.supportedFormats()));
      assert.ok(formats.length > 3);
      assert.ok(formats.every((it) => it.audioCodec === undefined && !it.mimeType.includes('opus')));
      // Chromium does not answer for recorders.
      assert.ok(['boolean', 'undefined'].includes(typeof formats[0].smooth));
    });

    test('first supported one of several types is recorded', async () => {
      await alone('list', async (page) => {
        await page.evaluate((it) => window.page.record(it), { mimeType: ['video/quicktime', 'video/mp4;codecs=avc1', 'video/webm'] });
        await wait(RECORD_MS);
        const done = await page.evaluate(() => window.page.stop());
        assert.match(done.mimeType, /^video\/mp4;codecs=avc1/);
        assert.equal((await check(done.recordingId, 'format list', { seconds: done.recordedMs / 1_000 })).video.codec_name, 'h264');
      });
    });

    for (const mimeType of MP4) {
      test(`${mimeType}: page crashes, and the server finishes what it has`, async (t) => {
        const { id, recordedMs } = await alone('page crash', async (page) => {
          await page.evaluate((it) => window.page.record({ ...it, durable: false }), { mimeType });
          await page.waitForFunction(() => window.recorder.progress.recordedMs > 9_000, null, PATIENCE);
          const seen = await page.evaluate(() => ({ id: window.recorder.recordingId, recordedMs: window.recorder.progress.recordedMs }));
          await crash(page);
          return seen;
        });
        const { duration_seconds: seconds, interrupted } = await until('ready', () => api.recording(id), (it) => it.status === 'ready', 40_000);
        assert.equal(interrupted, true);
        assert.ok(recordedMs / 1_000 - seconds < 4.5, `${recordedMs} ms were recorded, ${seconds} s are there`);
        await check(id, `page crash ${mimeType}`, { seconds });
        t.diagnostic(`${recordedMs} ms recorded, ${seconds} s kept`);
      });

      test(`${mimeType}: page crashes, and the recovered file plays and seeks`, async () => {
        const context = await stage.browser.newContext();
        await visit('recover', async (page) => {
          await page.evaluate((it) => window.page.record(it), { mimeType });
          await page.waitForFunction(() => window.recorder.progress.safeBytes > 50_000, null, PATIENCE);
          await context.setOffline(true);
          await wait(5_000);
          await crash(page);
        }, context);
        await context.setOffline(false);
        await visit('recovered', async (page) => {
          const [recordedMs, ...others] = await page.evaluate(() => window.page.recover());
          assert.deepEqual(others, []);
          const bytes = await page.evaluate(() => window.page.download());
          const file = await inspect(Buffer.from(bytes), `recovered ${mimeType}`);
          assert.ok(Number.isFinite(file.durationSeconds) && file.durationSeconds > 2, `${file.durationSeconds} s`);
          const done = await page.evaluate(() => window.page.upload());
          // The encoder may have held back up to a distance of keyframes.
          await check(done.recordingId, `recovered upload ${mimeType}`, { seconds: recordedMs / 1_000, toleranceS: 3 });
        }, context);
        await context.close();
      });
    }

    test('keyframes of an idle canvas are ten seconds apart, and seeks between them work', async (t) => {
      await alone('keyframes', async (page) => {
        // A picture that changes much has further ones.
        await page.evaluate(() => window.page.record({ isIdle: true }));
        await wait(13_000);
        const done = await page.evaluate(() => window.page.stop());
        const { path } = await check(done.recordingId, 'keyframes', { seconds: done.recordedMs / 1_000, clock: false });
        const keyframes = await packetTimes(path, 'v', { onlyKeyframes: true });
        t.diagnostic(`keyframes at ${keyframes.join(', ')} s`);
        const gaps = keyframes.slice(1).map((time, i) => time - keyframes[i]);
        assert.ok(gaps.length > 0 && gaps.every((it) => it > 9.5 && it < 11), keyframes.join());
      });
    });

    for (const mimeType of ['video/webm;codecs=vp9', 'video/mp4', 'video/mp4;codecs=avc1.640028']) {
      test(`${mimeType}: source that is resized stays one recording`, async (t) => {
        await alone('resized', async (page) => {
          await page.evaluate((it) => window.page.record(it), { mimeType });
          for (const [width, height] of [[160, 120], [321, 239], [320, 240]]) {
            await wait(2_500);
            await page.evaluate((it) => Object.assign(document.querySelector('canvas'), it), { width, height });
          }
          await wait(2_500);
          const done = await page.evaluate(() => window.page.stop());
          const heard = await page.evaluate(() => window.heard);
          t.diagnostic(`${done.recordedMs} ms, ${JSON.stringify(heard)}`);
          assert.deepEqual(heard, [['stopped', 'user']]);
          await untilReady(api, done.recordingId, READY_WITHIN_MS);
          const file = await inspect(await api.download(done.recordingId), `resized ${mimeType}`);
          assert.ok(Math.abs(file.durationSeconds - done.recordedMs / 1_000) < 1, `${file.durationSeconds} s`);
        });
      });

      test(`${mimeType}: encoder that fails in mid-stream ends the recording, and its bytes are kept`, async (t) => {
        await alone('encoder error', async (page) => {
          // The encoder of the page is the browser's; its failure is not one that a test can cause.
          await page.evaluate(() => {
            const Real = window.MediaRecorder;
            window.MediaRecorder = class extends Real {
              constructor(...given) {
                super(...given);
                window.encoder = this;
              }
            };
          });
          await page.evaluate((it) => window.page.record(it), { mimeType });
          await page.waitForFunction(() => window.recorder.progress.safeBytes > 20_000, null, PATIENCE);
          await page.evaluate(() => {
            window.encoder.dispatchEvent(Object.assign(new Event('error'), { error: new DOMException('encoder gone', 'EncodingError') }));
            window.encoder.stop();
          });
          await page.waitForFunction(() => window.recorder.state === 'done', null, PATIENCE);
          const done = await page.evaluate(() => window.recorder.finished);
          const heard = await page.evaluate(() => window.heard);
          assert.deepEqual(heard, [['warning', 'encoder'], ['stopped', 'encoder_failed']]);
          await check(done.recordingId, `encoder error ${mimeType}`, { seconds: done.recordedMs / 1_000 });
          t.diagnostic(`${done.recordedMs} ms`);
        });
      });
    }
  });
});

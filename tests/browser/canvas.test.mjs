// An app developer records a canvas of their own page with the JavaScript API.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { openTestPage, withPage } from './support/browser.mjs';
import { longestGap, packetTimes } from './support/media.mjs';
import { assertGrowsOnDisk, assertPlays, assertWholeFile, untilReady } from './support/assertions.mjs';
import { PROMISE_S } from './support/recorder.mjs';
import { useFixture } from './support/fixture.mjs';

/** Longest gap between frames at 30 frames a second, with a margin for a busy machine. */
const LONGEST_GAP_S = 0.5;

describe('recording a canvas', { timeout: 180_000 }, () => {
  const fixture = useFixture();
  let server, context, api;

  before(() => ({ server, context, api } = fixture));

  /** Opens the test page and creates a session for it. */
  async function prepare(page) {
    await openTestPage(page, server.origin, 'canvas.html', 'e2e');
    const session = await (await api.post('/api/sessions', { app_id: 'e2e' })).json();
    return { token: api.tokens.access_token, session: session.id };
  }

  test('ten seconds arrive during the recording and are ready, playable and seekable after it', async (t) => {
    const title = 'canvas';
    const result = await withPage(context, title, async (page) => {
      const options = await prepare(page);
      const started = await page.evaluate((it) => window.e2e.start(it), options);
      assert.match(started.mimeType, /^video\/webm/);
      const samples = await assertGrowsOnDisk(server, 10);
      assert.equal((await api.recording(started.id)).status, 'recording');
      const stopped = await page.evaluate(() => window.e2e.stop());
      return { ...started, samples, stopped };
    });
    const readyMs = result.stopped.tookMs + (await untilReady(api, result.id));
    assert.ok(readyMs <= 2_000, `ready ${readyMs} ms after Stop`);

    const seconds = (result.stopped.pictureMs - result.pictureMs) / 1_000;
    const played = await assertPlays(context, server.origin, result.id, { title, seconds });
    const file = await assertWholeFile(api, result.id, { title, seconds });
    assert.equal(file.audio, undefined);
    assert.deepEqual([file.video.width, file.video.height], [640, 480]);
    t.diagnostic(`stored, second by second: ${result.samples.join(', ')} bytes`);
    t.diagnostic(`ready ${Math.round(readyMs)} ms after Stop; ${result.mimeType}; ${seconds.toFixed(2)} s recorded, <video> says ${played.duration} s, ffprobe ${file.durationSeconds} s`);
    t.diagnostic(`seeks: ${played.seeks.map((it) => `to ${it.to.toFixed(1)} s in ${it.seekMs} ms, picture ${it.offMs} ms off`).join('; ')}`);
  });

  test('pause and resume leave no gap and a correct duration', async (t) => {
    const title = 'pause';
    const result = await withPage(context, title, async (page) => {
      const started = await page.evaluate((it) => window.e2e.start(it), await prepare(page));
      await wait(3_000);
      const paused = await page.evaluate(() => window.e2e.pause());
      await wait(2_500);
      const resumed = await page.evaluate(() => window.e2e.resume());
      await wait(3_000);
      const stopped = await page.evaluate(() => window.e2e.stop());
      return { id: started.id, began: started.pictureMs, paused, resumed, ended: stopped.pictureMs };
    });
    await untilReady(api, result.id);

    const beforePause = (result.paused - result.began) / 1_000;
    const pause = result.resumed - result.paused;
    const seconds = (result.ended - result.began - pause) / 1_000;
    assert.ok(pause > 2_000, `the pause was ${pause} ms`);
    const played = await assertPlays(context, server.origin, result.id, {
      title,
      seconds,
      pictureAt: (it) => it * 1_000 + (it > beforePause ? pause : 0),
      // Positions before and after the pause.
      seekTo: [beforePause - 1, beforePause + 1],
    });
    const file = await assertWholeFile(api, result.id, { title, seconds });
    const gap = longestGap(await packetTimes(file.path));
    assert.ok(gap < LONGEST_GAP_S, `there is a gap of ${gap} s`);
    t.diagnostic(`${seconds.toFixed(2)} s recorded around a pause of ${pause} ms: <video> says ${played.duration} s, longest gap ${gap.toFixed(3)} s`);
  });

  test('a server that is killed and restarted during the recording has all of it', async (t) => {
    const title = 'server killed';
    const result = await withPage(context, title, async (page) => {
      const started = await page.evaluate((it) => window.e2e.start(it), await prepare(page));
      await wait(3_000);
      await server.kill();
      const kept = await server.storedBytes();
      await wait(2_000);
      await server.restart();
      await wait(4_000);
      const stopped = await page.evaluate(() => window.e2e.stop());
      return { id: started.id, kept, seconds: (stopped.pictureMs - started.pictureMs) / 1_000, ...stopped };
    });
    assert.ok(result.kept > 0, 'nothing had been stored before the kill');
    assert.equal(result.state, 'done');
    const readyMs = await untilReady(api, result.id);

    const recording = await api.recording(result.id);
    assert.equal(recording.interrupted, false);
    const off = recording.duration_seconds - result.recordedMs / 1_000;
    assert.ok(Math.abs(off) <= PROMISE_S, `${result.recordedMs} ms were promised, ${recording.duration_seconds} s are there`);
    const played = await assertPlays(context, server.origin, result.id, { title, seconds: result.seconds });
    const file = await assertWholeFile(api, result.id, { title, seconds: result.seconds });
    const gap = longestGap(await packetTimes(file.path));
    assert.ok(gap < LONGEST_GAP_S, `there is a gap of ${gap} s`);
    t.diagnostic(`${result.seconds.toFixed(2)} s recorded, killed at 3 s for 2 s: <video> says ${played.duration} s, longest gap ${gap.toFixed(3)} s, ready after ${Math.round(readyMs)} ms`);
  });
});

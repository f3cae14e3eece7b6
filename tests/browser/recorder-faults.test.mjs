// Faults that a recording survives: a crashed page, a lost network, an expired token, a full device, two competing
// pages. Each time the file plays, seeks, and has the reported duration.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { launchWithProfile, withPage } from './support/browser.mjs';
import { LONG } from './support/long-tests.mjs';
import { inspect, sampleWebm } from './support/media.mjs';
import { assertVideo, untilReady } from './support/assertions.mjs';
import { PROMISE_S, RecorderPage, assertKept } from './support/recorder.mjs';
import { useFixture } from './support/fixture.mjs';

/** Duration of several chunks of one second. */
const CHUNKS_S = 3;
const OFFLINE_S = LONG ? 60 : 10;

describe('recorder under faults', { timeout: 600_000 }, () => {
  const fixture = useFixture();

  /** Opens a page with a recorder and runs `action` with it. */
  const withRecorder = (title, action, { context = fixture.context, tokens } = {}) =>
    withPage(context, title, async (page) => action(await RecorderPage.open(page, fixture.api, { tokens })));

  /** Leaves a recording of a crashed page with seconds that the server does not have. */
  async function leaveBehind() {
    const recorder = await RecorderPage.open(await fixture.context.newPage(), fixture.api);
    const { id } = await recorder.record();
    await recorder.until('safe', (it) => it.safeBytes > 0);
    await recorder.offline(true);
    const before = await recorder.progress();
    await recorder.until('ahead', (it) => it.recordedMs - before.recordedMs > CHUNKS_S * 1_000 && it.pendingBytes > 0);
    const last = await recorder.progress();
    assert.equal(last.spool, 'opfs');
    await recorder.crash();
    return { id, last };
  }

  test('the recording of a crashed page is uploaded completely by the next page', async (t) => {
    const { id, last } = await leaveBehind();
    await withRecorder('recovered', async (recorder) => {
      const [leftover, ...others] = await recorder.recover();
      assert.deepEqual(others, []);
      assert.equal(leftover.recordingId, id);
      assert.equal(leftover.onServer, 'resumable');
      assert.ok(leftover.sizeBytes > last.safeBytes, 'nothing was kept that the server does not have');
      // The chunk in progress was lost with the page.
      assert.ok(last.recordedMs - leftover.recordedMs < 2_500, `${last.recordedMs} ms were recorded, ${leftover.recordedMs} kept`);
      const done = await recorder.upload(0);
      assert.equal(done.sizeBytes, leftover.sizeBytes);
      assert.deepEqual(await recorder.recover(), []);
      const seconds = await assertKept(fixture, id, 'recovered', leftover.recordedMs);
      t.diagnostic(`crashed at ${last.recordedMs} ms, ${last.safeMs} ms safe; ${leftover.recordedMs} ms recovered; file ${seconds} s`);
    });
  });

  test('the recording of a crashed page can be saved as a playable file', async (t) => {
    const { id, last } = await leaveBehind();
    await withRecorder('saved', async (recorder) => {
      const [leftover] = await recorder.recover();
      assert.equal(leftover.keptBytes, leftover.sizeBytes, 'its beginning is still here');
      const { type, bytes } = await recorder.page.evaluate(() => window.e2e.save(0));
      assert.equal(type, 'video/webm');
      const file = await inspect(Buffer.from(bytes), 'saved');
      const off = file.durationSeconds - leftover.recordedMs / 1_000;
      assert.ok(Math.abs(off) <= PROMISE_S, `${leftover.recordedMs} ms were promised, ${file.durationSeconds} s are there`);
      assert.match(file.mkvinfo, /Cues/);
      await recorder.page.evaluate(() => window.e2e.show());
      await assertVideo(recorder.page, { seconds: file.durationSeconds, toleranceMs: PROMISE_S * 1_000 });
      await recorder.discard(0);
      assert.deepEqual(await recorder.recover(), []);
      assert.equal(await fixture.api.recording(id), undefined, 'what is discarded goes from the server, too');
      t.diagnostic(`${last.recordedMs} ms recorded, ${file.durationSeconds} s saved`);
    });
  });

  test('a recoverable recording is offered to one of two pages, a running recording to none', async () => {
    const { id } = await leaveBehind();
    await withRecorder('first', (first) =>
      withRecorder('second', async (second) => {
        const [ours, theirs] = await Promise.all([first.recover(), second.recover()]);
        assert.equal(ours.length + theirs.length, 1, 'it is offered once');
        const [has, hasNot] = ours.length ? [first, second] : [second, first];
        const [leftover] = [...ours, ...theirs];
        const live = await hasNot.record();
        await hasNot.until('recording', (it) => it.sizeBytes > 0);
        assert.deepEqual(await has.recover(), [], 'a live recording is nobody else\'s');
        await has.upload(0);
        const done = await hasNot.stop();
        assert.deepEqual(await hasNot.recover(), []);
        await assertKept(fixture, id, 'left to two', leftover.recordedMs);
        await assertKept(fixture, live.id, 'live beside another', done.recordedMs);
      }),
    );
  });

  test('a page that looks for recordings does not disturb others that open their storage', async () => {
    const script = await readFile(new URL('../../client/src/browser/spool/worker.js', import.meta.url), 'utf8').then((it) => it.replace('COLLECT_MS = 20', 'COLLECT_MS = 0'));
    await withRecorder('storage', async ({ page }) => {
      const kinds = await page.evaluate(async (script) => {
        const url = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
        const started = () => {
          const worker = new Worker(url);
          const waiting = [];
          worker.onmessage = ({ data }) => data.forEach(([id, result]) => waiting[id](result));
          const ask = (...request) => new Promise((done) => { worker.postMessage([waiting.push(done) - 1, ...request]); });
          return { worker, ask };
        };
        const { worker: looking, ask } = started();
        await ask('open');
        let isDone = false;
        /** As the recovery does: a folder without a journal is removed. */
        const look = async () => {
          while (!isDone) {
            for (const folder of await ask('folders')) {
              if (!await ask('lock', folder)) continue;
              const looked = await ask('look', folder);
              if (looked?.[1].length === 0) await ask('remove', folder);
              await ask('unlock', folder);
            }
          }
        };
        const lookedUntilDone = look();
        const kinds = [];
        for (let i = 0; i < 50; i += 1) {
          const { worker, ask } = started();
          kinds.push(await ask('open'));
          worker.terminate();
        }
        isDone = true;
        await lookedUntilDone;
        looking.terminate();
        return kinds;
      }, script);
      assert.deepEqual([...new Set(kinds)], ['opfs']);
    });
  });

  test(`${OFFLINE_S} seconds without a network lose nothing`, async (t) => {
    await withRecorder('offline', async (recorder) => {
      const { id } = await recorder.record();
      await recorder.until('safe', (it) => it.safeBytes > 0);
      await recorder.offline(true);
      await recorder.until('waiting', (it) => it.waiting !== null);
      await wait(OFFLINE_S * 1_000);
      const held = await recorder.progress();
      await recorder.offline(false);
      const asked = performance.now();
      await recorder.until('sent', (it) => it.safeBytes > held.sizeBytes);
      t.diagnostic(`${held.pendingBytes} bytes were on their way ${Math.round(performance.now() - asked)} ms after the network`);
      const done = await recorder.stop();
      await assertKept(fixture, id, 'offline', done.recordedMs);
    });
  });

  test('a token that expires during a recording is renewed', async () => {
    const tokens = [fixture.api.tokenFor(4), fixture.api.tokens.access_token];
    await withRecorder('token', async (recorder) => {
      const { id } = await recorder.record();
      await recorder.until('long enough', (it) => it.recordedMs > 6_000);
      const done = await recorder.stop();
      await assertKept(fixture, id, 'token', done.recordedMs);
    }, { context: fixture.visitor, tokens });
  });

  test('on a full device the recording continues in memory with a warning', async (t) => {
    const profile = await mkdtemp(join(tmpdir(), 'sortie-profile-'));
    const device = await launchWithProfile(profile);
    try {
      await withRecorder('quota', async (recorder) => {
        const cdp = await recorder.cdp();
        // Chromium reserves a megabyte for every open file, and then twice as much.
        await cdp.send('Storage.overrideQuotaForOrigin', { origin: fixture.server.origin, quotaSize: 2_500_000 });
        const { id } = await recorder.record({ videoBitsPerSecond: 10_000_000, keyFrameInterval: 100 });
        await recorder.until('kept', (it) => it.spool === 'opfs' && it.safeBytes > 0);
        await recorder.offline(true);
        await recorder.until('in memory', (it) => it.spool === 'memory', 60_000);
        assert.deepEqual(await recorder.warnings(), ['storage_full']);
        const held = await recorder.until('further', (it) => it.pendingBytes > 1_500_000);
        await recorder.offline(false);
        await recorder.until('sent and kept again', (it) => it.safeBytes > held.sizeBytes && it.spool === 'opfs');
        const done = await recorder.stop();
        const seconds = await assertKept(fixture, id, 'quota', done.recordedMs);
        t.diagnostic(`${held.pendingBytes} bytes were held in memory; file ${seconds} s`);
      }, { context: device });
    } finally {
      await device.close();
      await rm(profile, { recursive: true, force: true });
    }
  });

  test('lost requests and responses, errors, refusals and failing storage cost time only', async (t) => {
    await withRecorder('kit', async (recorder) => {
      const inject = (what) => recorder.page.evaluate((it) => window.e2e.inject(it), what);
      const { id } = await recorder.record({ timeslice: 250 });
      await inject({ drop: 0.2, lose: 0.2, fail: 0.2, delay: 50 });
      const safe = (await recorder.progress()).safeBytes;
      await recorder.until('safe', (it) => it.recordedMs > 6_000 && it.safeBytes > safe, 60_000);
      await inject({ lose: 0.2, storage: 'full' });
      await recorder.until('in memory', (it) => it.spool === 'memory');
      await inject({});
      await recorder.until('kept again', (it) => it.spool === 'opfs');
      await inject({ storage: 'dead' });
      await recorder.until('in memory for good', (it) => it.spool === 'memory', 40_000);
      const counts = await inject({});
      const done = await recorder.stop();
      await assertKept(fixture, id, 'kit', done.recordedMs);
      const warnings = await recorder.warnings();
      assert.deepEqual(warnings.filter((it) => !['no_data'].includes(it)), ['storage_full', 'not_durable']);
      assert.ok(counts.dropped + counts.lost + counts.failed > 0, JSON.stringify(counts));
      t.diagnostic(JSON.stringify(counts));
    });
  });

  test('an existing file is uploaded with progress', async () => {
    const sample = await sampleWebm(3);
    await withRecorder('file', async (recorder) => {
      const done = await recorder.page.evaluate((it) => window.e2e.uploadSample(it), [...sample]);
      assert.equal(done.sizeBytes, sample.length);
      assert.equal(done.seen.at(-1), sample.length);
      await untilReady(fixture.api, done.recordingId);
      assert.equal(Math.round((await fixture.api.recording(done.recordingId)).duration_seconds), 3);
    });
  });
});

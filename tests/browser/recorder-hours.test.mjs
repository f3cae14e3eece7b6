// Eight hours of video through recorder, spool and server, with an encoder that delivers as fast as the recorder
// accepts. `make bench` measures the heap per second of recording.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { withPage } from './support/browser.mjs';
import { LONG } from './support/long-tests.mjs';
import { longWebm } from './support/media.mjs';
import { RecorderPage, assertKept } from './support/recorder.mjs';
import { useFixture } from './support/fixture.mjs';

const HOURS = LONG ? 8 : 1;
const CHUNK_S = LONG ? 10 : 60;
/** Largest growth of the heap after the first tenth of the recording. */
const FLAT_BYTES = 500_000;

describe('a long recording', { timeout: 1_200_000 }, () => {
  const fixture = useFixture();

  test(`of ${HOURS} h keeps the heap flat, and its file plays and seeks`, async (t) => {
    const seconds = HOURS * 3_600;
    const bytes = await longWebm(seconds);
    const chunks = seconds / CHUNK_S;
    await withPage(fixture.visitor, 'hours', async (page) => {
      await page.addInitScript({ path: new URL('pages/fake-encoder.js', import.meta.url).pathname });
      await page.addInitScript(stopClock);
      const recorder = await RecorderPage.open(page, fixture.api);
      await page.evaluate((it) => window.hours.load(it), bytes.toString('base64'));
      const { id } = await recorder.record({ idle: true, timeslice: CHUNK_S * 1_000 });
      const cdp = await recorder.cdp();
      const used = [];
      for (let tenth = 0; tenth < 10; tenth += 1) {
        await page.evaluate(async ({ from, to, of, ms }) => {
          for (let i = from; i < to; i += 1) {
            window.hours.record(ms, (i + 1) / of);
            // Limits the rate like a network that keeps up.
            do await new Promise((resolve) => setTimeout(resolve, 1)); while (window.e2e.progress().pendingBytes > 0);
          }
        }, { from: (tenth * chunks) / 10, to: ((tenth + 1) * chunks) / 10, of: chunks, ms: CHUNK_S * 1_000 });
        await cdp.send('HeapProfiler.collectGarbage');
        const { usedSize } = await cdp.send('Runtime.getHeapUsage');
        used.push({ heap: usedSize, wasm: await page.evaluate(() => window.e2e.memory()) });
      }
      const done = await recorder.stop();
      assert.equal(done.recordedMs, seconds * 1_000);
      assert.equal(done.sizeBytes, bytes.length);
      await assertKept(fixture, id, 'hours', done.recordedMs, { clock: false });
      t.diagnostic(`${chunks} chunks; heap ${used.map((it) => Math.round(it.heap / 1_000)).join(', ')} kB, WebAssembly ${used.at(-1).wasm / 1_000} kB`);
      for (const kind of ['heap', 'wasm']) {
        const more = Math.max(...used.map((it) => it[kind])) - used[0][kind];
        assert.ok(more < FLAT_BYTES, `${kind} grew by ${more} bytes: ${JSON.stringify(used)}`);
      }
    });
  });
});

/** Runs before the page's scripts: time advances only when the test advances it. */
function stopClock() {
  let now = performance.now();
  performance.now = () => now;
  let bytes;
  let at = 0;
  window.hours = {
    load(base64) {
      bytes = Uint8Array.from(atob(base64), (it) => it.charCodeAt(0));
    },
    /** A chunk of `ms` milliseconds from this share of the recording. */
    record(ms, share) {
      now += ms;
      const end = Math.round(bytes.length * share);
      window.encoder.give(bytes.subarray(at, end));
      at = end;
    },
  };
}

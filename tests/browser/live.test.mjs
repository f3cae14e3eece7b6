// A running recording is watched in another page: delay, seeking back, return to the newest picture, end.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { untilReady } from './support/assertions.mjs';
import { artifactsDir } from './support/artifacts.mjs';
import { assertAccessible } from './support/axe.mjs';
import { openTestPage, withPage } from './support/browser.mjs';
import { useFixture } from './support/fixture.mjs';
import { LONG } from './support/long-tests.mjs';
import { watchPictures } from './pages/clock-picture.mjs';

const PATIENCE_MS = 30_000;
/** Duration of the measurement. */
const MEASURED_S = LONG ? 60 : 10;
/** Largest delay from the drawing of a picture to its display. */
const DELAY_P95_MS = 3_000;

const percentile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];

describe('a running recording', { timeout: 300_000 }, () => {
  const fixture = useFixture();
  let server, context, visitor, api;

  before(() => ({ server, context, visitor, api } = fixture));

  /** Records the clock in a page of its own while `action` runs with the recording's ID. */
  function recording(title, action) {
    return withPage(visitor, `${title} recorder`, async (source) => {
      await openTestPage(source, server.origin, 'canvas.html', 'e2e');
      const session = await (await api.post('/api/sessions', { app_id: 'e2e' })).json();
      const options = { token: api.tokens.access_token, session: session.id };
      const { id } = await source.evaluate((it) => window.e2e.start(it), options);
      // Time since 1970 at which the clock showed 0; a sample taken between two pictures is too late.
      let originMs = Infinity;
      for (let i = 0; i < 20; i += 1) {
        const { pictureMs, nowMs } = await source.evaluate(() => window.e2e.clock());
        originMs = Math.min(originMs, nowMs - pictureMs);
      }
      await action({ id, source, originMs });
    });
  }

  /** Waits until the page's last picture satisfies `isRight`; returns it. */
  async function picture(page, what, isRight) {
    const from = performance.now();
    let last;
    while (performance.now() - from < PATIENCE_MS) {
      last = await page.evaluate(() => window.pictures.at(-1));
      if (last && isRight(last)) return last;
      await wait(50);
    }
    return assert.fail(`${what}: last picture ${JSON.stringify(last)}`);
  }

  async function screenshot(page, name) {
    await mkdir(artifactsDir, { recursive: true });
    await page.screenshot({ path: join(artifactsDir, `${name}.png`) });
  }

  test('is watched with a small delay, from earlier, live again, and becomes the finished recording', async (t) => {
    await recording('live', async ({ id, source, originMs }) => {
      // Enough to seek back.
      await wait(16_000);
      await withPage(context, 'live viewer', async (page) => {
        await page.goto(`${server.origin}/recordings`);
        const link = page.locator(`a[href="/recordings/${id}"]`).first();
        await link.waitFor();
        await page.evaluate(() => { window.sameDocument = true; });
        await page.evaluate(watchPictures, { selector: '.live-stage video' });
        const clicked = Date.now();
        await link.click();
        const delay = ({ ms, at }) => at - originMs - ms;
        const first = await picture(page, 'no picture', () => true);
        t.diagnostic(`first picture after ${Math.round(first.at - clicked)} ms, ${Math.round(delay(first))} ms old`);

        await wait(2_000);
        const from = await page.evaluate(() => window.pictures.length);
        await wait(MEASURED_S * 1_000);
        const pictures = await page.evaluate((it) => window.pictures.slice(it), from);
        assert.ok(pictures.length > MEASURED_S * 5, `${pictures.length} pictures in ${MEASURED_S} s`);
        const delays = pictures.map(delay).sort((a, b) => a - b);
        const [p50, p95] = [percentile(delays, 0.5), percentile(delays, 0.95)];
        t.diagnostic(`delay over ${MEASURED_S} s: p50 ${Math.round(p50)} ms, p95 ${Math.round(p95)} ms, ` +
          `${Math.round(delays[0])}–${Math.round(delays.at(-1))} ms, ${pictures.length} pictures`);
        assert.ok(p95 <= DELAY_P95_MS, `p95 ${p95} ms`);
        const badge = page.locator('.live-badge');
        assert.match(await badge.textContent(), /^LIVE( −[123] s)?$/);
        assert.equal(await page.getByRole('button', { name: 'Go live' }).count(), 0);
        await screenshot(page, 'live-newest');
        await assertAccessible(page, 'live');

        // The viewer began at the newest keyframe: earlier pictures need another request.
        const slider = page.getByRole('slider', { name: 'Position' });
        await slider.evaluate((input) => {
          input.value = '3';
          input.dispatchEvent(new Event('input', { bubbles: true }));
          input.dispatchEvent(new Event('change', { bubbles: true }));
        });
        const early = await picture(page, 'no early picture', ({ ms }) => ms < 8_000);
        await picture(page, 'early playback stands still', ({ ms }) => ms > early.ms + 1_000 && ms < 12_000);
        assert.match(await badge.textContent(), /^−\d+:\d\d$/);
        await screenshot(page, 'live-earlier');

        await page.getByRole('button', { name: 'Go live' }).click();
        await picture(page, 'not live again', (last) => delay(last) < 4_000);
        await page.keyboard.press('j');
        await picture(page, 'not 10 s back', (last) => delay(last) > 8_000 && delay(last) < 16_000);
        await page.getByRole('button', { name: 'Go live' }).click();
        await picture(page, 'not live again', (last) => delay(last) < 4_000);

        await page.keyboard.press('k');
        await page.getByRole('button', { name: 'Play' }).waitFor();
        await page.keyboard.press('k');
        await page.getByRole('button', { name: 'Pause' }).waitFor();

        await source.evaluate(() => window.e2e.stop());
        await untilReady(api, id);
        const finished = page.locator('video[src*="/stream"]');
        await finished.waitFor({ timeout: PATIENCE_MS });
        assert.equal(await page.locator('.live-stage').count(), 0);
        assert.equal(await page.evaluate(() => window.sameDocument), true);
        await page.waitForFunction(() => document.querySelector('video').readyState >= 2);
        const { time, length } = await finished.evaluate((video) => ({ time: video.currentTime, length: video.duration }));
        assert.ok(length > 25 && length - time < 15, `it is at ${time} of ${length} s`);
        await screenshot(page, 'live-finished');
      });
      const rows = await (await api.fetch('/api/admin/audit?action=recording.view')).json();
      assert.equal(rows.filter((row) => row.subject === id).length, 1);
    });
  });

  test('is watched again after a restart of the server', async () => {
    await recording('reconnect', async ({ id, originMs }) => {
      await wait(3_000);
      await withPage(context, 'live reconnect', async (page) => {
        await page.goto(`${server.origin}/recordings/${id}`);
        await page.evaluate(watchPictures, { selector: '.live-stage video' });
        await picture(page, 'no picture', () => true);
        await server.stop();
        await page.getByRole('status').filter({ hasText: 'Reconnecting…' }).waitFor();
        await screenshot(page, 'live-reconnecting');
        await server.restart();
        const back = Date.now();
        await picture(page, 'no picture again', ({ ms, at }) => at > back && at - originMs - ms < 4_000);
      });
    });
  });

  test('that this browser cannot play while it grows says so', async () => {
    await recording('unsupported', async ({ id }) => {
      await withPage(context, 'live unsupported', async (page) => {
        await page.addInitScript(() => { MediaSource.isTypeSupported = () => false; });
        await page.goto(`${server.origin}/recordings/${id}`);
        await page.getByRole('alert').filter({ hasText: 'cannot play the recording while it is running' }).waitFor();
        await screenshot(page, 'live-unsupported');
      });
    });
  });
});

// The Record page: a tab with its sound, and a camera by keyboard alone.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { seekAndRead } from './pages/clock-picture.mjs';
import { Api } from './support/api.mjs';
import { artifactsDir } from './support/artifacts.mjs';
import { assertAccessible } from './support/axe.mjs';
import { FAKE_CAMERA, launch, openTestPage, shareTab, withPage } from './support/browser.mjs';
import { pressUntilFocused } from './support/keyboard.mjs';
import { inspect, meanVolume } from './support/media.mjs';
import { READY_WITHIN_MS, assertGrowsOnDisk, assertPlays, assertWholeFile, untilReady } from './support/assertions.mjs';
import { ADMIN, Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

/** The test tone is at about -13 dB; anything below this is noise. */
const AUDIBLE_DB = -40;

describe('recording a tab with its sound', { timeout: 120_000 }, () => {
  let server, browser, context, api;

  before(async () => {
    server = await Server.start();
    browser = await launch(shareTab('A tab to record'));
    context = await signedIn(browser, server.origin);
    api = await Api.signIn(server.origin);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  test('ten seconds arrive during the recording and are ready, playable and seekable after it', async (t) => {
    const title = 'tab';
    const tab = await context.newPage();
    await openTestPage(tab, server.origin, 'tab.html', 'e2e');
    assert.equal(await tab.evaluate(() => window.e2e.audioState()), 'running');

    const result = await withPage(context, title, async (page) => {
      // Time of the actual stop: on a busy machine, a click takes effect much later.
      await page.addInitScript(() => {
        const { stop } = MediaRecorder.prototype;
        MediaRecorder.prototype.stop = function (...options) {
          window.stoppedAt = Date.now();
          return stop.apply(this, options);
        };
      });
      await page.goto(server.origin);
      await page.getByLabel('Screen, window or tab').check();
      await page.getByLabel('Tab or system sound').check();
      await page.getByRole('button', { name: 'Start recording' }).click();
      const stop = page.getByRole('button', { name: 'Stop recording' });
      await stop.waitFor();
      const samples = await assertGrowsOnDisk(server, 10);

      const [recording] = await api.recordings();
      assert.equal(recording.status, 'recording');
      assert.ok(recording.duration_seconds > 5, `the list shows ${recording.duration_seconds} s`);
      await page.getByText(/^Safe on the server up to 0:\d\d$/).waitFor();
      assert.match(await page.getByRole('timer').innerText(), /0:(09|1\d)/);

      const clock = await tab.evaluate(() => ({ pictureMs: window.e2e.pictureMs(), at: Date.now() }));
      await stop.click();
      const readyMs = await untilReady(api, recording.id);
      // The player opens automatically.
      await page.waitForURL(`${server.origin}/recordings/${recording.id}`);
      await page.locator('video').waitFor();
      const first = await page.evaluate(seekAndRead, { selector: 'video', seconds: 0 });
      const pictureMs = clock.pictureMs + (await page.evaluate(() => window.stoppedAt)) - clock.at;
      return { id: recording.id, samples, readyMs, seconds: (pictureMs - first.ms) / 1_000 };
    });
    await tab.close();

    const played = await assertPlays(context, server.origin, result.id, { title, seconds: result.seconds });
    const file = await assertWholeFile(api, result.id, { title, seconds: result.seconds });
    assert.ok(file.audio, 'there is no audio');
    const volume = await meanVolume(file.path);
    assert.ok(volume > AUDIBLE_DB, `the sound is at ${volume} dB`);
    t.diagnostic(`stored, second by second: ${result.samples.join(', ')} bytes`);
    t.diagnostic(`ready ${Math.round(result.readyMs)} ms after Stop (limit ${READY_WITHIN_MS}); ${result.seconds.toFixed(2)} s by the picture, <video> says ${played.duration} s, ffprobe ${file.durationSeconds} s; sound ${volume} dB`);
    t.diagnostic(`seeks: ${played.seeks.map((it) => `to ${it.to.toFixed(1)} s in ${it.seekMs} ms, picture ${it.offMs} ms off`).join('; ')}`);
  });
});

describe('by keyboard alone', { timeout: 120_000 }, () => {
  let server, browser;

  before(async () => {
    server = await Server.start();
    browser = await launch(FAKE_CAMERA);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  test('key M, the button and a pause mark moments, which the player lists', async () => {
    const title = 'record markers';
    // Another test expects the only recording of the administrator.
    const user = await (await Api.signIn(server.origin)).newUser('marker');
    const context = await signedIn(browser, server.origin, user);
    await withPage(context, title, async (page) => {
      await page.goto(server.origin);
      await page.getByLabel('Camera').check();
      // No recording: the key does nothing.
      await page.keyboard.press('m');
      await page.getByRole('button', { name: 'Start recording' }).click();
      const add = page.getByRole('button', { name: 'Add marker' });
      await add.waitFor();
      await page.keyboard.press('m');
      const message = page.getByText(/^Marker added at 0:0\d$/);
      await message.waitFor();
      await assertAccessible(page, 'the record page with a marker');
      await page.screenshot({ path: join(artifactsDir, 'record-marker.png') });
      await wait(1_500);
      await page.getByRole('button', { name: 'Pause' }).click();
      await page.getByRole('button', { name: 'Resume' }).click();
      await add.click();
      await wait(1_000);
      await page.getByRole('button', { name: 'Stop recording' }).click();
      await page.waitForURL(`${server.origin}/recordings/*`);
      const list = page.getByRole('region', { name: 'Markers' });
      await list.getByRole('button', { name: 'Recording paused' }).waitFor();
      assert.equal(await list.locator('.marker-seek').count(), 3);
      assert.equal(await page.locator('.timeline-picture .timeline-tick').count(), 3);
      // Only notes can be changed.
      assert.equal(await list.getByRole('button', { name: /^Rename/ }).count(), 2);
      await page.screenshot({ path: join(artifactsDir, 'record-marker-player.png') });
    });
    await context.close();
  });

  test('sign in, record a camera, find the recording, watch it', async () => {
    const title = 'keyboard';
    const context = await browser.newContext();
    const id = await withPage(context, title, async (page) => {
      const { keyboard } = page;
      await page.goto(server.origin);
      // The first field has the focus.
      await page.waitForFunction(() => document.activeElement?.id === 'username');
      await keyboard.type(ADMIN.username);
      await keyboard.press('Tab');
      await keyboard.type(ADMIN.password);
      await keyboard.press('Enter');

      await page.getByRole('heading', { name: 'Record' }).waitFor();
      await pressUntilFocused(page, 'Tab', /^Screen, window or tab|^Camera/);
      await pressUntilFocused(page, 'ArrowDown', /^Camera/);
      await pressUntilFocused(page, 'Tab', /^Microphone/);
      if (!(await page.getByLabel('Microphone').isChecked())) await keyboard.press('Space');
      await pressUntilFocused(page, 'Tab', /^Start recording/);
      await keyboard.press('Enter');
      await page.getByRole('button', { name: 'Stop recording' }).waitFor();
      await wait(3_000);
      await pressUntilFocused(page, 'Tab', /^Pause/);
      await keyboard.press('Enter');
      await page.getByRole('button', { name: 'Resume' }).waitFor();
      await keyboard.press('Enter');
      await page.getByRole('button', { name: 'Pause' }).waitFor();
      await pressUntilFocused(page, 'Shift+Tab', /^Stop recording/);
      await keyboard.press('Enter');
      await page.waitForURL(`${server.origin}/recordings/*`);
      await page.locator('video').waitFor();

      await pressUntilFocused(page, 'Tab', /^(My|View) [Rr]ecordings/);
      await keyboard.press('Enter');
      await page.getByRole('heading', { name: 'My Recordings' }).waitFor();
      await page.getByText('Ready', { exact: true }).waitFor();
      await pressUntilFocused(page, 'Tab', /^Recording, /);
      await keyboard.press('Enter');
      await page.locator('video').waitFor();
      return page.url().split('/').pop();
    });
    const api = await Api.signIn(server.origin);
    const file = await inspect(await api.download(id), title);
    assert.ok(file.video && file.audio, 'camera or microphone is missing');
    assert.ok(file.durationSeconds > 2, `it is ${file.durationSeconds} s long`);
    await context.close();
  });
});

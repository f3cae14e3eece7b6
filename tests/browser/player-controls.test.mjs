// The player's own controls: keys, timeline, skipping of idle time, positions in addresses.

import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { artifactsDir } from './support/artifacts.mjs';
import { untilReady } from './support/assertions.mjs';
import { assertAccessible, assertFits } from './support/axe.mjs';
import { withPage } from './support/browser.mjs';
import { useFixture } from './support/fixture.mjs';
import { longWebm, loopedWebm, sampleWebm } from './support/media.mjs';
import {
  activityOf, markerAt, openPlayer, positionOf, routeActivity, routeMarkers, untilAt,
} from './support/review.mjs';
import { signedIn } from './support/sign-in.mjs';

const SECONDS = 40;
const SLOW = { offline: false, latency: 280, downloadThroughput: 1.44e6 / 8, uploadThroughput: 1.44e6 / 8 };

describe('the controls of the player', { timeout: 600_000 }, () => {
  const fixture = useFixture();
  let server, context, api, id;
  const upload = async (bytes) => {
    const uploaded = await api.upload(bytes);
    await untilReady(api, uploaded, 20_000);
    return uploaded;
  };
  /** Opens the player with known activity and markers. */
  const watch = (title, action, { recording = id, idle = [], markers = [], query = '', seconds = SECONDS } = {}) =>
    withPage(context, title, async (page) => {
      await routeActivity(page, { [recording]: activityOf(seconds, idle) });
      await routeMarkers(page, { [recording]: markers });
      await openPlayer(page, server, recording, query);
      return action(page);
    });
  const isPlaying = (page) => page.evaluate(() => !document.querySelector('video').paused);
  const untilPlaying = (page, expected) =>
    page.waitForFunction((it) => document.querySelector('video').paused !== it, expected);

  before(async () => {
    ({ server, context, api } = fixture);
    id = await upload(await loopedWebm(SECONDS));
  });

  test('keys play, seek, step and change the speed', async () => {
    await watch('keys', async (page) => {
      assert.equal(await page.evaluate(() => document.querySelector('video').controls), false);
      const { keyboard } = page;
      await keyboard.press('5');
      await untilAt(page, 20);
      await keyboard.press('l');
      await untilAt(page, 30);
      await keyboard.press('ArrowLeft');
      await untilAt(page, 25);
      await keyboard.press('j');
      await untilAt(page, 15);
      await keyboard.press('ArrowRight');
      await untilAt(page, 20);
      const before = await positionOf(page);
      await keyboard.press('.');
      await untilAt(page, before + 0.033, 0.01);
      await keyboard.press(',');
      await untilAt(page, before, 0.01);

      await keyboard.press(' ');
      await untilPlaying(page, true);
      assert.equal(await page.evaluate(() => window.scrollY), 0, 'Space scrolled the page');
      await page.getByRole('button', { name: 'Pause', exact: true }).waitFor();
      await keyboard.press('k');
      await untilPlaying(page, false);

      await keyboard.press(']');
      await page.getByRole('status').getByText('1.25×').waitFor();
      await keyboard.press(']');
      await page.waitForFunction(() => document.querySelector('video').playbackRate === 1.5);
      await keyboard.press('[');
      await page.waitForFunction(() => document.querySelector('video').playbackRate === 1.25);
      await page.reload();
      await page.waitForFunction(() => document.querySelector('video')?.playbackRate === 1.25);
      await page.getByLabel('Speed').selectOption('1×');
      await page.waitForFunction(() => document.querySelector('video').playbackRate === 1);
    });
  });

  test('forced colours show the position, the range of a clip and what is pressed; the page fits at 200 % zoom', async () => {
    await watch('forced colours', async (page) => {
      await page.emulateMedia({ forcedColors: 'active' });
      await page.keyboard.press('5');
      await untilAt(page, SECONDS / 2);
      await page.keyboard.press('i');
      await page.keyboard.press('7');
      await untilAt(page, SECONDS * 0.7);
      await page.keyboard.press('o');
      const style = (selector, name) => page.locator(selector).first().evaluate((it, of) => getComputedStyle(it)[of], name);
      const canvas = await style('body', 'backgroundColor');
      const bars = await style('.timeline-bars', 'fill');
      const played = await style('.timeline-played .timeline-bars', 'fill');
      assert.notEqual(bars, canvas);
      assert.notEqual(played, bars);
      assert.notEqual(await style('.timeline-thumb', 'backgroundColor'), canvas);
      assert.notEqual(await style('.timeline-clip', 'borderTopColor'), canvas);
      // Icons have the colour of their button's text.
      for (const button of await page.locator('.player-button').all()) {
        const { colour, ground, name } = await button.evaluate((it) => ({
          colour: getComputedStyle(it).color, ground: getComputedStyle(it).backgroundColor, name: it.getAttribute('aria-label') ?? it.textContent,
        }));
        assert.notEqual(colour, ground, name);
      }
      await mkdir(artifactsDir, { recursive: true });
      await page.screenshot({ path: join(artifactsDir, 'forced-player.png') });

      await page.emulateMedia({ forcedColors: 'none' });
      // A window 1,280 px wide.
      await page.setViewportSize({ width: 640, height: 360 });
      await assertFits(page, 'player at 200 % zoom');
      await page.screenshot({ path: join(artifactsDir, 'zoomed-player.png') });
    }, { idle: [[10, 20]] });
  });

  test('keys are not taken from fields, buttons and dialogs', async () => {
    await watch('keys elsewhere', async (page) => {
      const { keyboard } = page;
      await keyboard.press('m');
      const field = page.getByLabel('Marker at 0:00');
      await page.waitForFunction(() => document.activeElement?.tagName === 'INPUT');
      await keyboard.type('kl 5mj');
      assert.equal(await field.inputValue(), 'kl 5mj');
      await keyboard.press('Escape');
      await field.waitFor({ state: 'detached' });
      assert.equal(await isPlaying(page), false);
      assert.ok(await positionOf(page) < 0.1);

      await keyboard.press('?');
      const dialog = page.getByRole('dialog', { name: 'Keys' });
      await dialog.getByText('Play or pause').waitFor();
      await assertAccessible(page, 'keys of the player');
      await keyboard.press('k');
      await keyboard.press('5');
      await keyboard.press('Escape');
      await dialog.waitFor({ state: 'hidden' });
      assert.equal(await isPlaying(page), false);
      assert.ok(await positionOf(page) < 0.1);

      const mute = page.getByRole('button', { name: 'Mute' });
      await mute.focus();
      await keyboard.press(' ');
      await page.waitForFunction(() => document.querySelector('video').muted);
      assert.equal(await isPlaying(page), false, 'Space belongs to the button');
      await keyboard.press('Control+c');
      assert.equal(await page.getByText('Link copied').count(), 0);
    });
  });

  test('the timeline seeks by pointer and by keyboard, and tells time and position', async () => {
    await watch('timeline', async (page) => {
      const slider = page.getByRole('slider', { name: 'Position' });
      const { x, y, width, height } = await slider.boundingBox();
      const at = (share) => [x + width * share, y + height / 2];
      await page.mouse.move(...at(0.25));
      await page.waitForFunction(() => /^0:(09|10) · Idle$/.test(document.querySelector('.timeline').dataset.hint));
      await page.mouse.move(...at(0.75));
      await page.locator('[data-hint="0:30 · Login fails"]').waitFor();
      await page.mouse.click(...at(0.5));
      await untilAt(page, 20);
      assert.match(await slider.getAttribute('aria-valuetext'), /^(19|20) seconds of (39|40) seconds$/);

      await page.mouse.move(...at(0.2));
      await page.mouse.down();
      await page.mouse.move(...at(0.4), { steps: 5 });
      await page.mouse.move(...at(0.9), { steps: 5 });
      await page.mouse.up();
      await untilAt(page, 36);

      await slider.focus();
      await page.keyboard.press('Home');
      await untilAt(page, 0);
      await page.keyboard.press('ArrowUp');
      await untilAt(page, 5);
      await page.keyboard.press('ArrowRight');
      await untilAt(page, 10);
      await page.keyboard.press('End');
      await untilAt(page, SECONDS, 0.5);
      await page.getByText(/^Active 0:20 of 0:(39|40)$/).waitFor();
    }, { idle: [[5, 25]], markers: [markerAt(30_000, 'Login fails')] });
  });

  test('idle time is skipped fast and silently, and the choice is remembered', async () => {
    await watch('skip idle', async (page) => {
      const toggle = page.getByRole('button', { name: 'Skip idle' });
      assert.equal(await toggle.getAttribute('aria-pressed'), 'false', 'a short recording is not skipped through');
      await toggle.click();
      // Every state of the video during playback.
      await page.evaluate(() => {
        window.seen = [];
        const video = document.querySelector('video');
        const look = () => {
          window.seen.push([video.currentTime, video.playbackRate, video.muted]);
          requestAnimationFrame(look);
        };
        video.addEventListener('play', look, { once: true });
      });
      await page.keyboard.press('k');
      await page.getByRole('status').getByText('Skipping 30 s').waitFor();
      await page.waitForFunction(() => document.querySelector('video').currentTime > 36);
      await page.keyboard.press('k');
      const seen = await page.evaluate(() => window.seen);
      const during = seen.filter(([time]) => time > 5.5 && time < 33);
      assert.ok(during.length > 3, `${during.length} states`);
      assert.ok(during.every(([, rate, muted]) => rate === 8 && muted), JSON.stringify(during.slice(0, 9)));
      const outside = seen.filter(([time]) => time < 2.9 || time > 35.1);
      assert.ok(outside.every(([, rate, muted]) => rate === 1 && !muted), JSON.stringify(outside.slice(0, 9)));
      await page.getByText(/^Skipping/).waitFor({ state: 'detached' });

      await page.reload();
      await page.locator('[aria-pressed="true"]').getByText('Skip idle').waitFor();
      await toggle.click();
      await page.evaluate(() => localStorage.removeItem('player-skip-idle'));
    }, { idle: [[3, 34]], query: '?t=4' });
  });

  test('long recordings are skipped through unless the user has decided otherwise', async () => {
    const long = await upload(await longWebm(400));
    const options = { recording: long, seconds: 400, idle: [[20, 300]] };
    await watch('long recording', async (page) => {
      const toggle = page.getByRole('button', { name: 'Skip idle' });
      assert.equal(await toggle.getAttribute('aria-pressed'), 'true');
      await page.getByText(/^Active 2:00 of 6:/).waitFor();
      await toggle.click();
      await page.reload();
      await page.locator('[aria-pressed="false"]').getByText('Skip idle').waitFor();
      await page.evaluate(() => localStorage.removeItem('player-skip-idle'));
    }, options);
  });

  test('an address opens a position, and a copied link opens the current one', async () => {
    for (const [query, seconds] of [['?t=12', 12], ['?t=0m15s', 15], ['?t=00:25', 25], ['?t=nonsense', 0], ['?t=9999', SECONDS]]) {
      await watch(`position ${query}`, (page) => untilAt(page, seconds, 0.5), { query });
    }
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await watch('copy link', async (page) => {
      await untilAt(page, 12);
      await page.keyboard.press('c');
      await page.getByRole('status').getByText('Link copied').waitFor();
      const link = await page.evaluate(() => navigator.clipboard.readText());
      assert.equal(link, `${server.origin}/recordings/${id}?t=12`);
      await page.goto(link);
      await page.waitForFunction(() => document.querySelector('video')?.readyState >= 2);
      await untilAt(page, 12);
    }, { query: '?t=12' });
  });

  test('theatre and fullscreen enlarge the picture', async () => {
    await watch('theatre', async (page) => {
      const width = async () => (await page.locator('video').boundingBox()).width;
      const small = await width();
      await page.keyboard.press('t');
      await page.waitForFunction((it) => document.querySelector('video').clientWidth > it + 100, small);
      await page.reload();
      await page.waitForFunction((it) => document.querySelector('video')?.clientWidth > it + 100, small);
      await page.keyboard.press('t');
      await page.waitForFunction((it) => document.querySelector('video').clientWidth < it + 5, small);
      await page.keyboard.press('f');
      await page.waitForFunction(() => document.fullscreenElement?.querySelector('video'));
      await page.getByRole('button', { name: 'Play', exact: true }).click();
      await untilPlaying(page, true);
      await page.keyboard.press('m');
      await page.getByLabel(/^Marker at/).waitFor();
      await page.getByRole('button', { name: 'Cancel' }).click();
      await page.keyboard.press('f');
      await page.waitForFunction(() => !document.fullscreenElement);
    });
  });

  test('a range of the timeline is downloaded as a clip that plays and seeks', async () => {
    await watch('clip', async (page) => {
      const slider = page.getByRole('slider', { name: 'Position' });
      const button = page.getByRole('button', { name: 'Download clip' });
      assert.equal(await button.count(), 0);
      const box = await slider.boundingBox();
      const at = (seconds) => [box.x + (box.width * seconds) / SECONDS, box.y + 10];
      await page.keyboard.down('Shift');
      await page.mouse.move(...at(31));
      await page.mouse.down();
      await page.mouse.move(...at(25), { steps: 3 });
      await page.mouse.move(...at(12), { steps: 3 });
      await page.mouse.up();
      await page.keyboard.up('Shift');
      assert.ok(await positionOf(page) < 0.1, 'the position stays');
      const clip = page.locator('.player-clip');
      assert.match(await clip.innerText(), /Download clip\s*0:(18|19)/);
      await assertAccessible(page);
      // The keys set one end each.
      await page.keyboard.press('5');
      await untilAt(page, 20);
      await page.keyboard.press('o');
      await page.keyboard.press('l');
      await page.keyboard.press('j');
      await untilAt(page, 20);
      assert.match(await clip.innerText(), /0:0[78]/);
      await page.screenshot({ path: join(artifactsDir, 'player-clip.png') });
      const [download] = await Promise.all([page.waitForEvent('download'), button.click()]);
      assert.match(download.suggestedFilename(), / 00\.00\.10-00\.00\.(19|20)\.webm$/);
      const bytes = await readFile(await download.path());
      await page.getByRole('button', { name: 'Clear the range' }).click();
      await clip.waitFor({ state: 'detached' });

      // The clip as a file of its own, in the browser.
      const played = await page.evaluate(async (base64) => {
        const file = new Blob([Uint8Array.from(atob(base64), (it) => it.charCodeAt(0))], { type: 'video/webm' });
        const video = document.createElement('video');
        const next = (name) => new Promise((resolve, reject) => {
          video.addEventListener(name, resolve, { once: true });
          video.addEventListener('error', () => reject(new Error(video.error.message)), { once: true });
        });
        const opened = next('loadeddata');
        video.src = URL.createObjectURL(file);
        await opened;
        const { duration, currentTime: start } = video;
        const sought = next('seeked');
        video.currentTime = 7.5;
        await sought;
        return { duration, start, end: video.seekable.end(0), time: video.currentTime };
      }, bytes.toString('base64'));
      assert.ok(Math.abs(played.duration - 10) < 0.3, JSON.stringify(played));
      assert.deepEqual([played.start, played.time], [0, 7.5]);
    });
  });

  test('a seek by key right after the first picture waits for the index on a slow network', async () => {
    const bytes = await loopedWebm(120);
    const long = await upload(bytes);
    await withPage(context, 'early key', async (page) => {
      await page.goto(`${server.origin}/recordings`);
      const link = page.locator(`a[href="/recordings/${long}"]`);
      await link.waitFor();
      const client = await context.newCDPSession(page);
      await client.send('Network.enable');
      await client.send('Network.emulateNetworkConditions', SLOW);
      let received = 0;
      client.on('Network.dataReceived', (it) => { received += it.dataLength; });
      await link.click();
      await page.waitForFunction(() => document.querySelector('video')?.readyState >= 1);
      for (const key of ['3', '6', '9', '7']) await page.keyboard.press(key);
      await untilAt(page, 84, 0.5);
      assert.ok(received < bytes.length / 2, `${received} of ${bytes.length} bytes were read`);
    });
  });

  test('the parts of a recording share one timeline', async () => {
    const session = await (await api.post('/api/sessions', { app_id: 'parts' })).json();
    const ids = [];
    const bytes = await sampleWebm(10);
    for (let part = 0; part < 2; part += 1) {
      const body = ids.length > 0 ? { continues: ids[0] } : undefined;
      const started = await (await api.post(`/api/sessions/${session.id}/recording/start`, body)).json();
      const form = new FormData();
      form.set('recording_id', started.recording_id);
      form.set('file', new Blob([bytes], { type: 'video/webm' }), 'part.webm');
      await api.fetch(`/api/sessions/${session.id}/recording/upload`, { method: 'POST', body: form });
      ids.push(started.recording_id);
      await untilReady(api, ids[0], 20_000);
    }
    await withPage(context, 'one timeline', async (page) => {
      await routeActivity(page, { [ids[0]]: activityOf(10, [[2, 10]]), [ids[1]]: activityOf(10, [[0, 8]]) });
      await routeMarkers(page, { [ids[1]]: [markerAt(4_000, 'In the second part')] });
      await openPlayer(page, server, ids[0]);
      const slider = page.getByRole('slider', { name: 'Position' });
      assert.match(await slider.getAttribute('aria-valuemax'), /^(19|20)$/);
      await page.getByText(/^Active 0:04 of 0:(19|20)$/).waitFor();
      await page.keyboard.press('n');
      await page.locator(`video[src*="${ids[1]}"]`).waitFor();
      await untilAt(page, 4);
      await page.keyboard.press('l');
      await untilAt(page, 10, 0.3);
      const { x, y, width, height } = await slider.boundingBox();
      await page.mouse.click(x + width / 4, y + height / 2);
      await page.locator(`video[src*="${ids[0]}"]`).waitFor();
      await untilAt(page, 5);
    });
  });

  test('the player is accessible and fits, wide, narrow and with a large font', async () => {
    for (const viewport of [{ width: 1280, height: 720 }, { width: 375, height: 740 }, { width: 320, height: 640 }]) {
      const narrow = await signedIn(fixture.browser, server.origin, undefined, { viewport });
      await withPage(narrow, `player at ${viewport.width}`, async (page) => {
        await routeActivity(page, { [id]: activityOf(SECONDS, [[5, 25]]) });
        await routeMarkers(page, { [id]: [markerAt(30_000, 'A marker with a text that is longer than the panel is wide, by far')] });
        await openPlayer(page, server, id);
        await page.getByRole('heading', { name: 'Markers' }).waitFor();
        await assertAccessible(page, 'player with activity and markers');
        await assertFits(page, `player at ${viewport.width}`);
      });
      await narrow.close();
    }
  });
});

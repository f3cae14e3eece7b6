// Video Recording, the page of an appliance: the real capture agent with its test pattern, whose signal can be removed.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { playOn, seekAndRead, videoDuration } from './pages/clock-picture.mjs';
import { Agent, AgentApi } from './support/agent.mjs';
import { artifactsDir } from './support/artifacts.mjs';
import { assertAccessible, assertFits } from './support/axe.mjs';
import { launch, withPage } from './support/browser.mjs';
import { collectComplaints } from './support/console.mjs';
import { pressUntilFocused } from './support/keyboard.mjs';
import { fillIn, signedIn } from './support/sign-in.mjs';

const run = promisify(execFile);
const NARROW = { viewport: { width: 375, height: 740 } };
const PATIENCE_MS = 20_000;

describe('Video Recording', { timeout: 300_000 }, () => {
  let agent, browser, api, context;

  before(async () => {
    agent = await Agent.start();
    browser = await launch();
    api = await AgentApi.signIn(agent.origin);
    context = await signedIn(browser, agent.origin);
  });
  after(async () => {
    await browser?.close();
    await agent?.close();
  });

  const start = (page) => page.getByRole('button', { name: 'Start Recording' });
  const stop = (page) => page.getByRole('button', { name: 'Stop Recording' });
  const list = (page) => page.getByRole('table', { name: 'Recordings' });
  const rows = (page) => list(page).getByRole('row').filter({ has: page.getByRole('link') });
  /** Opens the sheet with the settings, which covers the page. */
  const openSettings = async (page) => {
    await page.getByRole('button', { name: 'Settings', exact: true }).click();
    const sheet = page.getByRole('dialog', { name: 'Settings' });
    await sheet.waitFor();
    return sheet;
  };
  const closeSettings = async (page) => {
    await page.keyboard.press('Escape');
    await page.getByRole('dialog', { name: 'Settings' }).waitFor({ state: 'hidden' });
  };
  const signal = (page, words) => page.locator('.signal-state').filter({ hasText: `Signal: ${words}` }).waitFor();

  /** Opens the page and waits until it is complete. */
  const open = async (page) => {
    await page.goto(agent.origin);
    await page.getByRole('heading', { level: 1, name: 'Video Recording' }).waitFor();
    await start(page).or(stop(page)).waitFor();
    await page.waitForFunction(() => !document.querySelector('.skeleton'));
  };

  const screenshot = (page, name) => page.screenshot({ path: join(artifactsDir, `${name}.png`) });

  /** Polls `look` until its result is correct. */
  const until = async (look, right) => {
    const asked = performance.now();
    for (;;) {
      const seen = await look();
      if (right(seen)) return seen;
      assert.ok(performance.now() - asked < PATIENCE_MS, `it stayed ${JSON.stringify(seen)}`);
      await wait(100);
    }
  };
  const durable = (seconds) => until(() => api.state(), (it) => it.file?.duration_seconds >= seconds);
  /** Displayed duration in milliseconds. */
  const shown = async (page) => {
    const text = await page.locator('.recorder .clock .digits').textContent();
    return text.split(':').reduce((sum, it) => sum * 60 + Number(it), 0);
  };
  const record = async (seconds) => {
    await api.post('/api/appliance/recording/start');
    await durable(seconds);
    const before = (await api.recordings()).length;
    await api.post('/api/appliance/recording/stop');
    return (await until(() => api.recordings(), (it) => it.length > before))[0];
  };

  test('after sign-in it is the start page and shows the signal', async () => {
    const stranger = await browser.newContext();
    await withPage(stranger, 'appliance sign-in', async (page) => {
      const complaints = await collectComplaints(page);
      await page.goto(agent.origin);
      await fillIn(page);
      await page.getByRole('heading', { level: 1, name: 'Video Recording' }).waitFor();
      await signal(page, '640×360 at 15 fps');
      await page.locator('.device').getByText('Test picture').waitFor();
      // Tabs of several appliances show only the beginning of the title.
      await page.locator('.appliance-host').getByText(hostname(), { exact: true }).waitFor();
      await page.waitForFunction((host) => document.title.startsWith(`${host} · Video Recording`), hostname());
      const sidebar = page.getByRole('navigation', { name: 'Main' });
      assert.equal(await sidebar.getByRole('link', { name: 'Video Recording' }).getAttribute('aria-current'), 'page');
      // An appliance does not record the browser's screen.
      assert.equal(await page.getByText('Screen, window or tab').count(), 0);
      assert.equal(await page.getByRole('link', { name: 'Record', exact: true }).count(), 0);
      await page.getByText('No recordings', { exact: true }).waitFor();
      await page.getByText(/% of .* in use\./).waitFor();
      await page.getByText(/^(About|More than) .* of recording left at the present bit rate\.$/).waitFor();
      // Chromium logs every 401, and a signed-out page causes one.
      assert.deepEqual(complaints.filter((it) => !/responded with a status of 40[01]/.test(it)), []);
    });
    await stranger.close();
  });

  test('users without the administrator role see an explanation', async () => {
    const user = await api.newUser('visitor');
    const visitors = await signedIn(browser, agent.origin, user);
    await withPage(visitors, 'appliance visitor', async (page) => {
      await page.goto(agent.origin);
      await page.getByRole('heading', { level: 1, name: 'For administrators only' }).waitFor();
    });
    await visitors.close();
  });

  test('Start and Stop work by hand, and the duration continues over a reload', async () => {
    await withPage(context, 'appliance by hand', async (page) => {
      await open(page);
      await start(page).click();
      await stop(page).waitFor();
      const growing = list(page).getByRole('row').filter({ has: page.getByText('Recording', { exact: true }) });
      await growing.getByText(/^recording_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\.mp4/).waitFor();
      const first = await shown(page);
      await until(() => shown(page), (it) => it >= first + 2);
      const before = await shown(page);
      await open(page);
      await until(() => shown(page), (it) => it >= before);
      assert.ok((await shown(page)) < before + PATIENCE_MS / 1_000);
      await assertAccessible(page, 'while it records');

      // The button keeps its position and the focus.
      await stop(page).click();
      await start(page).waitFor();
      assert.ok(await start(page).evaluate((it) => it === document.activeElement), 'the focus is lost');
      await rows(page).first().getByRole('cell', { name: /[2-9]|1\d seconds/ }).first().waitFor();
      assert.equal(await rows(page).count(), 1);
      await growing.waitFor({ state: 'detached' });
    });
  });

  test('the live picture moves, explains its absence, and rests while the page is hidden', async () => {
    const requests = [];
    await withPage(context, 'appliance live picture', async (page) => {
      const complaints = await collectComplaints(page);
      page.on('request', (it) => { if (it.url().includes('/api/appliance/picture')) requests.push(it.url()); });
      await open(page);
      const picture = page.getByRole('img', { name: 'Live picture from Test picture' });
      await picture.waitFor();
      /** Size of the frame on the page, and the pixels of its first line as text. */
      const look = () => picture.evaluate(async (image) => {
        // Fails when the next frame replaces this one.
        while (!(await image.decode().then(() => true, () => false))) { /* decodes the next one */ }
        const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
        const pen = canvas.getContext('2d');
        pen.drawImage(image, 0, 0);
        const { data } = pen.getImageData(0, 0, 300, 20);
        return { width: image.naturalWidth, height: image.naturalHeight, pixels: data.join() };
      });
      const first = await look();
      assert.deepEqual([first.width, first.height], [640, 360]);
      // The first line counts the frames of the source.
      await until(look, (it) => it.pixels !== first.pixels);
      await assertAccessible(page, 'with a live picture');
      await screenshot(page, 'live-picture');

      await start(page).click();
      await stop(page).waitFor();
      const before = await look();
      await until(look, (it) => it.pixels !== before.pixels);
      await screenshot(page, 'live-picture-recording');
      await stop(page).click();
      await start(page).waitFor();
      assert.equal(requests.filter((it) => !it.endsWith('?stream=true')).length, 0, 'it uses the stream');

      await page.getByRole('button', { name: 'No signal', exact: true }).click();
      await page.getByText('No picture: there is no signal.').waitFor();
      assert.equal(await picture.count(), 0);
      await assertAccessible(page, 'without a picture');
      await screenshot(page, 'live-picture-no-signal');
      await page.getByRole('button', { name: 'Picture', exact: true }).click();
      await picture.waitFor();

      // A hidden page receives nothing.
      const hide = (hidden) => page.evaluate((hidden) => {
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
      }, hidden);
      const frames = async () => {
        const text = await (await api.fetch('/metrics')).text();
        return Number(/^sortie_appliance_pictures_total (\d+)$/m.exec(text)[1]);
      };
      await hide(true);
      await until(async () => {
        const count = await frames();
        await wait(1_500);
        return (await frames()) - count;
      }, (more) => more === 0);
      const shown = await look();
      await hide(false);
      await until(look, (it) => it.pixels !== shown.pixels);

      // Leaving the page ends the stream.
      await page.getByRole('link', { name: 'All Recordings' }).click();
      await page.getByRole('heading', { level: 2, name: 'All Recordings' }).waitFor();
      await until(async () => {
        const count = await frames();
        await wait(1_500);
        return (await frames()) - count;
      }, (more) => more === 0);
      assert.deepEqual(complaints, []);
    });
  });

  test('the recording in progress opens in the player, live, and becomes the recording in place', async () => {
    await withPage(context, 'appliance live view', async (page) => {
      await open(page);
      await start(page).click();
      await durable(2);
      const { file } = await api.state();
      const id = file.recording_id;
      const row = rows(page).filter({ hasText: file.filename });
      await row.getByText('Recording', { exact: true }).waitFor();
      // The recorder refuses changes to it.
      assert.equal(await row.getByRole('button', { name: /Delete/ }).count(), 0);
      await screenshot(page, 'appliance-growing-row');
      await assertAccessible(page, 'with a growing row');
      const refused = await api.fetch(`/api/recordings/${id}`, { method: 'DELETE' });
      assert.equal(refused.status, 409);
      assert.match((await refused.json()).detail, /still in progress/);

      await row.getByRole('link', { name: file.filename, exact: true }).click();
      await page.waitForURL(`**/recordings/${id}`);
      await page.waitForFunction(() => document.querySelector('.live-stage video')?.currentTime > 0.5);
      await page.getByText(/^LIVE/).first().waitFor();
      await assertAccessible(page, 'live view of the appliance');
      await screenshot(page, 'appliance-live-view');

      // The picture card leads there, too.
      await open(page);
      await page.getByRole('link', { name: 'Live view' }).click();
      await page.waitForURL(`**/recordings/${id}`);
      await page.waitForFunction(() => document.querySelector('.live-stage video')?.currentTime > 0.5);
      await api.post('/api/appliance/recording/stop');
      await page.locator('.player-stage:not(.live-stage) video').waitFor({ timeout: PATIENCE_MS });
      assert.equal(new URL(page.url()).pathname, `/recordings/${id}`);
      assert.equal((await api.recording(id)).status, 'ready');
      const audit = await (await api.fetch(`/api/admin/audit?subject=${id}`)).json();
      assert.ok(audit.some((it) => it.action === 'recording.view' && it.result === 'ok'), JSON.stringify(audit));
      assert.equal((await api.fetch(`/api/recordings/${id}/live`)).status, 409);
    });
  });

  test('another user reaches neither the recording in progress nor the history', async () => {
    const user = await api.newUser('onlooker');
    const others = await signedIn(browser, agent.origin, user);
    await api.post('/api/appliance/recording/start');
    await durable(1);
    const { recording_id: id } = (await api.state()).file;
    for (const path of [`/api/recordings/${id}`, `/api/recordings/${id}/live`, '/api/appliance/history']) {
      const answer = await others.request.get(agent.origin + path);
      assert.equal(answer.status(), 403, path);
    }
    const before = (await api.recordings()).length;
    await api.post('/api/appliance/recording/stop');
    await until(() => api.recordings(), (it) => it.length > before);
    await others.close();
  });

  test('the strip of the last 24 hours plays what is recorded, by pointer and keyboard, and is there as text', async () => {
    await api.signal('no_signal');
    const isLost = async () => (await (await api.fetch('/api/appliance/history')).json()).signal.some((it) => !it.has_signal);
    await until(isLost, (it) => it);
    await api.signal('steady');
    await until(() => api.state(), (it) => it.signal.state === 'steady');
    const recording = await record(3);
    await withPage(context, 'appliance strip', async (page) => {
      const complaints = await collectComplaints(page);
      await open(page);
      const strip = page.getByRole('slider', { name: 'Last 24 hours' });
      await strip.waitFor();
      const recorded = strip.locator('.day-recorded').last();
      await recorded.waitFor();
      await assertAccessible(page, 'with the strip');

      // The list has every part, and links to the recorded ones.
      await page.getByText('Show as a list').click();
      await page.locator('.day-list').getByText('Unknown').first().waitFor();
      const link = page.locator(`.day-list a[href*="${recording.id}"]`);
      await link.waitFor();
      assert.match(await link.textContent(), /\d\d:\d\d.*Recorded/);
      await assertAccessible(page, 'with the list of the strip');
      await screenshot(page, 'appliance-strip');

      // From the end back to a recorded part.
      await strip.focus();
      await page.keyboard.press('End');
      await until(async () => {
        const text = await strip.getAttribute('aria-valuetext');
        if (!/Recorded/.test(text)) await page.keyboard.press('ArrowLeft');
        return text;
      }, (text) => /Recorded/.test(text));
      await page.keyboard.press('Enter');
      await page.waitForURL(`**/recordings/${recording.id}?t=*`);
      await page.locator('video').waitFor();

      await open(page);
      await recorded.waitFor();
      await strip.scrollIntoViewIfNeeded();
      const box = await strip.boundingBox();
      // The end of the strip is now, and a recording of seconds is narrower than the pointer is precise.
      await page.mouse.click(box.x + box.width - 3, box.y + box.height / 2);
      await page.waitForURL(/\/recordings\/[^/]+\?t=/);
      await page.locator('video').waitFor();
      assert.deepEqual(complaints, []);
    });
    const day = await (await api.fetch('/api/appliance/history')).json();
    assert.ok(day.recordings.some((it) => it.id === recording.id));
  });

  test('the health row measures the frame rate and has one number of dropped frames', async () => {
    await withPage(context, 'appliance health', async (page) => {
      await open(page);
      const health = page.getByRole('region', { name: 'Health' });
      await health.getByText('Measured while recording.').waitFor();
      await start(page).click();
      // The test pattern has 15 fps; a busy machine may drop some.
      const fps = await until(async () => Number.parseFloat(await health.locator('.health-value').first().textContent()), (it) => it > 0);
      assert.ok(fps <= 20, `${fps} fps`);
      await health.getByText(/^\d+ a minute$/).waitFor();
      assert.equal(await page.getByText('Frames missing').count(), 0);
      await health.getByText(/^(About|More than) [\d.]+ (hours|minutes)$/).waitFor();
      // Without a central server there is nothing about one.
      assert.equal(await health.getByText('Central server').count(), 0);
      const before = (await api.recordings()).length;
      await stop(page).click();
      await until(() => api.recordings(), (it) => it.length > before);
    });
  });

  test('the page is complete in the dark, in forced colours and on a phone', async () => {
    await record(1);
    for (const [name, options] of [
      ['light', {}],
      ['dark', { colorScheme: 'dark' }],
      ['forced', { forcedColors: 'active' }],
      ['narrow', NARROW],
      ['narrow-dark', { ...NARROW, colorScheme: 'dark' }],
    ]) {
      const other = await signedIn(browser, agent.origin, undefined, options);
      await withPage(other, `appliance ${name}`, async (page) => {
        await open(page);
        await page.getByRole('img', { name: 'Live picture from Test picture' }).waitFor();
        await page.locator('.day-recorded').first().waitFor();
        await assertFits(page, `appliance ${name}`);
        // axe cannot judge contrast in forced colours.
        if (name !== 'forced') await assertAccessible(page, `appliance ${name}`);
        await page.screenshot({ path: join(artifactsDir, `appliance-${name}.png`), fullPage: true });
        await openSettings(page);
        await screenshot(page, `appliance-sheet-${name}`);
      });
      await other.close();
    }
  });

  test('the schedule arms auto-record at its times, and faults are beside their field', async () => {
    /** Time of day in UTC, in hours from now. */
    const clock = (hours) => new Date(Date.now() + hours * 3_600_000).toISOString().slice(11, 16);
    const schedule = async () => (await api.fetch('/api/appliance/schedule')).json();
    await api.settings({ recording_auto_record: 'true' });
    await withPage(context, 'appliance schedule', async (page) => {
      await open(page);
      await stop(page).waitFor();
      await durable(1);
      const sheet = await openSettings(page);
      await sheet.getByText('No window applies: auto-record is always armed.').waitFor();
      const save = sheet.getByRole('button', { name: 'Save Schedule' });
      await sheet.getByRole('switch', { name: 'Auto-record only at these times' }).check();
      await sheet.getByRole('button', { name: 'Add window' }).click();
      const row = sheet.getByRole('group', { name: 'Window 1' });
      const focused = () => page.evaluate(() => {
        const { ariaLabel, lastElementChild } = document.activeElement;
        return ariaLabel ?? lastElementChild?.textContent;
      });
      await until(focused, (it) => it === 'Start');
      const day = (name) => row.getByRole('button', { name });
      for (const name of ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday']) {
        assert.equal(await day(name).getAttribute('aria-pressed'), 'true');
        await day(name).click();
      }
      await save.click();
      await row.getByText('Choose at least one day.').waitFor();
      assert.equal(await focused(), 'Monday');
      await assertAccessible(page, 'schedule without a day');
      for (const name of ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday']) {
        await day(name).focus();
        await page.keyboard.press('Space');
        assert.equal(await day(name).getAttribute('aria-pressed'), 'true');
      }
      const from = row.getByLabel('Start');
      const to = row.getByLabel('End');
      await from.fill(clock(2));
      await to.fill(clock(2));
      await save.click();
      await row.getByText('Start and end are the same.').waitFor();
      assert.equal(await to.getAttribute('aria-invalid'), 'true');
      await to.fill(clock(3));
      const zone = sheet.getByLabel('Time zone');
      await zone.fill('Europe/Nowhere');
      await save.click();
      await sheet.getByText('The appliance has no time zone "Europe/Nowhere".').waitFor();
      assert.equal(await zone.getAttribute('aria-invalid'), 'true');
      await screenshot(page, 'schedule-fault');
      await zone.fill('UTC');

      // Outside of the window: the recording of the signal ends.
      await save.click();
      await sheet.getByText('Schedule saved successfully').waitFor();
      await sheet.getByText(/^Off until (\w{3} )?\d\d:\d\d\.$/).waitFor();
      await closeSettings(page);
      await start(page).waitFor();
      await page.getByText(/^By the schedule, auto-record is off until (\w{3} )?\d\d:\d\d\.$/).waitFor();
      assert.equal((await api.state()).auto_record, true);
      await screenshot(page, 'schedule-off');

      // Inside of it.
      await openSettings(page);
      await from.fill(clock(-2));
      await save.click();
      await sheet.getByText(/^Armed until (\w{3} )?\d\d:\d\d\.$/).waitFor();
      await closeSettings(page);
      await stop(page).waitFor();
      await page.getByText(/^Auto-record is armed until (\w{3} )?\d\d:\d\d\.$/).waitFor();

      // A reload shows what is stored, and a whole day is 24:00.
      await open(page);
      await openSettings(page);
      await row.waitFor();
      await from.fill('00:00');
      await to.fill('00:00');
      await save.click();
      await sheet.getByText('Schedule saved successfully').waitFor();
      assert.equal((await schedule()).windows[0].end, '24:00');
      await row.getByRole('button', { name: 'Remove window 1' }).click();
      await until(() => page.evaluate(() => document.activeElement.textContent), (it) => it === 'Add window');
      await save.click();
      await sheet.getByText('No window applies: auto-record is always armed.').waitFor();
      assert.deepEqual((await schedule()).windows, []);
    });
    await api.settings({ recording_auto_record: 'false' });
    await until(() => api.state(), (it) => it.recorder === 'idle');

    const answer = await api.fetch('/api/appliance/schedule', {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        enabled: true,
        time_zone: 'Europe/Berlin',
        windows: [
          { days: ['mon', 'tue', 'wed', 'thu', 'fri'], start: '08:00', end: '18:00' },
          { days: ['sat'], start: '22:00', end: '06:00' },
        ],
      }),
    });
    assert.equal(answer.status, 200);
    for (const [name, options] of [
      ['light', {}],
      ['dark', { colorScheme: 'dark' }],
      ['narrow', NARROW],
      ['narrow-dark', { ...NARROW, colorScheme: 'dark' }],
    ]) {
      const other = await signedIn(browser, agent.origin, undefined, options);
      await withPage(other, `schedule ${name}`, async (page) => {
        await open(page);
        const sheet = await openSettings(page);
        await sheet.getByRole('group', { name: 'Window 2' }).waitFor();
        await assertFits(page, `schedule ${name}`);
        await sheet.getByText('Save Schedule').scrollIntoViewIfNeeded();
        // Before the check, which changes the colours.
        await screenshot(page, `schedule-${name}`);
        await assertAccessible(page, `schedule ${name}`);
      });
      await other.close();
    }
    await api.fetch('/api/appliance/schedule', {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ enabled: false, windows: [] }),
    });
  });

  test('single frames replace a stream that fails', async () => {
    await withPage(context, 'appliance picture without stream', async (page) => {
      await page.route('**/api/appliance/picture?stream=true', (route) => route.abort());
      await open(page);
      const picture = page.getByRole('img', { name: 'Live picture from Test picture' });
      await picture.waitFor();
      const source = () => picture.getAttribute('src');
      const first = await source();
      await until(source, (it) => it !== first);
      // Without any frame, the last one is marked as outdated.
      await page.route('**/api/appliance/picture', (route) => route.abort());
      await page.getByRole('img', { name: 'Outdated picture from Test picture' }).waitFor();
      await page.getByText(/^Last picture \d+ s ago\./).waitFor();
      await screenshot(page, 'live-picture-outdated');
      await page.unrouteAll();
      await picture.waitFor();
    });
  });

  test('without a signal Start is disabled with a reason; refusals of the server are shown', async () => {
    await withPage(context, 'appliance no signal', async (page) => {
      await open(page);
      const steady = await api.state();
      for (const [button, words] of [
        ['No lock', 'No lock'], ['Unsupported', 'Unsupported signal'], ['No signal', 'No signal'],
      ]) {
        await page.getByRole('button', { name: button, exact: true }).click();
        await signal(page, words);
      }
      await page.getByText('Switch the source on and check the cable to it.').waitFor();
      assert.equal(await start(page).getAttribute('aria-disabled'), 'true');
      const reason = await start(page).getAttribute('aria-describedby');
      assert.match(await page.locator(`#${reason}`).textContent(), /needs a video signal/);
      await page.evaluate(() => { window.orders = 0; });
      page.on('request', (it) => { if (it.url().includes('/recording/start')) page.evaluate(() => { window.orders += 1; }); });
      await start(page).click({ force: true });
      assert.equal(await page.evaluate(() => window.orders), 0, 'it has asked all the same');
      await assertAccessible(page, 'without a signal');

      // A page whose event stream is blocked has an outdated state.
      await page.route('**/api/events*', (route) => route.abort());
      await page.route('**/api/appliance', (route) => route.fulfill({ json: steady }));
      await open(page);
      await start(page).click();
      await page.getByRole('alert').getByText('Recording needs a video signal, and there is no signal.').waitFor();
      await page.unrouteAll();
      await api.signal('steady');
      await signal(page, '640×360 at 15 fps');
    });
    assert.equal((await api.state()).recorder, 'idle');
  });

  test('Auto-Record Sessions and the threshold are saved and take effect immediately', async () => {
    const before = (await api.recordings()).length;
    await withPage(context, 'appliance settings', async (page) => {
      await open(page);
      await openSettings(page);
      const threshold = page.getByLabel('Storage threshold');
      const save = page.getByRole('button', { name: 'Save Settings' });
      const auto = page.getByRole('switch', { name: 'Auto-Record Sessions' });
      await threshold.fill('120');
      await save.click();
      await page.getByText('The storage threshold is a whole number from 0 to 99.').waitFor();
      assert.equal(await threshold.getAttribute('aria-invalid'), 'true');
      await assertAccessible(page, 'with a wrong threshold');
      await threshold.fill('99');
      await auto.check();
      await save.click();
      await page.getByText('Settings saved successfully').waitFor();
      await screenshot(page, 'appliance-settings');
      await closeSettings(page);
      await stop(page).waitFor();
      assert.deepEqual(await (await api.fetch('/api/admin/settings')).json(), {
        recording_auto_record: 'true', storage_threshold_percent: '99',
      });
      await page.getByText('The oldest recordings are deleted above 99 %.').waitFor();

      // Losing the signal finishes the file; the next file belongs to the same session.
      await durable(1);
      await api.signal('no_signal');
      await page.getByText('Recording starts automatically when a signal appears.').waitFor();
      await api.signal('steady');
      await until(() => api.recordings(), (it) => it.length === before + 1);
      await durable(1);
      await stop(page).click();
      const [second, first] = await until(() => api.recordings(), (it) => it.length === before + 2);
      assert.equal(first.session_id, second.session_id);
      await rows(page).filter({ hasText: first.filename }).waitFor();
      await rows(page).filter({ hasText: second.filename }).waitFor();

      // Changes made elsewhere appear; unsaved input stays.
      await openSettings(page);
      await threshold.fill('42');
      await api.settings({ recording_auto_record: 'false', storage_threshold_percent: '0' });
      await page.waitForFunction(() => !document.querySelector('#auto-record').checked);
      assert.equal(await threshold.inputValue(), '42');
      await open(page);
      await openSettings(page);
      assert.equal(await threshold.inputValue(), '0');
      assert.equal(await auto.isChecked(), false);
    });
  });

  test('a recording is played, downloaded and deleted', async () => {
    const recording = await record(3);
    await withPage(context, 'appliance list', async (page) => {
      await open(page);
      const row = rows(page).filter({ hasText: recording.filename });
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        row.getByRole('link', { name: `Download ${recording.filename}` }).click(),
      ]);
      assert.equal(download.suggestedFilename(), recording.filename);
      const probe = ['-v', 'error', '-show_entries', 'format=duration:stream=codec_name', '-of', 'json'];
      const { stdout } = await run('ffprobe', [...probe, await download.path()]);
      const { format, streams } = JSON.parse(stdout);
      assert.deepEqual(streams.map((it) => it.codec_name), ['h264']);
      assert.ok(Math.abs(Number(format.duration) - recording.duration_seconds) < 0.2, format.duration);

      await row.getByRole('link', { name: recording.filename, exact: true }).click();
      await page.locator('video').waitFor();
      const duration = await page.evaluate(videoDuration, { selector: 'video' });
      assert.ok(Math.abs(duration - recording.duration_seconds) < 0.2, `${duration} s`);
      const played = await page.evaluate(playOn, { selector: 'video', seconds: 0.5 });
      assert.ok(played > 0.3, `it played ${played} s`);
      for (const seconds of [duration - 0.5, 0.5]) {
        await page.evaluate(seekAndRead, { selector: 'video', seconds });
        const at = await page.evaluate(() => document.querySelector('video').currentTime);
        assert.ok(Math.abs(at - seconds) < 0.2, `it is at ${at} s instead of ${seconds} s`);
      }

      await page.getByRole('link', { name: 'Video Recording' }).last().click();
      await page.getByRole('heading', { level: 1, name: 'Video Recording' }).waitFor();
      await row.getByRole('button', { name: `Delete ${recording.filename}` }).click();
      await page.getByRole('dialog').getByText('Delete this recording?').waitFor();
      await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
      await row.waitFor({ state: 'detached' });
      await page.waitForFunction(() => document.activeElement?.id === 'recordings-list');
    });
    assert.equal(await api.recording(recording.id), undefined);
  });

  test('Clean Up Storage previews, confirms and lists its deletions', async () => {
    const all = await api.recordings();
    assert.ok(all.length >= 2);
    const protect = (isProtected) => Promise.all(all.slice(1).map(async ({ id }) => {
      const answer = await api.fetch(`/api/recordings/${id}`, {
        method: 'PATCH',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ protected: isProtected }),
      });
      assert.equal(answer.status, 200);
    }));
    await protect(true);
    await withPage(context, 'appliance clean up', async (page) => {
      await open(page);
      const button = page.getByRole('button', { name: 'Clean Up Storage' });
      await page.getByText('Nothing to clean up').waitFor();
      assert.equal(await button.getAttribute('aria-disabled'), 'true');
      // Every disk exceeds this threshold. The check runs once a minute.
      await openSettings(page);
      await page.getByLabel('Storage threshold').fill('1');
      await page.getByRole('button', { name: 'Save Settings' }).click();
      await page.getByText('Settings saved successfully').waitFor();
      await closeSettings(page);
      await page.getByText(/^1 recording, /).or(page.getByText(/1 recording deleted, because/)).first().waitFor();
      if ((await api.recordings()).length === all.length) {
        await page.getByRole('table', { name: 'Next clean-up' }).getByText(all[0].filename).waitFor();
        await assertAccessible(page, 'before a clean-up');
        await button.click();
        await page.getByRole('dialog').getByText('Protected recordings stay.').waitFor();
        await page.getByRole('dialog').getByRole('button', { name: 'Clean Up' }).click();
      }
      await page.getByText(/1 recording deleted.*because the disk was more than 1 % full$/).waitFor();
      await page.getByText('Nothing to clean up').waitFor();
      await rows(page).filter({ hasText: all[0].filename }).waitFor({ state: 'detached' });
      await api.settings({ storage_threshold_percent: '0' });
    });
    await protect(false);
    assert.deepEqual((await api.recordings()).map((it) => it.id), all.slice(1).map((it) => it.id));
  });

  test('an unreachable device is retried and the page reconnects', async () => {
    await withPage(context, 'appliance lost', async (page) => {
      await open(page);
      await page.evaluate(() => { window.notReloaded = true; });
      const before = await rows(page).count();
      await agent.kill();
      await page.getByRole('alert').getByText("Can't reach the device.").waitFor();
      const countdown = page.locator('.countdown');
      const left = async () => Number(/in (\d+) s/.exec(await countdown.textContent())?.[1] ?? -1);
      // The countdown is visible and is not announced each second.
      const first = await until(left, (it) => it > 1);
      await until(left, (it) => it >= 0 && it < first);
      assert.equal(await page.getByRole('alert').locator('.countdown').count(), 0);
      assert.equal(await start(page).getAttribute('aria-disabled'), 'true');
      await assertAccessible(page, 'without its device');

      await agent.restart();
      await countdown.waitFor({ state: 'detached', timeout: PATIENCE_MS });
      await signal(page, '640×360 at 15 fps');
      // Events are received again.
      await record(1);
      await until(() => rows(page).count(), (it) => it === before + 1);
      assert.equal(await page.evaluate(() => window.notReloaded), true);
    });
  });

  test('after the last retry the page offers a reload', async () => {
    await withPage(context, 'appliance given up', async (page) => {
      // Advances the clock over all retries, two and a half minutes.
      await page.clock.install();
      await open(page);
      await agent.kill();
      const reload = page.getByRole('button', { name: 'Reload' });
      await page.getByRole('alert').getByText("Can't reach the device.").waitFor();
      await until(async () => {
        await page.clock.runFor(2_000);
        return reload.isVisible();
      }, (it) => it);
      assert.equal(await page.locator('.countdown').count(), 0);
      await agent.restart();
      await reload.click();
      await start(page).waitFor();
      await signal(page, '640×360 at 15 fps');
      await reload.waitFor({ state: 'detached' });
    });
  });

  test('it fits a phone and is operable by keyboard', async () => {
    await until(() => api.state(), (it) => it.signal.state === 'steady');
    // A row has six stops of the Tab key.
    for (const { id } of await api.recordings()) await api.fetch(`/api/recordings/${id}`, { method: 'DELETE' });
    await record(1);
    const phone = await signedIn(browser, agent.origin, undefined, NARROW);
    await withPage(phone, 'appliance phone', async (page) => {
      await open(page);
      await rows(page).first().waitFor();
      await page.getByRole('img', { name: 'Live picture from Test picture' }).waitFor();
      await assertFits(page, 'appliance');
      await assertAccessible(page, 'appliance');
      await screenshot(page, 'live-picture-phone');
      await page.locator('body').press('Tab');
      await pressUntilFocused(page, 'Tab', /^Start Recording$/);
      await page.keyboard.press('Enter');
      await stop(page).waitFor();
      await assertFits(page, 'appliance while it records');
      await page.keyboard.press('Enter');
      await start(page).waitFor();
      // The sheet keeps the focus, and returns it.
      await pressUntilFocused(page, 'Shift+Tab', /^Settings$/);
      await page.keyboard.press('Enter');
      const stops = [
        /^Auto-Record Sessions$/, /^Storage threshold$/, /^Save Settings$/, /^Auto-record only at these times$/, /^Add window$/,
        /^Time zone$/, /^Save Schedule$/, /^Close$/,
      ];
      for (const name of stops) {
        await pressUntilFocused(page, 'Tab', name);
      }
      await assertFits(page, 'settings of the appliance');
      await assertAccessible(page, 'settings of the appliance');
      await screenshot(page, 'appliance-settings-phone');
      await closeSettings(page);
      const focused = () => page.evaluate(() => document.activeElement?.textContent.trim());
      assert.equal(await focused(), 'Settings');
      for (const name of [/^Last 24 hours$/, /^Delete recording_/, /^Clean Up Storage$/]) {
        await pressUntilFocused(page, 'Tab', name);
      }
      await pressUntilFocused(page, 'Shift+Tab', /^Delete recording_/);
      await page.keyboard.press('Enter');
      await page.getByRole('dialog').waitFor();
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'hidden' });
    });
    await phone.close();
  });
});

describe('Video Recording while the central server is away', { timeout: 300_000 }, () => {
  let agent, browser, api, context;

  before(async () => {
    // Nothing listens on the discard port.
    agent = await Agent.start({
      SORTIE_CAPTURE_FORWARD_URL: 'http://127.0.0.1:9',
      SORTIE_CAPTURE_FORWARD_TOKEN: 'sortie_nothing',
    });
    browser = await launch();
    api = await AgentApi.signIn(agent.origin);
    context = await signedIn(browser, agent.origin);
  });
  after(async () => {
    await browser?.close();
    await agent?.close();
  });

  const until = async (look, right) => {
    const asked = performance.now();
    for (;;) {
      const seen = await look();
      if (right(seen)) return seen;
      assert.ok(performance.now() - asked < PATIENCE_MS, `it stayed ${JSON.stringify(seen)}`);
      await wait(100);
    }
  };
  const record = async () => {
    await until(() => api.state(), (it) => it.signal.state === 'steady');
    const before = (await api.recordings()).length;
    await api.post('/api/appliance/recording/start');
    await until(() => api.state(), (it) => it.file?.duration_seconds >= 0.5);
    await api.post('/api/appliance/recording/stop');
    return (await until(() => api.recordings(), (it) => it.length > before))[0];
  };

  test('the only copy is deleted after a second question, and Clean Up Storage keeps it', async () => {
    const [first, second] = [await record(), await record()];
    await withPage(context, 'appliance only copies', async (page) => {
      await page.goto(agent.origin);
      const dialog = page.getByRole('dialog');
      const button = (name) => dialog.getByRole('button', { name, exact: true });
      await page.getByRole('button', { name: `Delete ${second.filename}` }).click();
      await button('Delete').click();
      await dialog.getByRole('heading', { name: 'Not yet on the central server' }).waitFor();
      await dialog.getByText('This deletes the only copy.').first().waitFor();
      await assertAccessible(page, 'second question of a deletion');
      // The button of the second question has not the focus: a second Enter cancels.
      await page.keyboard.press('Enter');
      await dialog.waitFor({ state: 'hidden' });
      assert.equal((await api.recordings()).length, 2);
      // The dialog begins with the first question again.
      await page.getByRole('button', { name: `Delete ${second.filename}` }).click();
      await dialog.getByRole('heading', { name: 'Delete this recording?' }).waitFor();
      await button('Delete').click();
      await button('Delete anyway').click();
      await page.getByRole('button', { name: `Delete ${second.filename}` }).waitFor({ state: 'detached' });

      // Every disk exceeds this threshold.
      await api.settings({ storage_threshold_percent: '1' });
      await page.getByText(/^The recorder says: recording is stopped because/).waitFor();
      // The alarm may say so too, if it is there already.
      await page.getByText(/Check the connection to the central server/).first().waitFor();
      await page.getByText(/^Unreachable, \d recordings? behind since /).waitFor();
      // The alarm is a notice of its own, with advice.
      const alarm = page.getByRole('alert').filter({ hasText: 'The disk is nearly full of recordings' });
      await alarm.waitFor();
      await assertAccessible(page, 'appliance with an alarm');
      await page.screenshot({ path: join(artifactsDir, 'appliance-alarm.png'), fullPage: true });
      await page.reload();
      await page.getByText(/^1 recording, .* is kept because it is not on the central server yet/).waitFor();
      await page.getByText('Nothing to clean up').waitFor();
      await assertFits(page, 'appliance that keeps only copies');
    });
    assert.deepEqual((await api.recordings()).map(({ id }) => id), [first.id]);
  });
});

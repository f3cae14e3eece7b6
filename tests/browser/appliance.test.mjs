// Video Recording, the page of an appliance: the real capture agent with its test pattern, whose signal can be removed.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
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
      await stop(page).waitFor();
      assert.deepEqual(await (await api.fetch('/api/admin/settings')).json(), {
        recording_auto_record: 'true', storage_threshold_percent: '99',
      });
      await page.getByText('The oldest recordings are deleted above 99 %.').waitFor();

      // Losing the signal finishes the file; the next file belongs to the same session and is grouped with it.
      await durable(1);
      await api.signal('no_signal');
      await page.getByText('Recording starts automatically when a signal appears.').waitFor();
      await api.signal('steady');
      await list(page).getByText('One session: 1 file so far, one more in progress').waitFor();
      await durable(1);
      await stop(page).click();
      await list(page).getByText('One session: 2 files').waitFor();
      assert.equal((await api.recordings()).length, before + 2);

      // Changes made elsewhere appear; unsaved input stays.
      await threshold.fill('42');
      await api.settings({ recording_auto_record: 'false', storage_threshold_percent: '0' });
      await page.waitForFunction(() => !document.querySelector('#auto-record').checked);
      assert.equal(await threshold.inputValue(), '42');
      await open(page);
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
      await page.getByLabel('Storage threshold').fill('1');
      await page.getByRole('button', { name: 'Save Settings' }).click();
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
      for (const name of [/^Auto-Record Sessions$/, /^Storage threshold$/, /^Save Settings$/, /^Delete recording_/, /^Clean Up Storage$/]) {
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
      await page.getByText(/Check the connection to the central server/).waitFor();
      await page.reload();
      await page.getByText(/^1 recording, .* is kept because it is not on the central server yet/).waitFor();
      await page.getByText('Nothing to clean up').waitFor();
      await assertFits(page, 'appliance that keeps only copies');
    });
    assert.deepEqual((await api.recordings()).map(({ id }) => id), [first.id]);
  });
});

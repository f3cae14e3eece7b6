// The library of recordings: views, titles, filters, keys, selection and pictures.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Api } from './support/api.mjs';
import { assertAccessible, assertFits } from './support/axe.mjs';
import { launch, withPage } from './support/browser.mjs';
import { startRecording } from './support/sample-data.mjs';
import { sampleWebm } from './support/media.mjs';
import { untilReady } from './support/assertions.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

const DESK = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 375, height: 740 }, hasTouch: true, isMobile: true };
const LONG_NAME = 'Interview with a candidate, second round, room 4';

describe('library', { timeout: 600_000 }, () => {
  let server, browser, admin, bytes;

  before(async () => {
    server = await Server.start();
    browser = await launch();
    admin = await Api.signIn(server.origin);
    bytes = await sampleWebm(1);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  const patch = (user, id, body) => user.fetch(`/api/recordings/${id}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

  /** Creates a user with ready recordings of these file names; the first is the oldest. */
  async function userWith(username, filenames) {
    const user = await admin.newUser(username);
    const ids = [];
    for (const filename of filenames) ids.push(await user.upload(bytes, { filename }));
    for (const id of ids) await untilReady(user, id, 20_000);
    return { user, ids };
  }

  /** Opens the list of this user and runs `action` with the page. */
  async function inList(user, title, action, { path = '/recordings', ...options } = DESK) {
    const context = await signedIn(browser, server.origin, user, options);
    await withPage(context, title, async (page) => {
      await page.goto(server.origin + path);
      await action(page);
    });
    await context.close();
  }

  const rowOf = (page, id) => page.getByRole('row').filter({ has: page.locator(`a[href="/recordings/${id}"]`) });
  const firstRowTop = (page) => page.evaluate(() => Math.round(document.querySelector('tr.row').getBoundingClientRect().top));

  test('the grid is the default on a wide screen, the choice is remembered, and both views are compact', async () => {
    const { user, ids } = await userWith('viewer', ['one.webm', 'two.webm', 'three.webm']);
    await patch(user, ids[2], { title: LONG_NAME });
    await inList(user, 'views', async (page) => {
      const row = rowOf(page, ids[2]);
      await row.waitFor();
      await page.getByText('1–3 of 3', { exact: true }).waitFor();
      assert.equal(await page.getByRole('button', { name: 'Grid' }).getAttribute('aria-pressed'), 'true');
      const poster = await row.locator('.poster').boundingBox();
      assert.ok(Math.abs(poster.width / poster.height - 16 / 9) < 0.05, `${poster.width} × ${poster.height}`);
      const duration = await row.locator('.cell-duration').boundingBox();
      assert.ok(duration.x + duration.width <= poster.x + poster.width && duration.y + duration.height <= poster.y + poster.height);
      assert.ok(await firstRowTop(page) <= 190, `the first row is at ${await firstRowTop(page)} px`);
      await assertAccessible(page, 'grid');

      await page.getByRole('button', { name: 'List', exact: true }).click();
      await page.waitForFunction(() => document.querySelector('.library-list'));
      const box = await row.boundingBox();
      assert.ok(Math.abs(box.height - 56) <= 1, `a row is ${box.height} px high`);
      assert.ok(await firstRowTop(page) <= 190, `the first row is at ${await firstRowTop(page)} px`);
      await assertAccessible(page, 'list');
      await page.reload();
      await row.waitFor();
      assert.equal(await page.getByRole('button', { name: 'List', exact: true }).getAttribute('aria-pressed'), 'true');
      // A sortable column, announced as such.
      const duration2 = page.getByRole('columnheader', { name: 'Duration' });
      assert.equal(await page.getByRole('columnheader', { name: 'When' }).getAttribute('aria-sort'), 'descending');
      await duration2.getByRole('button').click();
      await page.waitForURL(/sort=longest/);
      assert.equal(await duration2.getAttribute('aria-sort'), 'descending');
      await duration2.getByRole('button').click();
      await page.waitForURL(/sort=shortest/);
    });
    for (const options of [PHONE, { viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 }]) {
      await inList(user, 'narrow views', async (page) => {
        await rowOf(page, ids[2]).waitFor();
        for (const view of ['Grid', 'List']) {
          await page.getByRole('button', { name: view, exact: true }).click();
          await assertFits(page, view);
          await assertAccessible(page, `${view} on ${options.viewport.width} px`);
        }
      }, options);
    }
  });

  test('only exceptions are marked, and days are headings in the list', async () => {
    const { user, ids } = await userWith('exceptional', ['fine.webm']);
    const failed = await user.upload(Buffer.from('no video\n'.repeat(1_000)), { filename: 'notes.txt' });
    await startRecording(user);
    const live = (await user.recordings()).find((it) => it.status === 'recording').id;
    await inList(user, 'exceptions', async (page) => {
      await rowOf(page, failed).waitFor();
      // Screen readers hear each status.
      const status = async (id) => {
        const { width } = await rowOf(page, id).locator('.badge').first().boundingBox();
        return [await rowOf(page, id).locator('.badge-word').textContent(), width > 10];
      };
      assert.deepEqual(await status(failed), ['Failed', true]);
      assert.deepEqual(await status(live), ['Recording', true]);
      assert.deepEqual((await status(ids[0]))[0], 'Ready');
      const clip = await rowOf(page, ids[0]).locator('.badge').evaluate((it) => getComputedStyle(it).clipPath);
      assert.notEqual(clip, 'none', 'an ordinary status is visible');
      await assertAccessible(page, 'exceptions');
      await page.getByRole('button', { name: 'List', exact: true }).click();
      const heading = await page.locator('.day').first().evaluate((it) => getComputedStyle(it, '::before').content);
      assert.equal(heading, '"Today"');
    });
  });

  test('titles: a default in local time, renamed in place by pencil, key and F2', async () => {
    const user = await admin.newUser('namer');
    const session = await (await user.post('/api/sessions', { app_id: 'e2e' })).json();
    const started = await (await user.post(`/api/sessions/${session.id}/recording/start`, { source: 'tab' })).json();
    const id = started.recording_id;
    await inList(user, 'titles', async (page) => {
      // While the title is edited, the row has no link.
      const row = page.locator(`tr[data-row="${id}"]`);
      const link = row.getByRole('link').first();
      await row.getByText(/^Tab recording, .*\d\d?:\d\d/).waitFor();
      await row.hover();
      await row.getByRole('button', { name: /^Rename/ }).click();
      const field = row.getByRole('textbox', { name: 'Title' });
      assert.match(await field.inputValue(), /^Tab recording/);
      await assertAccessible(page, 'rename');
      await field.fill('  Lesson <one>  ');
      await field.press('Enter');
      await row.getByText('Lesson <one>', { exact: true }).waitFor();
      await page.waitForFunction((it) => document.activeElement?.id === `recording-${it}`, id);
      assert.equal((await user.recording(id)).title, 'Lesson <one>');
      // Escape keeps the title.
      await page.keyboard.press('F2');
      await field.fill('no');
      await field.press('Escape');
      await field.waitFor({ state: 'detached' });
      await page.waitForFunction((it) => document.activeElement?.id === `recording-${it}`, id);
      assert.equal((await user.recording(id)).title, 'Lesson <one>');
      // An empty one restores the default.
      await page.keyboard.press('e');
      await field.fill('');
      await field.press('Enter');
      await row.getByText(/^Tab recording/).waitFor();
      assert.equal((await user.recording(id)).title, undefined);
      // Another client's change appears.
      await patch(user, id, { title: LONG_NAME });
      await row.getByText(LONG_NAME, { exact: true }).waitFor();
      assert.equal(await link.getAttribute('title'), LONG_NAME);
      await link.click();
      await page.getByRole('heading', { level: 1, name: LONG_NAME }).waitFor();
    });
  });

  test('filters are in the address, search follows typing, and Back restores them', async () => {
    const { user, ids } = await userWith('seeker', ['algebra.webm', 'biology.webm']);
    await user.post(`/api/recordings/${ids[0]}/viewed`);
    await inList(user, 'filters', async (page) => {
      await rowOf(page, ids[0]).waitFor();
      const before = await page.evaluate(() => history.length);
      await page.keyboard.press('/');
      await page.waitForFunction(() => document.activeElement?.id === 'filter-q');
      // Without Enter, and as one entry of the history.
      await page.keyboard.type('biol', { delay: 20 });
      await page.waitForURL(/q=biol$/);
      await page.keyboard.type('ogy', { delay: 20 });
      await page.waitForURL(/q=biology$/);
      await rowOf(page, ids[0]).waitFor({ state: 'detached' });
      await page.getByText('1–1 of 1', { exact: true }).waitFor();
      assert.equal(await page.evaluate(() => history.length), before + 1);
      assert.equal(await page.getByLabel('Search').inputValue(), 'biology');
      await page.goBack();
      await rowOf(page, ids[0]).waitFor();
      assert.equal(await page.getByLabel('Search').inputValue(), '');

      await page.getByRole('button', { name: 'Unwatched' }).click();
      await rowOf(page, ids[0]).waitFor({ state: 'detached' });
      await rowOf(page, ids[1]).waitFor();
      await page.getByLabel('Date', { exact: true }).selectOption({ label: 'Last 7 days' });
      await page.getByLabel('Length', { exact: true }).selectOption({ label: 'Under 1 min' });
      await page.waitForURL((url) => ['unwatched=true', 'date=7d', 'length=1'].every((it) => url.search.includes(it)));
      await rowOf(page, ids[1]).waitFor();
      await assertAccessible(page, 'filters');
      await page.getByLabel('Source', { exact: true }).selectOption({ label: 'Camera' });
      await page.getByText('No matches. Try other words or clear the filters.').waitFor();
      await page.goBack();
      await rowOf(page, ids[1]).waitFor();
      assert.equal(await page.getByLabel('Source', { exact: true }).inputValue(), '');
      await page.reload();
      await rowOf(page, ids[1]).waitFor();
      assert.equal(await rowOf(page, ids[0]).count(), 0);
    });
  });

  test('keys move, open, select, delete and help', async () => {
    const { user, ids } = await userWith('typist', ['a.webm', 'b.webm', 'c.webm']);
    await inList(user, 'keys', async (page) => {
      await rowOf(page, ids[0]).waitFor();
      const isFocused = (id) => page.waitForFunction((it) => document.activeElement?.id === `recording-${it}`, id);
      await page.keyboard.press('j');
      await isFocused(ids[2]);
      await page.keyboard.press('j');
      await isFocused(ids[1]);
      await page.keyboard.press('k');
      await isFocused(ids[2]);
      await page.keyboard.press('x');
      await page.getByText('1 selected', { exact: true }).waitFor();
      await page.keyboard.press('#');
      const dialog = page.getByRole('dialog', { name: 'Delete this recording?' });
      await dialog.getByText('c.webm').waitFor();
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'hidden' });
      await page.keyboard.press('x');
      await page.keyboard.press('?');
      await page.getByRole('dialog', { name: 'Keys' }).waitFor();
      await assertAccessible(page, 'keys');
      await page.keyboard.press('j');
      await page.keyboard.press('Escape');
      await page.getByRole('dialog', { name: 'Keys' }).waitFor({ state: 'hidden' });
      await rowOf(page, ids[1]).getByRole('link').first().focus();
      await page.keyboard.press('Enter');
      await page.waitForURL(`${server.origin}/recordings/${ids[1]}`);
    });
  });

  test('Shift selects a range, and the selection is protected and downloaded', async () => {
    const { user, ids } = await userWith('picker', ['a.webm', 'b.webm', 'c.webm', 'd.webm']);
    await inList(user, 'selection', async (page) => {
      await rowOf(page, ids[3]).getByRole('checkbox').check();
      await rowOf(page, ids[1]).getByRole('checkbox').click({ modifiers: ['Shift'] });
      await page.getByText('3 selected', { exact: true }).waitFor();
      assert.equal(await rowOf(page, ids[0]).getByRole('checkbox').isChecked(), false);
      const bar = page.getByRole('region', { name: 'Selection' });
      await assertAccessible(page, 'selection');
      await bar.getByRole('button', { name: 'Protect selected' }).click();
      await page.getByRole('status').getByText('3 recordings protected').waitFor();
      for (const [at, id] of ids.entries()) assert.equal((await user.recording(id)).protected, at > 0);
      const downloads = [];
      page.on('download', (it) => downloads.push(it.suggestedFilename()));
      await bar.getByRole('button', { name: 'Download selected' }).click();
      while (downloads.length < 3) await page.waitForEvent('download');
      assert.deepEqual(downloads.sort(), ['b.webm', 'c.webm', 'd.webm']);
      await bar.getByRole('button', { name: 'Delete selected' }).click();
      await page.getByRole('dialog').getByText('3 of them are protected from automatic deletion.').waitFor();
      await page.keyboard.press('Escape');
      await bar.getByRole('button', { name: 'Clear the selection' }).click();
      await bar.waitFor({ state: 'hidden' });
    }, { ...DESK, acceptDownloads: true });
  });

  test('all that match are deleted by one request, across pages, and others stay', async () => {
    const user = await admin.newUser('sweeper');
    const kept = await user.upload(bytes, { filename: 'kept.webm' });
    for (let i = 0; i < 55; i += 1) await user.upload(Buffer.from('no video\n'), { filename: `notes ${i}.txt` });
    await inList(user, 'all matching', async (page) => {
      const requests = [];
      page.on('request', (it) => { if (it.url().endsWith('/delete')) requests.push(it.postDataJSON()); });
      await page.getByText('1–50 of 55', { exact: true }).waitFor();
      await page.getByLabel('Select all on this page').check();
      await page.getByText('50 selected', { exact: true }).waitFor();
      await page.getByRole('button', { name: 'Select all 55 matching' }).click();
      await page.getByText('55 selected', { exact: true }).waitFor();
      await page.getByRole('button', { name: 'Delete selected' }).click();
      const dialog = page.getByRole('dialog', { name: 'Delete 55 recordings?' });
      await dialog.getByText('55 recordings (495 bytes)').waitFor();
      await assertAccessible(page, 'delete all matching');
      // A recording that fails now was not counted, and stays.
      const late = await user.upload(Buffer.from('no video\n'), { filename: 'late.txt' });
      await dialog.getByRole('button', { name: 'Delete' }).click();
      await page.getByRole('status').getByText('55 recordings deleted', { exact: true }).waitFor();
      assert.equal(requests.length, 1);
      assert.deepEqual(Object.keys(requests[0]), ['filter', 'at_most', 'unforwarded']);
      assert.deepEqual((await user.recordings()).map((it) => it.id).sort(), [kept, late].sort());
    }, { path: '/recordings?status=failed', ...DESK });
  });

  test('pictures: poster, scrubbing with the pointer, and an icon when one is missing', async () => {
    const { user, ids } = await userWith('painter', ['plain.webm', 'pictured.webm', 'broken.webm']);
    await inList(user, 'pictures', async (page) => {
      const picture = (colour) => `<svg xmlns="http://www.w3.org/2000/svg" width="320" height="180"><rect width="320" height="180" fill="${colour}"/></svg>`;
      await page.route('**/api/recordings?*', async (route) => {
        const response = await route.fetch();
        const rows = await response.json();
        for (const row of rows) if (row.id !== ids[0]) row.pictures = 2;
        await route.fulfill({ response, json: rows });
      });
      const svg = (colour) => ({ contentType: 'image/svg+xml', body: picture(colour) });
      await page.route(`**/api/recordings/${ids[1]}/poster*`, (route) => route.fulfill(svg('green')));
      await page.route(`**/api/recordings/${ids[1]}/pictures/*`, (route) => route.fulfill(svg('navy')));
      let storyboards = 0;
      await page.route(`**/api/recordings/${ids[1]}/storyboard.vtt`, (route) => {
        storyboards += 1;
        return route.fulfill({ contentType: 'text/vtt', body: 'WEBVTT\n\n00:00:00.000 --> 00:00:00.500\npictures/0#xywh=0,0,320,180\n\n00:00:00.500 --> 00:00:01.000\npictures/500#xywh=0,0,320,180\n' });
      });
      await page.route(`**/api/recordings/${ids[1]}/activity`, (route) => route.fulfill({ json: { bucket_ms: 1000, levels: [255, 0, 128], idle: [], active_ms: 4000 } }));
      await page.route(`**/api/recordings/${ids[2]}/poster*`, (route) => route.fulfill({ status: 404 }));
      await page.reload();
      const image = rowOf(page, ids[1]).locator('img');
      await image.waitFor();
      assert.match(await image.getAttribute('src'), /\/poster\?pictures=2$/);
      await rowOf(page, ids[0]).locator('.poster svg').waitFor();
      await rowOf(page, ids[2]).locator('.poster svg').waitFor();
      assert.equal(storyboards, 0);
      const activity = rowOf(page, ids[1]).locator('.poster-activity');
      assert.equal(await activity.isVisible(), false);
      const { x, y, width, height } = await rowOf(page, ids[1]).locator('.poster').boundingBox();
      await page.mouse.move(x + width * 0.2, y + height / 2);
      await page.waitForFunction((it) => it.getAttribute('src').endsWith('/pictures/0'), await image.elementHandle());
      await activity.locator('path').waitFor();
      await page.mouse.move(x + width * 0.8, y + height / 2);
      await page.waitForFunction((it) => it.getAttribute('src').endsWith('/pictures/500'), await image.elementHandle());
      await page.mouse.move(x + width * 0.8, y + height + 40);
      await page.waitForFunction((it) => it.getAttribute('src').includes('/poster'), await image.elementHandle());
      assert.equal(storyboards, 1);
    });
  });

  test('on a touch screen the actions of a row are in a menu', async () => {
    const { user, ids } = await userWith('toucher', ['touch.webm']);
    await inList(user, 'touch', async (page) => {
      const row = rowOf(page, ids[0]);
      await row.waitFor();
      assert.equal(await row.getByRole('button', { name: /^Delete/ }).isVisible(), false);
      const more = row.getByRole('button', { name: 'Actions for touch.webm' });
      await more.tap();
      assert.equal(await more.getAttribute('aria-expanded'), 'true');
      await row.getByText('Rename', { exact: true }).waitFor();
      await assertAccessible(page, 'row menu');
      await assertFits(page, 'row menu');
      await page.keyboard.press('Escape');
      assert.equal(await more.getAttribute('aria-expanded'), 'false');
      await more.tap();
      await page.getByRole('heading', { level: 1 }).tap();
      await page.waitForFunction(() => !document.querySelector('.row-actions-open'));
      await more.tap();
      await row.getByRole('button', { name: 'Delete touch.webm' }).tap();
      await page.getByRole('dialog', { name: 'Delete this recording?' }).waitFor();
    }, PHONE);
  });
});

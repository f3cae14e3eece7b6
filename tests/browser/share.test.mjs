// Share links from the player to a viewer without an account, and playback URLs on another site.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { before, describe, test } from 'node:test';
import { Api } from './support/api.mjs';
import { untilReady } from './support/assertions.mjs';
import { assertAccessible, assertFits } from './support/axe.mjs';
import { launch, withPage } from './support/browser.mjs';
import { useFixture } from './support/fixture.mjs';
import { loopedWebm } from './support/media.mjs';
import { openPlayer } from './support/review.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

const PASSWORD = 'open sesame';
const PHONE = { viewport: { width: 375, height: 720 } };
const TITLE = '<i>Board</i> meeting';

/** Saves a picture for review if a folder is given. */
async function picture(page, name) {
  const folder = process.env.SORTIE_SHARE_PICTURES;
  if (folder) await page.screenshot({ path: `${folder}/${name}.png` });
}

/** Waits until the video of a page has played for a moment and seeks to its second half. */
async function plays(page) {
  const video = page.locator('video');
  await video.evaluate(async (video) => {
    video.muted = true;
    await video.play();
  });
  await page.waitForFunction(() => document.querySelector('video').currentTime > 0.3);
  await video.evaluate((video) => { video.currentTime = video.duration * 0.7; });
  await page.waitForFunction(() => {
    const video = document.querySelector('video');
    return !video.seeking && video.currentTime > video.duration * 0.6 && video.readyState >= 2;
  });
}

describe('share links', { timeout: 600_000 }, () => {
  const fixture = useFixture();
  let server, context, visitor, api, id;

  before(async () => {
    ({ server, context, visitor, api } = fixture);
    id = await api.upload(await loopedWebm(20));
    await untilReady(api, id, 20_000);
    const headers = { 'content-type': 'application/json' };
    await api.fetch(`/api/recordings/${id}`, { method: 'PATCH', headers, body: JSON.stringify({ title: TITLE }) });
  });

  const shares = async () => (await api.fetch(`/api/recordings/${id}/shares`)).json();
  const share = async (body = {}) => (await api.post(`/api/recordings/${id}/shares`, body)).json();

  async function openDialog(page) {
    await openPlayer(page, server, id);
    await page.getByRole('button', { name: 'Share…' }).click();
    const dialog = page.getByRole('dialog', { name: 'Share this recording' });
    await dialog.waitFor();
    return dialog;
  }

  test('a link made in the player by keyboard plays without an account until it is revoked', async () => {
    await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: server.origin });
    const url = await withPage(context, 'share dialog', async (page) => {
      await openPlayer(page, server, id);
      await page.getByRole('button', { name: 'Share…' }).focus();
      await page.keyboard.press('Enter');
      const dialog = page.getByRole('dialog', { name: 'Share this recording' });
      await dialog.getByLabel('Expires after').selectOption({ label: '1 day' });
      await assertAccessible(page, 'share dialog');
      await picture(page, 'dialog');
      await dialog.getByLabel('Label').focus();
      await page.keyboard.type('For the board');
      await page.keyboard.press('Enter');
      await dialog.getByRole('status').getByText('Copy the link now').waitFor();
      const copy = dialog.getByRole('button', { name: 'Copy' });
      await page.waitForFunction(() => document.activeElement?.textContent === 'Copy');
      await assertAccessible(page, 'new link');
      await picture(page, 'new-link');
      await copy.press('Enter');
      await dialog.getByRole('button', { name: 'Copied' }).waitFor();
      const copied = await page.evaluate(() => navigator.clipboard.readText());
      assert.match(copied, new RegExp(`^${server.origin}/s/[0-9A-Za-z]{40}$`));
      await dialog.getByRole('button', { name: 'Done' }).click();
      await dialog.getByText('For the board').waitFor();
      await dialog.getByText('not viewed yet').waitFor();
      await assertAccessible(page, 'links');
      await picture(page, 'links');
      return copied;
    });
    const [link] = await shares();
    const hours = (Date.parse(link.expires_at) - Date.parse(link.created_at)) / 3_600_000;
    assert.equal(hours, 24);

    await withPage(visitor, 'viewer', async (page) => {
      const problems = [];
      page.on('console', (message) => { if (message.type() === 'error') problems.push(message.text()); });
      const requested = [];
      page.on('request', (request) => requested.push(request));
      await page.goto(url);
      await page.getByRole('heading', { name: TITLE, exact: true }).waitFor();
      await plays(page);
      assert.deepEqual(problems, []);
      for (const request of requested) {
        assert.ok(request.url().startsWith(`${server.origin}/s/`) || request.url().startsWith('data:'), request.url());
        assert.equal((await request.allHeaders()).referer, undefined, request.url());
      }
      await assertAccessible(page, 'page of a link');
      await picture(page, 'viewer');
      await page.setViewportSize(PHONE.viewport);
      await assertFits(page, 'page of a link');
      await picture(page, 'viewer-375');
    });
    assert.equal((await shares())[0].views, 1);

    await withPage(context, 'revoke', async (page) => {
      const dialog = await openDialog(page);
      await dialog.getByText('1 view').waitFor();
      await dialog.getByRole('button', { name: 'Revoke For the board' }).press('Enter');
      await dialog.getByRole('status').getByText('Link revoked').waitFor();
      await dialog.getByText('For the board').waitFor({ state: 'detached' });
      assert.equal(await page.evaluate(() => document.activeElement?.id), 'share-heading');
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'hidden' });
      assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Share…');
    });
    await withPage(visitor, 'revoked', async (page) => {
      const answer = await page.goto(url);
      assert.equal(answer.status(), 404);
      await page.getByRole('heading', { name: 'This link is not available' }).waitFor();
      await assertAccessible(page, 'page of a revoked link');
      await picture(page, 'unavailable');
    });
  });

  test('a part that is selected on the timeline is all that its link shows', async () => {
    const url = await withPage(context, 'share a part', async (page) => {
      const dialog = await openDialog(page);
      await dialog.getByText('select it on the timeline first').waitFor();
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'hidden' });
      await page.evaluate(() => { document.querySelector('video').currentTime = 6; });
      await page.waitForFunction(() => !document.querySelector('video').seeking);
      await page.keyboard.press('i');
      await page.evaluate(() => { document.querySelector('video').currentTime = 9; });
      await page.waitForFunction(() => !document.querySelector('video').seeking);
      await page.keyboard.press('o');
      await page.getByRole('button', { name: 'Share…' }).click();
      const only = dialog.getByLabel('Only the selected part, 0:06–0:09');
      assert.equal(await only.isChecked(), true);
      await assertAccessible(page, 'share a part');
      await picture(page, 'dialog-part');
      await dialog.getByRole('button', { name: 'Create link' }).click();
      const link = await dialog.locator('code, input[readonly]').first().evaluate((it) => it.value ?? it.textContent);
      await dialog.getByRole('button', { name: 'Done' }).click();
      await dialog.getByText(/ · 0:0\d–0:09/).waitFor();
      await picture(page, 'links-part');
      return link;
    });
    const [link] = await shares();
    assert.equal(link.end_ms, 9_000);
    await withPage(visitor, 'viewer of a part', async (page) => {
      await page.goto(url);
      await page.getByRole('heading', { name: TITLE, exact: true }).waitFor();
      await plays(page);
      const seconds = await page.locator('video').evaluate((video) => video.duration);
      assert.ok(Math.abs(seconds * 1000 - (link.end_ms - link.start_ms)) < 150, `${seconds}`);
      // Backwards, to what was not loaded in order.
      await page.evaluate(() => { document.querySelector('video').currentTime = 0.1; });
      await page.waitForFunction(() => {
        const video = document.querySelector('video');
        return !video.seeking && video.currentTime < 1 && video.readyState >= 2;
      });
      await assertAccessible(page, 'page of a part');
      await picture(page, 'viewer-part');
    });
    await api.fetch(`/api/recordings/${id}/shares/${link.id}`, { method: 'DELETE' });
  });

  test('a password is asked for once, and a wrong one is explained', async () => {
    const { url } = await share({ password: PASSWORD });
    const other = await share({ password: PASSWORD });
    const viewer = await fixture.browser.newContext({ colorScheme: 'dark' });
    await withPage(viewer, 'password', async (page) => {
      await page.goto(url);
      const field = page.getByLabel('Password');
      assert.equal(await field.evaluate((it) => it === document.activeElement), true);
      assert.equal(await page.getByText('Board').count(), 0);
      await picture(page, 'password-dark');
      await assertAccessible(page, 'password form');
      await field.fill('wrong password');
      await page.keyboard.press('Enter');
      await page.getByRole('alert').getByText('The password is wrong').waitFor();
      await assertAccessible(page, 'wrong password');
      await page.setViewportSize(PHONE.viewport);
      await assertFits(page, 'password form');
      await picture(page, 'wrong-password-375');
      await page.getByLabel('Password').fill(PASSWORD);
      await page.getByRole('button', { name: 'Watch' }).click();
      await page.getByRole('heading', { name: TITLE, exact: true }).waitFor();
      assert.equal(page.url(), url);
      await plays(page);
      await page.reload();
      await page.getByRole('heading', { name: TITLE, exact: true }).waitFor();
      // Not for another link, and not for the application.
      await page.goto(other.url);
      await page.getByRole('heading', { name: 'Password required' }).waitFor();
      const cookies = await viewer.cookies([server.origin, `${other.url}/file`]);
      assert.deepEqual(cookies, []);
      const [cookie] = await viewer.cookies(`${url}/file`);
      assert.equal(cookie.httpOnly, true);
      assert.equal(cookie.sameSite, 'Lax');
    });
    await viewer.close();
  });

  test('the form works over plain HTTP, where browsers say less about the sender', async () => {
    const { url } = await share({ password: PASSWORD });
    // A host name that is no secure context.
    const flags = ['--host-resolver-rules=MAP share.test 127.0.0.1'];
    const browser = await launch(flags);
    try {
      await withPage(await browser.newContext(), 'plain HTTP', async (page) => {
        await page.goto(url.replace('127.0.0.1', 'share.test'));
        assert.equal(await page.evaluate(() => isSecureContext), false);
        await page.getByLabel('Password').fill(PASSWORD);
        await page.keyboard.press('Enter');
        await page.getByRole('heading', { name: TITLE, exact: true }).waitFor();
        await plays(page);
      });
    } finally {
      await browser.close();
    }
  });

  test('the dialog fits a narrow screen', async () => {
    await share({ label: 'A label of a length that needs more than one line on a narrow screen' });
    const narrow = await signedIn(fixture.browser, server.origin, undefined, PHONE);
    await withPage(narrow, 'narrow dialog', async (page) => {
      const dialog = await openDialog(page);
      await dialog.getByText('A label of a length').waitFor();
      await assertFits(page, 'share dialog');
      const box = await dialog.boundingBox();
      assert.ok(box.x >= 0 && box.x + box.width <= 375, JSON.stringify(box));
      const rows = await dialog.getByRole('listitem').all();
      const boxes = await Promise.all(rows.map((row) => row.boundingBox()));
      for (const [index, { y, height }] of boxes.entries()) {
        assert.ok(height >= 40, `row ${index} is ${height} px high`);
        if (index > 0) assert.ok(y >= boxes[index - 1].y + boxes[index - 1].height - 1, `row ${index} overlaps`);
      }
      await assertAccessible(page, 'narrow share dialog');
      await picture(page, 'dialog-375');
    });
    await narrow.close();
  });

  test('a playback URL plays and seeks on a page of another site', async () => {
    const { url } = await (await api.post(`/api/recordings/${id}/playback-url`, {})).json();
    const html = `<!doctype html><video controls muted src="${url}"></video>`;
    const site = createServer((_, response) => response.setHeader('content-type', 'text/html').end(html));
    await new Promise((resolve) => site.listen(0, 'localhost', resolve));
    try {
      await withPage(visitor, 'another site', async (page) => {
        // Another site than 127.0.0.1.
        await page.goto(`http://localhost:${site.address().port}/`);
        await plays(page);
      });
    } finally {
      site.close();
    }
  });
});

test('without sharing the player has no button', { timeout: 120_000 }, async () => {
  const server = await Server.start({ SORTIE_SHARING_ENABLED: 'false' });
  const browser = await launch();
  try {
    const api = await Api.signIn(server.origin);
    const id = await api.upload(await loopedWebm(2));
    await untilReady(api, id, 20_000);
    const context = await signedIn(browser, server.origin);
    await withPage(context, 'no sharing', async (page) => {
      await openPlayer(page, server, id);
      await page.getByRole('button', { name: 'Protect' }).waitFor();
      assert.equal(await page.getByRole('button', { name: 'Share…' }).count(), 0);
      const answer = await page.goto(`${server.origin}/s/${'0'.repeat(40)}`);
      assert.equal(answer.status(), 404);
      await page.getByRole('heading', { name: 'This link is not available' }).waitFor();
    });
  } finally {
    await browser.close();
    await server.close();
  }
});

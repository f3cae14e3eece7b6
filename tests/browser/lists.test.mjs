// Lists of recordings: bulk deletion, deletion of running recordings, and Back from the player.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Api } from './support/api.mjs';
import { assertAccessible } from './support/axe.mjs';
import { launch, withPage } from './support/browser.mjs';
import { holdWrites } from './support/database.mjs';
import { startRecording } from './support/sample-data.mjs';
import { sampleWebm } from './support/media.mjs';
import { untilReady } from './support/assertions.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

describe('lists of recordings', { timeout: 600_000 }, () => {
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

  /** Creates a user with `count` ready recordings. */
  async function userWith(username, count) {
    const user = await admin.newUser(username);
    const ids = [];
    for (let i = 0; i < count; i += 1) ids.push(await user.upload(bytes, { filename: `take ${i}.webm` }));
    for (const id of ids) await untilReady(user, id, 20_000);
    return { user, ids };
  }

  const rowOf = (page, id) => page.getByRole('row').filter({ has: page.locator(`a[href="/recordings/${id}"]`) });

  test('deleting many shows progress, and Escape stops it', async () => {
    const { user } = await userWith('many', 40);
    const context = await signedIn(browser, server.origin, user);
    await withPage(context, 'stop deleting', async (page) => {
      await page.goto(`${server.origin}/recordings`);
      await page.getByLabel('Select all on this page').check();
      await page.getByRole('button', { name: 'Delete selected' }).click();
      const dialog = page.getByRole('dialog', { name: 'Delete 40 recordings?' });
      await dialog.getByText(/^40 recordings \([\d.]+ [kM]B\)$/).waitFor();
      const release = await holdWrites(server);
      const broken = page.waitForEvent('requestfailed', (it) => it.url().endsWith('/api/recordings/delete'));
      await dialog.getByRole('button', { name: 'Delete' }).click();
      await dialog.getByText('0 of 40 deleted').first().waitFor();
      assert.equal(await dialog.getByRole('progressbar').getAttribute('max'), '40');
      await assertAccessible(page, 'deleting');
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'hidden' });
      await broken;
      await release();
      await page.getByText(/^Stopped: [01] of 40 recordings deleted$/).waitFor();
      // The deletion in flight completes, and no other starts.
      let left = (await user.recordings()).length;
      for (let same = 0; same < 10; same += 1) {
        const now = (await user.recordings()).length;
        if (now !== left) same = 0;
        left = now;
      }
      assert.ok(left >= 38, `${left} of 40 are left`);
    });
    await context.close();
  });

  test('many recordings are deleted in one request', async () => {
    const { user, ids } = await userWith('one request', 5);
    const context = await signedIn(browser, server.origin, user);
    await withPage(context, 'bulk delete', async (page) => {
      const requests = [];
      page.on('request', (it) => {
        if (it.method() === 'DELETE' || it.url().endsWith('/delete')) requests.push(it.method());
      });
      await page.goto(`${server.origin}/recordings`);
      await rowOf(page, ids[4]).waitFor();
      // One of them is deleted meanwhile, which is no error.
      await page.getByLabel('Select all on this page').check();
      await page.getByRole('button', { name: 'Delete selected' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
      await page.getByRole('status').getByText('5 recordings deleted', { exact: true }).waitFor();
      await page.getByText('No recordings', { exact: true }).waitFor();
      assert.deepEqual(requests, ['POST']);
      assert.deepEqual(await user.recordings(), []);
    });
    await context.close();
  });

  test('deleting a running recording warns and asks', async () => {
    const { user, ids } = await userWith('running', 1);
    await startRecording(user);
    const running = (await user.recordings()).find((it) => it.status === 'recording');
    const context = await signedIn(browser, server.origin, user);
    await withPage(context, 'delete running', async (page) => {
      await page.goto(`${server.origin}/recordings`);
      const row = rowOf(page, running.id);
      await row.getByRole('button', { name: /^Delete/ }).click();
      const dialog = page.getByRole('dialog', { name: 'Delete a running recording?' });
      await dialog.getByText('is still being recorded').waitFor();
      await assertAccessible(page, 'delete a running recording');
      await dialog.getByRole('button', { name: 'Cancel' }).click();
      await page.getByLabel('Select all on this page').check();
      await page.getByRole('button', { name: 'Delete selected' }).click();
      await page.getByRole('dialog').getByText('1 of them is still being recorded').waitFor();
      await page.keyboard.press('Escape');
      await row.getByRole('button', { name: /^Delete/ }).click();
      await dialog.getByRole('button', { name: 'Stop and delete' }).click();
      await row.waitFor({ state: 'detached' });
      assert.deepEqual((await user.recordings()).map((it) => it.id), ids);
    });
    await context.close();
  });

  test('the list is fetched once, and Back restores filters, scroll position and focus', async () => {
    const { user, ids } = await userWith('returner', 30);
    const context = await signedIn(browser, server.origin, user, { viewport: { width: 1280, height: 600 } });
    await withPage(context, 'back to the list', async (page) => {
      const fetched = [];
      page.on('request', (it) => {
        const { pathname } = new URL(it.url());
        if (it.method() === 'GET' && pathname === '/api/recordings') fetched.push(it.url());
      });
      await page.goto(`${server.origin}/recordings?sort=smallest&status=ready`);
      const link = page.locator(`a[href="/recordings/${ids[3]}"]`);
      await link.waitFor();
      // The event arrives after the hello event of the stream.
      await user.fetch(`/api/recordings/${ids[3]}`, {
        method: 'PATCH',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ protected: true }),
      });
      await rowOf(page, ids[3]).locator('button[aria-pressed="true"]').waitFor();
      assert.equal(fetched.length, 1, fetched.join('\n'));

      const filters = '?sort=smallest&status=ready';
      for (const back of [() => page.goBack(), () => page.getByRole('link', { name: 'My Recordings' }).click()]) {
        await link.scrollIntoViewIfNeeded();
        await page.evaluate(() => window.scrollBy(0, 120));
        await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
        const before = await page.evaluate(() => window.scrollY);
        assert.ok(before > 100, `it is scrolled to ${before}`);
        await link.focus();
        await page.keyboard.press('Enter');
        await page.locator('video').waitFor();
        await back();
        await page.waitForURL(`${server.origin}/recordings${filters}`);
        await page.waitForFunction((id) => document.activeElement?.id === `recording-${id}`, ids[3]);
        const after = await page.evaluate(() => window.scrollY);
        assert.ok(Math.abs(after - before) < 5, `it was at ${before} and is at ${after}`);
      }
      // A navigation other than Back starts at the top.
      await page.getByRole('link', { name: 'Record', exact: true }).click();
      await page.getByRole('button', { name: 'View recordings' }).click();
      await link.waitFor();
      assert.equal(await page.evaluate(() => window.scrollY), 0);
    });
    await context.close();
  });

  test('forced colours show which switch is on and which tab is selected; options have names', async () => {
    const context = await signedIn(browser, server.origin);
    await withPage(context, 'forced colours', async (page) => {
      await page.emulateMedia({ forcedColors: 'active' });
      await page.goto(server.origin);
      const look = (locator) => locator.evaluate((it) => {
        const style = getComputedStyle(it);
        return { background: style.backgroundColor, border: style.borderTopWidth, adjust: style.forcedColorAdjust };
      });
      const settled = () => page.evaluate(() => Promise.all(document.getAnimations().map((it) => it.finished.catch(() => {}))));
      const microphone = page.getByLabel('Microphone');
      await microphone.waitFor();
      await settled();
      const off = await look(microphone);
      await microphone.check();
      await settled();
      const on = await look(microphone);
      assert.notEqual(off.border, '0px');
      assert.notEqual(on.background, off.background);
      await page.screenshot({ path: `${process.env.SORTIE_ARTIFACTS ?? '/tmp'}/forced-record.png` });

      await page.goto(`${server.origin}/admin/recordings`);
      await page.getByRole('tab', { name: 'Recordings' }).waitFor();
      await settled();
      const line = (name) => page.getByRole('tab', { name }).evaluate((it) => getComputedStyle(it).borderBottomColor);
      assert.notEqual(await line('Recordings'), await line('Settings'));
      assert.equal(await line('Settings'), await line('Users'));

      const client = await context.newCDPSession(page);
      const { nodes } = await client.send('Accessibility.getFullAXTree');
      const options = nodes.filter((it) => ['option', 'menuListOption', 'MenuListOption'].includes(it.role?.value));
      const names = options.map((it) => it.name?.value);
      assert.ok(names.includes('Ready') && names.includes('Largest first'), names.join(', '));
      assert.ok(names.every(Boolean), `an option has no name: ${JSON.stringify(names)}`);
    });
    await context.close();
  });
});

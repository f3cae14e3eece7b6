// The pages as users see them: with a mouse, by keyboard, on a phone.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Api } from './support/api.mjs';
import { assertAccessible, assertFits } from './support/axe.mjs';
import { FAKE_CAMERA, launch, withPage } from './support/browser.mjs';
import { sampleWebm } from './support/media.mjs';
import { untilReady } from './support/assertions.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

describe('pages', { timeout: 600_000 }, () => {
  let server, browser, admin;

  before(async () => {
    server = await Server.start();
    browser = await launch(FAKE_CAMERA);
    admin = await Api.signIn(server.origin);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  test('an empty list has an empty state', async () => {
    const user = await admin.newUser('empty');
    const context = await signedIn(browser, server.origin, user);
    await withPage(context, 'empty list', async (page) => {
      await page.goto(`${server.origin}/recordings`);
      await page.getByText('No recordings', { exact: true }).waitFor();
      await page.getByRole('button', { name: 'Refresh' }).waitFor();
      await assertAccessible(page, 'empty list');
      await page.getByRole('button', { name: 'Close' }).click();
      await page.waitForURL(`${server.origin}/`);
    });
    await context.close();
  });

  test('View recordings leads to the list, and a deletion asks first', async () => {
    const user = await admin.newUser('deleter');
    const kept = await user.upload(await sampleWebm(1));
    const doomed = await user.upload(await sampleWebm(2));
    await untilReady(user, doomed, 10_000);
    const { filename } = await user.recording(doomed);

    const context = await signedIn(browser, server.origin, user);
    await withPage(context, 'delete', async (page) => {
      await page.goto(server.origin);
      await page.getByRole('button', { name: 'View recordings' }).click();
      await page.getByRole('heading', { name: 'My Recordings' }).waitFor();
      const row = page.getByRole('row').filter({ has: page.locator(`a[href="/recordings/${doomed}"]`) });
      await row.getByText('Ready').waitFor();

      const dialog = page.getByRole('dialog');
      await row.getByRole('button', { name: /^Delete/ }).click();
      await dialog.getByText(filename).waitFor();
      await assertAccessible(page, 'delete dialog');
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'hidden' });
      assert.ok(await user.recording(doomed), 'Escape deleted it');

      await row.getByRole('button', { name: /^Delete/ }).click();
      await dialog.getByRole('button', { name: 'Delete' }).click();
      await row.waitFor({ state: 'detached' });
      assert.deepEqual((await user.recordings()).map((it) => it.id), [kept]);
    });
    await context.close();
  });

  test('My Recordings updates automatically, filters by day, and deletes several at a time', async () => {
    const user = await admin.newUser('follower');
    const bytes = await sampleWebm(1);
    const context = await signedIn(browser, server.origin, user);
    await withPage(context, 'my live list', async (page) => {
      const rowOf = (id) => page.getByRole('row').filter({ has: page.locator(`a[href="/recordings/${id}"]`) });
      await page.goto(`${server.origin}/recordings`);
      await page.getByText('No recordings', { exact: true }).waitFor();
      // Both appear without a click.
      const ids = [await user.upload(bytes), await user.upload(bytes), await user.upload(bytes)];
      for (const id of ids) await rowOf(id).getByText('Ready', { exact: true }).waitFor();

      await page.getByLabel('Date', { exact: true }).selectOption('range');
      await page.getByLabel('To', { exact: true }).fill('2020-01-01');
      await page.getByText('No matches. Try other words or clear the filters.').waitFor();
      await page.getByRole('button', { name: 'Clear filters' }).click();
      await page.getByLabel('Date', { exact: true }).selectOption('range');
      await page.getByLabel('From', { exact: true }).fill('2020-01-01');
      await page.waitForURL(/from=2020-01-01/);
      await rowOf(ids[0]).waitFor();

      await page.getByLabel('Select all on this page').check();
      await rowOf(ids[1]).getByRole('checkbox').uncheck();
      await page.getByText('2 selected', { exact: true }).waitFor();
      await page.getByRole('button', { name: 'Delete selected' }).click();
      await page.getByRole('dialog').getByText('Delete 2 recordings?').waitFor();
      await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
      await rowOf(ids[2]).waitFor({ state: 'detached' });
      await rowOf(ids[0]).waitFor({ state: 'detached' });
      await page.getByRole('status').getByText('2 recordings deleted').waitFor();
      await page.waitForFunction(() => document.activeElement?.id === 'recordings-list');
      assert.deepEqual((await user.recordings()).map((it) => it.id), [ids[1]]);
      await user.fetch(`/api/recordings/${ids[1]}`, { method: 'DELETE' });
      await page.getByText('No matches. Try other words or clear the filters.').waitFor();
    });
    await context.close();
  });

  test('Download returns the exact file', async () => {
    const user = await admin.newUser('downloader');
    const id = await user.upload(await sampleWebm(2));
    await untilReady(user, id, 10_000);
    const context = await signedIn(browser, server.origin, user, { acceptDownloads: true });
    await withPage(context, 'download', async (page) => {
      await page.goto(`${server.origin}/recordings/${id}`);
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('link', { name: /^Download/ }).click(),
      ]);
      assert.equal(download.suggestedFilename(), (await user.recording(id)).filename);
      const chunks = [];
      for await (const chunk of await download.createReadStream()) chunks.push(chunk);
      assert.deepEqual(Buffer.concat(chunks), await user.download(id));
    });
    await context.close();
  });

  test('bytes that are no recording fail with a reason and can be deleted', async () => {
    const user = await admin.newUser('texter');
    const id = await user.upload(Buffer.from('This is no video.\n'.repeat(1_000)), { filename: 'notes.txt' });
    const context = await signedIn(browser, server.origin, user);
    await withPage(context, 'failed recording', async (page) => {
      await page.goto(`${server.origin}/recordings`);
      const row = page.getByRole('row').filter({ has: page.locator(`a[href="/recordings/${id}"]`) });
      await row.getByText('Failed').waitFor();
      const recording = await user.recording(id);
      assert.match(recording.failure, /^[A-Z].*\.$/);
      await row.getByText(recording.failure).waitFor();
      assert.equal((await user.fetch(`/api/recordings/${id}/download`)).status, 409);
      await assertAccessible(page, 'failed recording');
      await row.getByRole('button', { name: /^Delete/ }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
      await page.getByText('No recordings', { exact: true }).waitFor();
    });
    await context.close();
  });

  test('every page has no serious accessibility violation and fits 375 px, in light and dark', async () => {
    const user = await admin.newUser('reader');
    const id = await user.upload(await sampleWebm(2));
    await untilReady(user, id, 10_000);
    const narrow = { viewport: { width: 375, height: 740 } };

    const stranger = await browser.newContext(narrow);
    await withPage(stranger, 'sign-in page', async (page) => {
      await page.goto(server.origin);
      await page.getByLabel('User name').waitFor();
      await assertAccessible(page, 'sign-in');
      await assertFits(page, 'sign-in');
      // The description of the API does not need a sign-in.
      await page.goto(`${server.origin}/api/docs`);
      await page.getByRole('heading', { level: 1 }).waitFor();
      await assertAccessible(page, 'API');
      await assertFits(page, 'API');
    });
    await stranger.close();

    for (const options of [{}, narrow]) {
      const context = await signedIn(browser, server.origin, user, options);
      const pages = { '/': 'record', '/recordings': 'list', [`/recordings/${id}`]: 'player', '/nowhere': 'not found' };
      for (const [path, name] of Object.entries(pages)) {
        await withPage(context, name, async (page) => {
          await page.goto(server.origin + path);
          await page.getByRole('heading', { level: 1 }).waitFor();
          if (name === 'list') await page.getByText('Ready').waitFor();
          await assertAccessible(page, name);
          await assertFits(page, name);
          assert.match(await page.title(), /\S.* · Sortie Recording/);
        });
      }
      await context.close();
    }
  });

  test('pages have a strict content security policy and comply with it', async () => {
    const context = await browser.newContext();
    await withPage(context, 'security policy', async (page) => {
      const violations = [];
      page.on('console', (message) => {
        if (/content security policy/i.test(message.text())) violations.push(message.text());
      });
      const response = await page.goto(server.origin);
      const policy = response.headers()['content-security-policy'] ?? '';
      assert.match(policy, /default-src|script-src/);
      assert.doesNotMatch(policy, /'unsafe-inline'|'unsafe-eval'/);
      await page.getByLabel('User name').waitFor();
      assert.deepEqual(violations, []);
    });
    await context.close();
  });
});

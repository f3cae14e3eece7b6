// Sign-ins: users list and end their own, administrators those of others; recordings of a deleted user.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Api } from './support/api.mjs';
import { assertAccessible, assertFits } from './support/axe.mjs';
import { launch, withPage } from './support/browser.mjs';
import { sampleWebm } from './support/media.mjs';
import { untilReady } from './support/assertions.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

describe('sign-ins', { timeout: 600_000 }, () => {
  let server, browser, admin;

  before(async () => {
    server = await Server.start();
    browser = await launch();
    admin = await Api.signIn(server.origin);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  test('a user lists and ends their sign-ins', async () => {
    const user = await admin.newUser('traveller');
    const context = await signedIn(browser, server.origin, user);
    const other = await signedIn(browser, server.origin, user);
    await withPage(context, 'own sign-ins', async (page) => {
      await page.goto(server.origin);
      await page.getByRole('button', { name: 'User menu' }).click();
      await page.getByRole('link', { name: 'Sign-ins' }).click();
      await page.getByRole('heading', { name: 'Sign-ins', exact: true }).waitFor();
      const rows = page.getByRole('table', { name: 'Signed in' }).getByRole('row');
      // Heading, this browser, the other browser, and this test's API client.
      await rows.nth(3).waitFor();
      assert.equal(await rows.count(), 4);
      await rows.filter({ hasText: 'This browser' }).getByText('Chrome on Linux').waitFor();
      assert.equal(await rows.filter({ hasText: 'This browser' }).getByRole('button').count(), 0);
      await page.getByRole('heading', { name: 'API tokens' }).waitFor();
      await assertAccessible(page, 'sign-ins');
      await page.setViewportSize({ width: 375, height: 740 });
      await assertFits(page, 'sign-ins');
      await page.setViewportSize({ width: 1280, height: 720 });

      await rows.filter({ hasText: 'Chrome on Linux' }).getByRole('button', { name: 'End the sign-in of Chrome on Linux' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'End sign-in' }).click();
      await rows.nth(3).waitFor({ state: 'detached' });
      await page.getByRole('button', { name: 'End all others' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'End all others' }).click();
      await rows.nth(2).waitFor({ state: 'detached' });
      assert.equal((await user.fetch('/api/auth/me')).status, 401);
    });
    await withPage(other, 'ended sign-in', async (page) => {
      await page.goto(`${server.origin}/recordings`);
      await page.getByLabel('User name').waitFor();
    });
    await context.close();
    await other.close();
  });

  test('an administrator ends the sign-ins of a user', async () => {
    const user = await admin.newUser('left the office');
    const context = await signedIn(browser, server.origin);
    await withPage(context, 'sign-ins of a user', async (page) => {
      await page.goto(`${server.origin}/admin/users`);
      await page.getByRole('button', { name: 'Edit left the office' }).click();
      const dialog = page.getByRole('dialog', { name: 'Edit left the office' });
      await dialog.getByRole('button', { name: 'End all sign-ins' }).click();
      await dialog.getByText('Not signed in anywhere').waitFor();
      await assertAccessible(page, 'sign-ins of a user');
      assert.equal((await user.fetch('/api/auth/me')).status, 401);
    });
    await context.close();
  });

  test('deleting a user counts their recordings and asks what to do with them', async () => {
    const bytes = await sampleWebm(1);
    const users = {};
    for (const fate of ['keep', 'transfer', 'delete']) {
      const user = await admin.newUser(`has ${fate}`);
      const id = await user.upload(bytes);
      await untilReady(user, id, 10_000);
      users[fate] = id;
    }
    const context = await signedIn(browser, server.origin);
    await withPage(context, 'delete a user', async (page) => {
      await page.goto(`${server.origin}/admin/users`);
      for (const [fate, choice, action] of [
        ['keep', /^Keep them/, 'Delete'],
        ['transfer', 'Transfer them to me', 'Delete'],
        ['delete', 'Delete them permanently', 'Delete user and recordings'],
      ]) {
        await page.getByRole('button', { name: `Delete has ${fate}`, exact: true }).click();
        const dialog = page.getByRole('dialog', { name: 'Delete this user?' });
        await dialog.getByText('They have 1 recording.').waitFor();
        await dialog.getByLabel(choice).check();
        if (fate === 'delete') await assertAccessible(page, 'delete a user');
        await dialog.getByRole('button', { name: action, exact: true }).click();
        await dialog.waitFor({ state: 'hidden' });
        await page.getByRole('button', { name: `Delete has ${fate}`, exact: true }).waitFor({ state: 'detached' });
      }
      const left = await (await admin.fetch('/api/admin/recordings')).json();
      const owner = (id) => left.find((it) => it.id === id)?.user_id;
      const me = await (await admin.fetch('/api/auth/me')).json();
      assert.ok(owner(users.keep) && owner(users.keep) !== me.id);
      assert.equal(owner(users.transfer), me.id);
      assert.equal(owner(users.delete), undefined);
    });
    await context.close();
  });
});

// Every dialog by keyboard: it is accessible, fits a phone, closes on Escape and restores the focus.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Api } from './support/api.mjs';
import { assertAccessible, assertFits } from './support/axe.mjs';
import { launch, withPage } from './support/browser.mjs';
import { pressUntilFocused } from './support/keyboard.mjs';
import { sampleWebm } from './support/media.mjs';
import { untilReady } from './support/assertions.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

const NARROW = { viewport: { width: 375, height: 740 } };

describe('dialogs', { timeout: 600_000 }, () => {
  let server, browser, recording;

  before(async () => {
    server = await Server.start();
    browser = await launch();
    const admin = await Api.signIn(server.origin);
    await admin.newUser('bob');
    await admin.post('/api/tokens', { name: 'agent', scopes: ['read'] });
    const id = await admin.upload(await sampleWebm(1));
    await untilReady(admin, id, 10_000);
    recording = (await admin.recording(id)).filename;
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  const dialogs = () => [
    ['/admin/users', 'Add user', 'Add user'],
    ['/admin/users', 'Edit bob', 'Edit bob'],
    ['/admin/users', 'Delete bob', 'Delete this user?'],
    ['/account/tokens', 'Create token', 'Create token'],
    ['/account/tokens', 'Revoke agent', 'Revoke this token?'],
    ['/recordings', `Delete ${recording}`, 'Delete this recording?'],
  ];

  for (const [size, options] of [['a desk', {}], ['a telephone', NARROW]]) {
    test(`on ${size}`, async () => {
      const context = await signedIn(browser, server.origin, undefined, options);
      for (const [path, opener, heading] of dialogs()) {
        await withPage(context, `dialog ${heading}`, async (page) => {
          await page.goto(server.origin + path);
          const button = page.getByRole('button', { name: opener, exact: true });
          await button.waitFor();
          await button.focus();
          await page.keyboard.press('Enter');
          const dialog = page.getByRole('dialog', { name: heading });
          await dialog.waitFor();
          assert.ok(await dialog.evaluate((it) => it.contains(document.activeElement)), 'the focus is elsewhere');
          await assertAccessible(page, heading);
          await assertFits(page, heading);
          // Tab never reaches the page behind the dialog.
          for (let i = 0; i < 12; i += 1) {
            await page.keyboard.press('Tab');
            assert.ok(await dialog.evaluate((it) => document.activeElement === document.body
              || it.contains(document.activeElement)), 'the page behind has the focus');
          }
          await page.keyboard.press('Escape');
          await dialog.waitFor({ state: 'hidden' });
          assert.ok(await button.evaluate((it) => it === document.activeElement), `${opener} has lost the focus`);
        });
      }
      await context.close();
    });
  }

  test('a user is added and their recordings are found without a mouse', async () => {
    const context = await signedIn(browser, server.origin);
    await withPage(context, 'admin by keyboard', async (page) => {
      await page.goto(server.origin);
      await page.getByRole('button', { name: 'User menu' }).waitFor();
      await pressUntilFocused(page, 'Tab', /^User menu$/);
      await page.keyboard.press('Enter');
      await pressUntilFocused(page, 'Tab', /^Admin Panel$/);
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'Admin Settings' }).waitFor();
      await pressUntilFocused(page, 'Tab', /^Settings$/);
      await pressUntilFocused(page, 'ArrowRight', /^Users$/);
      await page.getByRole('heading', { name: 'Users' }).waitFor();
      await pressUntilFocused(page, 'Tab', /^Add user$/);
      await page.keyboard.press('Enter');
      await page.getByRole('dialog').waitFor();
      await pressUntilFocused(page, 'Tab', /^User name$/);
      await page.keyboard.type('carol');
      await pressUntilFocused(page, 'Tab', /^Password$/);
      await page.keyboard.type('a password of carol');
      await page.keyboard.press('Enter');
      await page.getByRole('row').filter({ hasText: 'carol' }).waitFor();
      await page.waitForFunction(() => document.activeElement?.textContent === 'Add user');
      await pressUntilFocused(page, 'Shift+Tab', /^Users$/);
      await pressUntilFocused(page, 'ArrowLeft', /^Recordings$/);
      await page.getByRole('heading', { name: 'All Recordings' }).waitFor();
      await pressUntilFocused(page, 'Tab', /^Search$/);
      await page.keyboard.type('carol');
      await page.keyboard.press('Enter');
      await page.getByText('No recordings found', { exact: true }).waitFor();
      await pressUntilFocused(page, 'Tab', /^(Clear filters|Show all)$/);
      await page.keyboard.press('Enter');
      await page.getByRole('row').filter({ hasText: 'admin' }).waitFor();
    });
    await context.close();
  });
});

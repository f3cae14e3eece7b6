// The trash: a deletion can be undone, restored later, and made final.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Api } from './support/api.mjs';
import { assertAccessible } from './support/axe.mjs';
import { launch, withPage } from './support/browser.mjs';
import { artifactsDir } from './support/artifacts.mjs';
import { untilReady } from './support/assertions.mjs';
import { sampleWebm } from './support/media.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

describe('trash', { timeout: 300_000 }, () => {
  let server, browser, admin, bytes;

  before(async () => {
    server = await Server.start({ SORTIE_TRASH_DAYS: '30' });
    browser = await launch();
    admin = await Api.signIn(server.origin);
    bytes = await sampleWebm(1);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  /** Runs `action` with the list of a new user who has recordings of these names. */
  async function inListOf(username, filenames, action) {
    const user = await admin.newUser(username);
    const ids = [];
    for (const filename of filenames) ids.push(await user.upload(bytes, { filename }));
    for (const id of ids) await untilReady(user, id, 20_000);
    const context = await signedIn(browser, server.origin, user, { viewport: { width: 1280, height: 800 } });
    await withPage(context, `trash ${username}`, async (page) => {
      await page.goto(`${server.origin}/recordings`);
      await action(page, ids, user);
    });
    await context.close();
  }

  const rowOf = (page, id) => page.getByRole('row').filter({ has: page.locator(`a[href="/recordings/${id}"]`) });
  const statusOf = async (user, id) => (await (await user.fetch(`/api/recordings/${id}`)).json()).status;

  test('a deletion asks nothing and can be undone', async () => {
    await inListOf('undoer', ['one.webm', 'two.webm'], async (page, [one, two], user) => {
      await rowOf(page, one).hover();
      await page.getByRole('button', { name: 'Delete one.webm' }).click();
      await page.getByText('Recording moved to the trash').waitFor();
      await rowOf(page, one).waitFor({ state: 'detached' });
      assert.equal(await statusOf(user, one), 'trashed');
      await page.screenshot({ path: join(artifactsDir, 'trash-undo.png') });
      await assertAccessible(page, 'undo');
      await page.getByRole('button', { name: 'Undo' }).click();
      await rowOf(page, one).waitFor();
      assert.equal(await statusOf(user, one), 'ready');
      await page.getByText('Recording moved to the trash').waitFor({ state: 'hidden' });

      // Several, by the keyboard.
      await page.getByRole('checkbox', { name: 'Select all on this page' }).check();
      await page.keyboard.press('#');
      await page.getByText('2 recordings moved to the trash').waitFor();
      await rowOf(page, two).waitFor({ state: 'detached' });
      await page.getByRole('button', { name: 'Undo' }).click();
      await rowOf(page, two).waitFor();
      await rowOf(page, one).waitFor();
    });
  });

  test('the trash lists recordings, restores them and deletes them for good after a question', async () => {
    await inListOf('tidy', ['one.webm', 'two.webm', 'three.webm'], async (page, [one, two, three], user) => {
      await page.getByRole('checkbox', { name: 'Select all on this page' }).check();
      await page.getByRole('button', { name: 'Delete selected' }).click();
      await page.getByText('3 recordings moved to the trash').waitFor();
      await page.getByLabel('Status', { exact: true }).selectOption('trashed');
      await page.getByText('In the trash', { exact: true }).first().waitFor();
      await page.getByText(/^until /).first().waitFor();
      await page.screenshot({ path: join(artifactsDir, 'trash.png') });
      await assertAccessible(page, 'trash');
      await rowOf(page, one).hover();
      await page.getByRole('button', { name: 'Restore one.webm' }).click();
      await rowOf(page, one).waitFor({ state: 'detached' });
      assert.equal(await statusOf(user, one), 'ready');

      await rowOf(page, two).hover();
      await page.getByRole('button', { name: 'Delete two.webm' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByText('will be permanently deleted').waitFor();
      await dialog.getByRole('button', { name: 'Delete', exact: true }).click();
      await rowOf(page, two).waitFor({ state: 'detached' });
      assert.equal((await user.fetch(`/api/recordings/${two}`)).status, 404);

      // The player offers to restore it.
      await page.getByRole('link', { name: 'three.webm' }).click();
      await page.getByText('This recording is in the trash. Restore it to watch it.').waitFor();
      await assertAccessible(page, 'trashed recording');
      await page.getByRole('button', { name: 'Restore' }).click();
      await page.locator('video').waitFor();
      assert.equal(await statusOf(user, three), 'ready');
    });
  });

  test('a deletion in another window removes the row', async () => {
    await inListOf('observer', ['one.webm'], async (page, [one], user) => {
      await rowOf(page, one).waitFor();
      await user.fetch(`/api/recordings/${one}`, { method: 'DELETE' });
      await rowOf(page, one).waitFor({ state: 'detached' });
    });
  });
});

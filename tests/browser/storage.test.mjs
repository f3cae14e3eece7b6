// The Storage tab: what takes up room, and what goes by itself. The disk counts as too full here, whatever is on it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Api } from './support/api.mjs';
import { assertAccessible, assertFits } from './support/axe.mjs';
import { launch, withPage } from './support/browser.mjs';
import { sampleWebm } from './support/media.mjs';
import { untilReady } from './support/proof.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

const NARROW = { viewport: { width: 375, height: 740 } };

describe('Storage', { timeout: 300_000 }, () => {
  let server, browser, admin, owner;
  const ids = [];

  const protect = async (id, isProtected) => {
    const answer = await owner.fetch(`/api/recordings/${id}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ protected: isProtected }),
    });
    assert.equal(answer.status, 200);
  };

  // The disk is looked at every minute, and what is due then goes by itself.
  const rightAfterALook = async () => {
    for (;;) {
      const { next_run_at: next } = await (await admin.fetch('/api/admin/retention')).json();
      if (Date.parse(next) - Date.now() > 45_000) return;
      await wait(500);
    }
  };

  before(async () => {
    server = await Server.start({
      SORTIE_RECORDING_DISK_HIGH_PERCENT: '1',
      SORTIE_RECORDING_DISK_LOW_PERCENT: '0',
    });
    browser = await launch();
    admin = await Api.signIn(server.origin);
    owner = await admin.newUser('owner');
    const bytes = await sampleWebm(1);
    for (let i = 0; i < 3; i += 1) {
      const id = await owner.upload(bytes);
      ids.push(id);
      await protect(id, true);
      await untilReady(owner, id, 10_000);
    }
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  test('it shows what is used, by whom and since when', async () => {
    for (const options of [{}, NARROW]) {
      const context = await signedIn(browser, server.origin, undefined, options);
      await withPage(context, 'storage', async (page) => {
        await page.goto(`${server.origin}/admin/storage`);
        await page.getByText(/% of .* in use\./).waitFor();
        await page.getByText('The oldest go above 1 %.').waitFor();
        await page.getByRole('link', { name: '3 Ready' }).waitFor();
        await page.getByRole('img', { name: /^Recorded per day/ }).waitFor();
        await page.getByText('As a table').click();
        const day = page.getByRole('table', { name: 'Recorded per day' }).getByRole('row').last();
        await day.getByRole('cell', { name: /\b3$/ }).waitFor();
        await page.getByText('When the disk is more than 1 % full, the oldest go until it is 0 % full.').waitFor();
        await page.getByText('Nothing to clean up').waitFor();
        await assertAccessible(page, 'storage');
        await assertFits(page, 'storage');
        await page.getByRole('table', { name: 'By user' }).getByRole('link', { name: 'owner' }).click();
        await page.waitForURL(/\/admin\/recordings\?user_id=/);
        await page.locator(`a[href="/recordings/${ids[0]}"]`).waitFor();
      });
      await context.close();
    }
  });

  test('Clean Up asks first, deletes what was shown, and keeps what is protected', async () => {
    const context = await signedIn(browser, server.origin);
    await withPage(context, 'clean up', async (page) => {
      await rightAfterALook();
      for (const id of ids.slice(1)) await protect(id, false);
      await page.goto(`${server.origin}/admin/storage`);
      const button = page.getByRole('button', { name: 'Clean Up Storage' });
      const dialog = page.getByRole('dialog');
      await page.getByText(/^2 recordings, /).waitFor();
      const next = page.getByRole('table', { name: 'Next clean-up' }).getByRole('row');
      assert.equal(await next.count(), 3);
      // The oldest that is not protected is the first to go.
      await next.nth(1).locator(`a[href="/recordings/${ids[1]}"]`).waitFor();

      await button.click();
      await dialog.getByText('Clean up the storage?').waitFor();
      await dialog.getByRole('button', { name: 'Cancel' }).click();
      await dialog.waitFor({ state: 'hidden' });
      assert.ok(await button.evaluate((it) => it === document.activeElement), 'the focus is lost');
      assert.equal((await owner.recordings()).length, 3);

      await button.click();
      await dialog.getByText(/^2 recordings, /).waitFor();
      await dialog.getByRole('button', { name: 'Clean Up' }).click();
      await page.getByRole('status').getByText(/^2 deleted, .* freed\.$/).waitFor();
      await page.getByText('Nothing to clean up').waitFor();
      await page.waitForFunction(() => document.activeElement?.id === 'next-heading');
      assert.deepEqual((await owner.recordings()).map((it) => it.id), [ids[0]]);
      await assertAccessible(page, 'after a clean-up');
    });
    await context.close();
  });
});

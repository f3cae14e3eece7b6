// The Storage tab: usage, clean-up, quotas and the clock notice. The threshold makes every disk count as too full.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Api } from './support/api.mjs';
import { assertAccessible, assertFits } from './support/axe.mjs';
import { launch, withPage } from './support/browser.mjs';
import { fakeClock, setClock } from './support/fake-clock.mjs';
import { sampleWebm } from './support/media.mjs';
import { untilReady } from './support/assertions.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

const NARROW = { viewport: { width: 375, height: 740 } };

/** Waits until the next automatic clean-up, which runs every minute, is not imminent. */
async function untilNoCleanUpIsNear(admin) {
  for (;;) {
    const { next_run_at: next } = await (await admin.fetch('/api/admin/retention')).json();
    if (Date.parse(next) - Date.now() > 45_000) return;
    await wait(500);
  }
}

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

  test('it shows usage by user and by day', async () => {
    for (const options of [{}, NARROW]) {
      const context = await signedIn(browser, server.origin, undefined, options);
      await withPage(context, 'storage', async (page) => {
        await page.goto(`${server.origin}/admin/storage`);
        await page.getByText(/% of .* in use\./).waitFor();
        await page.getByText('Above 1 %, the oldest recordings are deleted.').waitFor();
        await page.getByRole('link', { name: '3 Ready' }).waitFor();
        await page.getByRole('img', { name: /^Recorded per day/ }).waitFor();
        await page.getByText('As a table').click();
        const day = page.getByRole('table', { name: 'Recorded per day' }).getByRole('row').last();
        await day.locator('[data-label="Recordings"]', { hasText: /^3$/ }).waitFor();
        await page.getByText('When the disk is more than 1 % full, the oldest recordings are deleted until it is 0 % full.').waitFor();
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

  test('Clean Up asks first, deletes the candidates and keeps protected recordings', async () => {
    const context = await signedIn(browser, server.origin);
    await withPage(context, 'clean up', async (page) => {
      await untilNoCleanUpIsNear(admin);
      for (const id of ids.slice(1)) await protect(id, false);
      await page.goto(`${server.origin}/admin/storage`);
      const button = page.getByRole('button', { name: 'Clean Up Storage' });
      const dialog = page.getByRole('dialog');
      await page.getByText(/^2 recordings, /).waitFor();
      const next = page.getByRole('table', { name: 'Next clean-up' }).getByRole('row');
      assert.equal(await next.count(), 3);
      // The oldest recording that is not protected is the first candidate.
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

describe('Quotas', { timeout: 180_000 }, () => {
  let server, browser, user, rows = 0;

  before(async () => {
    server = await Server.start({ SORTIE_QUOTA_MB_PER_USER: '1', SORTIE_QUOTA_PROTECTED_MB_PER_USER: '1' });
    browser = await launch();
    user = await (await Api.signIn(server.origin)).newUser('limited');
    const bytes = await sampleWebm(1);
    const usage = async () => (await user.fetch('/api/storage/usage')).json();
    for (let now = await usage(); now.bytes < now.quota_bytes * 0.92; now = await usage()) {
      await untilReady(user, await user.upload(bytes), 10_000);
      rows += 1;
    }
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  test('the list shows the own usage and marks a quota that is almost used up', async () => {
    for (const options of [{}, NARROW]) {
      const context = await signedIn(browser, server.origin, user, options);
      await withPage(context, `quota at ${options.viewport?.width ?? 1280} px`, async (page) => {
        await page.goto(`${server.origin}/recordings`);
        const quota = page.getByRole('region', { name: 'Your quota' });
        await quota.getByText(/^Recordings: (9\d\d kB|1\.0 MB) of 1\.0 MB \(9\d %\)$/).waitFor();
        await quota.getByText('Protected recordings: 0 bytes of 1.0 MB (0 %)').waitFor();
        await quota.getByText('0 of 32 uploads open').waitFor();
        const marked = await quota.locator('svg').evaluateAll((bars) => bars.map((it) => it.classList.contains('share-worrying')));
        assert.deepEqual(marked, [true, false]);
        await assertAccessible(page, 'quota');
        await assertFits(page, 'quota');
      });
      await context.close();
    }
  });

  test('the usage follows protection and deletion', async () => {
    const [{ id }] = await user.recordings();
    const answer = await user.fetch(`/api/recordings/${id}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ protected: true }),
    });
    assert.equal(answer.status, 200);
    const context = await signedIn(browser, server.origin, user);
    await withPage(context, 'quota after a change', async (page) => {
      await page.goto(`${server.origin}/recordings`);
      const quota = page.getByRole('region', { name: 'Your quota' });
      await quota.getByText(/^Protected recordings: \d+ kB of/).waitFor();
      assert.equal((await user.fetch(`/api/recordings/${id}`, { method: 'DELETE' })).status, 204);
      await page.reload();
      await quota.getByText('Protected recordings: 0 bytes of 1.0 MB (0 %)').waitFor();
      assert.equal((await user.recordings()).length, rows - 1);
    });
    await context.close();
  });

  test('the Storage tab shows the own usage of the administrator', async () => {
    const context = await signedIn(browser, server.origin);
    await withPage(context, 'quota in Storage', async (page) => {
      await page.goto(`${server.origin}/admin/storage`);
      const quota = page.getByRole('region', { name: 'Your quota' });
      await quota.getByText('Recordings: 0 bytes of 1.0 MB (0 %)', { exact: true }).waitFor();
      await page.getByRole('table', { name: 'By user' }).getByRole('link', { name: 'limited' }).waitFor();
      await assertAccessible(page, 'quota in Storage');
    });
    await context.close();
  });
});

describe('Storage of a server whose clock is wrong', { timeout: 180_000 }, () => {
  let server, browser, clock, api;

  // The clock is first twenty years behind, where no recording can be that old, then right.
  before(async () => {
    clock = join(await mkdtemp(join(tmpdir(), 'sortie-clock-')), 'offset');
    setClock(clock, '-20y');
    server = await Server.start({ SORTIE_RECORDING_RETENTION_DAYS: '30', ...fakeClock(clock) });
    browser = await launch();
    api = await Api.signIn(server.origin);
    await untilReady(api, await api.upload(await sampleWebm(1)), 10_000);
    await server.stop();
    setClock(clock, '+0');
    await server.restart();
    api = await Api.signIn(server.origin);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
    await rm(dirname(clock), { recursive: true, force: true });
  });

  const open = async (title, action) => {
    const context = await signedIn(browser, server.origin);
    await withPage(context, title, async (page) => {
      await page.goto(`${server.origin}/admin/storage`);
      await action(page);
    });
    await context.close();
  };
  const preview = async () => (await api.fetch('/api/admin/retention')).json();

  test('a recording with an impossible creation time is kept until an administrator allows its deletion', async () => {
    await untilNoCleanUpIsNear(api);
    await open('undated recording', async (page) => {
      await page.getByText('1 recording has an impossible creation time and is kept.').waitFor();
      await page.getByText('Nothing to clean up').waitFor();
      await assertAccessible(page, 'undated recording');
      await page.getByRole('button', { name: 'Allow their deletion' }).click();
      await page.getByText(/^1 recording, /).waitFor();
      await page.getByText(/impossible creation time/).waitFor({ state: 'hidden' });
      assert.ok(await page.evaluate(() => document.activeElement?.id === 'next-heading'), 'the focus is lost');
    });
    const { undated, due } = await preview();
    assert.deepEqual([undated, due.count], [0, 1]);
  });

  test('a clock 400 days ahead pauses deletion until an administrator confirms it', async () => {
    setClock(clock, '+400d');
    api = await Api.signIn(server.origin);
    while ((await preview()).hold?.doubt !== 'ahead') await wait(100);
    await open('clock ahead', async (page) => {
      const notice = page.getByRole('alert').filter({ hasText: 'Automatic deletion is paused.' });
      await notice.getByText(/The server's clock is 400 days ahead of the time it should show/).waitFor();
      await assertAccessible(page, 'clock ahead');
      await assertFits(page, 'clock ahead');
      await notice.getByRole('button', { name: 'The clock is right' }).click();
      await notice.waitFor({ state: 'hidden' });
      assert.ok(await page.evaluate(() => document.activeElement?.id === 'next-heading'), 'the focus is lost');
    });
    assert.equal((await preview()).hold, undefined);
  });
});

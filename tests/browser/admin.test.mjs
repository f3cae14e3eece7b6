// The Admin Panel.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Api } from './support/api.mjs';
import { assertAccessible, assertFits } from './support/axe.mjs';
import { launch, withPage } from './support/browser.mjs';
import { sampleWebm } from './support/media.mjs';
import { untilReady } from './support/assertions.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

const NARROW = { viewport: { width: 375, height: 740 } };

describe('Admin Panel', { timeout: 600_000 }, () => {
  let server, browser, admin, context, bytes, examinee, exam;

  before(async () => {
    server = await Server.start({ SORTIE_RECORDING_MISSING_SECONDS: '20' });
    browser = await launch();
    admin = await Api.signIn(server.origin);
    // Its recording is missing 20 s later, while other tests run.
    examinee = await admin.newUser('examinee');
    const body = { app_id: 'exam', recording: 'required', external_id: 'exam-7', metadata: { course: 'biology' } };
    exam = (await (await examinee.post('/api/sessions', body)).json()).id;
    context = await signedIn(browser, server.origin);
    bytes = await sampleWebm(1);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  const rowOf = (page, id) => page.getByRole('row').filter({ has: page.locator(`a[href="/recordings/${id}"]`) });

  test('the user menu leads administrators to the panel, which opens on Settings', async () => {
    await withPage(context, 'admin settings', async (page) => {
      await page.goto(server.origin);
      await page.getByRole('button', { name: 'User menu' }).click();
      await page.getByRole('link', { name: 'Admin Panel' }).click();
      await page.getByRole('heading', { name: 'Admin Settings' }).waitFor();
      assert.equal(await page.getByRole('tab', { name: 'Settings' }).getAttribute('aria-selected'), 'true');

      const box = page.getByLabel('Auto-record sessions');
      assert.equal(await box.isChecked(), false);
      await page.getByText('When enabled, recording starts automatically for all new sessions', { exact: true }).waitFor();
      await assertAccessible(page, 'admin settings');
      for (const value of [true, false]) {
        await box.setChecked(value);
        await page.getByRole('button', { name: 'Save Settings' }).click();
        await page.getByText('Settings saved successfully', { exact: true }).waitFor();
        const settings = await (await admin.fetch('/api/admin/settings')).json();
        assert.equal(settings.recording_auto_record, String(value));
      }
      await page.reload();
      assert.equal(await page.getByLabel('Auto-record sessions').isChecked(), false);
    });
  });

  test('changes of another administrator appear, unsaved choices stay', async () => {
    const set = async (value) => {
      const answer = await admin.fetch('/api/admin/settings', {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ recording_auto_record: value }),
      });
      assert.equal(answer.status, 204);
    };
    await withPage(context, 'live settings', async (page) => {
      const [stream] = await Promise.all([
        page.waitForResponse((it) => new URL(it.url()).pathname === '/api/events'),
        page.goto(`${server.origin}/admin/settings`),
      ]);
      assert.equal(stream.status(), 200);
      const box = page.getByLabel('Auto-record sessions');
      await box.waitFor();
      await set('true');
      await page.getByRole('status').getByText('Turned on by another administrator').waitFor();
      assert.equal(await box.isChecked(), true);
      // An unsaved choice survives changes by others.
      await box.uncheck();
      await box.check();
      await set('false');
      await page.getByRole('status').getByText('Turned off by another administrator').waitFor();
      assert.equal(await box.isChecked(), true);
      await page.getByRole('button', { name: 'Save Settings' }).click();
      await page.getByText('Settings saved successfully', { exact: true }).waitFor();
      assert.equal((await (await admin.fetch('/api/admin/settings')).json()).recording_auto_record, 'true');
      await set('false');
      await page.getByRole('status').getByText('Turned off by another administrator').waitFor();
      assert.equal(await box.isChecked(), false);
    });
  });

  test('arrow keys move between tabs', async () => {
    await withPage(context, 'admin tabs', async (page) => {
      await page.goto(`${server.origin}/admin`);
      await page.getByRole('tab', { name: 'Settings' }).focus();
      await page.keyboard.press('ArrowRight');
      await page.waitForURL(`${server.origin}/admin/recordings`);
      await page.getByRole('heading', { name: 'All Recordings' }).waitFor();
      const focused = await page.evaluate(() => document.activeElement.textContent);
      assert.equal(focused, 'Recordings');
      await page.keyboard.press('Home');
      await page.waitForURL(`${server.origin}/admin/settings`);
      await page.goBack();
      await page.getByRole('heading', { name: 'All Recordings' }).waitFor();
    });
  });

  test('Sessions: a required recording that is missing is marked with text and time', async () => {
    await examinee.post('/api/sessions', { app_id: 'lesson' });
    const isMissing = async () => (await (await examinee.fetch(`/api/sessions/${exam}`)).json()).recording_missing_since;
    for (let tries = 0; tries < 120 && !(await isMissing()); tries += 1) await wait(500);
    await withPage(context, 'sessions', async (page) => {
      await page.goto(`${server.origin}/admin/sessions`);
      const row = page.getByRole('row').filter({ hasText: 'exam-7' });
      await row.getByText('Recording missing', { exact: true }).waitFor();
      assert.equal(await page.getByText('Recording missing', { exact: true }).count(), 1);
      await assertAccessible(page, 'sessions');
      const missing = await row.getByText('Recording missing', { exact: true }).evaluate((it) => getComputedStyle(it).color);
      const other = await row.getByText('Running', { exact: true }).evaluate((it) => getComputedStyle(it).color);
      assert.notEqual(missing, other);
      // The filters find it, and nothing else.
      await page.getByLabel('Metadata').fill('course=biology');
      await page.getByLabel('Metadata').press('Enter');
      await page.getByRole('row').filter({ hasText: 'lesson' }).waitFor({ state: 'detached' });
      await row.waitFor();
      await page.getByLabel('External ID').fill('exam-8');
      await page.getByLabel('External ID').press('Enter');
      await page.getByText('No sessions found').waitFor();
    });
  });

  test('Sessions: rows follow changes, and the name leads to the user', async () => {
    const user = await admin.newUser('lecturer');
    await withPage(context, 'sessions change', async (page) => {
      await page.goto(`${server.origin}/admin/sessions`);
      await page.getByRole('table').waitFor();
      const { id } = await (await user.post('/api/sessions', { app_id: 'lecture' })).json();
      const row = page.getByRole('row').filter({ hasText: id });
      await row.getByText('Running', { exact: true }).waitFor();
      assert.ok((await user.post(`/api/sessions/${id}/stop`)).ok);
      await row.getByText('Stopped', { exact: true }).waitFor();
      await row.getByRole('link', { name: 'lecturer' }).click();
      await page.waitForURL(`${server.origin}/admin/users?q=lecturer`);
      await page.getByRole('button', { name: 'Edit lecturer' }).waitFor();
      assert.equal(await page.getByRole('button', { name: /^Edit / }).count(), 1);
      await page.goBack();
      await row.waitFor();
      assert.equal((await user.fetch(`/api/sessions/${id}`, { method: 'DELETE' })).status, 204);
      await row.waitFor({ state: 'detached' });
    });
  });

  test('other users cannot see the panel', async () => {
    const user = await admin.newUser('curious');
    const theirs = await signedIn(browser, server.origin, user);
    await withPage(theirs, 'admin for nobody else', async (page) => {
      await page.goto(server.origin);
      await page.getByRole('button', { name: 'User menu' }).click();
      await page.getByRole('button', { name: 'Sign out' }).waitFor();
      assert.equal(await page.getByRole('link', { name: 'Admin Panel' }).count(), 0);
      await page.goto(`${server.origin}/admin/recordings`);
      await page.getByRole('heading', { name: 'For administrators only' }).waitFor();
    });
    await theirs.close();
  });

  test('All Recordings: search, protect, download, select and delete', async () => {
    const user = await admin.newUser('filmer');
    const ids = [];
    for (let i = 0; i < 3; i += 1) ids.push(await user.upload(bytes));
    const failed = await user.upload(Buffer.from('no video\n'.repeat(1_000)), { filename: 'notes.txt' });
    for (const id of ids) await untilReady(user, id, 10_000);

    await withPage(context, 'all recordings', async (page) => {
      await page.goto(`${server.origin}/admin/recordings`);
      for (const name of ['ID', 'Session', 'User', 'Duration', 'Size', 'Status']) {
        await page.getByRole('columnheader', { name, exact: true }).waitFor();
      }
      const row = rowOf(page, ids[0]);
      await row.getByText(ids[0]).waitFor();
      await row.getByText('filmer', { exact: true }).waitFor();
      await rowOf(page, failed).getByText('Failed', { exact: true }).waitFor();
      await assertAccessible(page, 'all recordings');

      await page.getByLabel('Status', { exact: true }).selectOption('failed');
      await row.waitFor({ state: 'detached' });
      await rowOf(page, failed).waitFor();
      assert.equal(new URL(page.url()).searchParams.get('status'), 'failed');
      await page.goBack();
      await row.waitFor();
      await page.getByLabel('Search').fill(ids[1]);
      await page.getByLabel('Search').press('Enter');
      await row.waitFor({ state: 'detached' });
      await rowOf(page, ids[1]).waitFor();
      await page.getByLabel('Search').fill('there is no such thing');
      await page.getByLabel('Search').press('Enter');
      await page.getByText('No recordings found', { exact: true }).waitFor();
      await assertAccessible(page, 'no recordings found');
      await page.getByRole('button', { name: 'Clear filters' }).click();
      const owner = page.getByLabel('User', { exact: true });
      await owner.fill('FIL');
      await page.locator('datalist option[value=filmer]').waitFor({ state: 'attached' });
      await page.locator('datalist option[value=admin]').waitFor({ state: 'detached' });
      await owner.fill('admin');
      await owner.press('Enter');
      await row.waitFor({ state: 'detached' });
      await owner.fill('filmer');
      await owner.press('Enter');
      await row.waitFor();
      await page.getByLabel('Date', { exact: true }).selectOption('range');
      await page.getByLabel('To', { exact: true }).fill('2020-01-01');
      await page.getByText('No recordings found', { exact: true }).waitFor();
      await page.getByRole('button', { name: 'Show all' }).click();
      await row.waitFor();

      await row.getByRole('button', { name: /^Protect/ }).click();
      await row.locator('[aria-pressed=true]').waitFor();
      assert.equal((await user.recording(ids[0])).protected, true);

      const [download] = await Promise.all([
        page.waitForEvent('download'),
        row.getByRole('link', { name: /^Download/ }).click(),
      ]);
      assert.equal(download.suggestedFilename(), (await user.recording(ids[0])).filename);

      for (const id of [ids[1], failed]) await rowOf(page, id).getByRole('checkbox').check();
      await page.getByText('2 selected', { exact: true }).waitFor();
      await page.getByRole('button', { name: 'Delete selected' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByText('Delete 2 recordings?').waitFor();
      await assertAccessible(page, 'delete several');
      await dialog.getByRole('button', { name: 'Delete' }).click();
      await rowOf(page, failed).waitFor({ state: 'detached' });
      await rowOf(page, ids[1]).waitFor({ state: 'detached' });
      assert.deepEqual((await user.recordings()).map((it) => it.id).sort(), [ids[0], ids[2]].sort());
    });
  });

  test('changes made elsewhere appear without a reload', async () => {
    const user = await admin.newUser('elsewhere');
    await withPage(context, 'live list', async (page) => {
      await page.goto(`${server.origin}/admin/recordings?q=elsewhere`);
      await page.getByText('No recordings found', { exact: true }).waitFor();
      const id = await user.upload(bytes);
      await rowOf(page, id).getByText('Ready', { exact: true }).waitFor();
      await user.fetch(`/api/recordings/${id}`, { method: 'DELETE' });
      await page.getByText('No recordings found', { exact: true }).waitFor();
    });
  });

  test('the page of a list is in the address and restored by Back', async () => {
    const user = await admin.newUser('prolific');
    const ids = [];
    for (let i = 0; i < 51; i += 1) ids.push(await user.upload(Buffer.from('no video\n')));
    await withPage(context, 'pages of a list', async (page) => {
      await page.goto(`${server.origin}/admin/recordings?q=prolific`);
      await rowOf(page, ids[50]).waitFor();
      assert.equal(await rowOf(page, ids[0]).count(), 0);
      await page.getByRole('link', { name: 'Next page' }).click();
      await rowOf(page, ids[0]).waitFor();
      assert.equal(await rowOf(page, ids[50]).count(), 0);
      await page.reload();
      await rowOf(page, ids[0]).waitFor();
      await page.goBack();
      await rowOf(page, ids[50]).waitFor();
      await page.goForward();
      await page.getByRole('link', { name: 'Previous page' }).click();
      await rowOf(page, ids[50]).waitFor();
      await page.getByText('1–50 of 51', { exact: true }).waitFor();
      await page.goBack();
      await page.getByText('51–51 of 51', { exact: true }).waitFor();
      await page.getByRole('link', { name: 'First page' }).click();
      await rowOf(page, ids[50]).waitFor();
      await page.getByLabel('Order').selectOption({ label: 'Oldest first' });
      await rowOf(page, ids[0]).waitFor();
    });
  });

  test('users are added, disabled and deleted', async () => {
    await withPage(context, 'users', async (page) => {
      await page.goto(`${server.origin}/admin/users`);
      const dialog = page.getByRole('dialog');
      const row = page.getByRole('row').filter({ hasText: 'bob' });
      await page.getByRole('button', { name: 'Add user' }).click();
      await dialog.getByLabel('User name').fill('bob');
      await dialog.getByLabel('Password').fill('short');
      await dialog.getByRole('button', { name: 'Add user' }).click();
      await dialog.getByRole('alert').getByText(/8/).waitFor();
      await dialog.getByLabel('Password').fill('a password of bob');
      await assertAccessible(page, 'add user');
      await dialog.getByRole('button', { name: 'Add user' }).click();
      await row.waitFor();
      await Api.signIn(server.origin, { username: 'bob', password: 'a password of bob' });

      await page.getByRole('button', { name: 'Edit bob' }).click();
      await dialog.getByLabel('Disabled').check();
      await dialog.getByRole('button', { name: 'Save' }).click();
      await row.getByText('Disabled', { exact: true }).waitFor();
      await page.waitForFunction(() => document.activeElement?.getAttribute('aria-label') === 'Edit bob');
      await assert.rejects(Api.signIn(server.origin, { username: 'bob', password: 'a password of bob' }));

      await page.getByRole('button', { name: 'Delete bob' }).click();
      await assertAccessible(page, 'delete user');
      await dialog.getByRole('button', { name: 'Delete' }).click();
      await row.waitFor({ state: 'detached' });
      await page.waitForFunction(() => document.activeElement?.textContent === 'Users');
    });
  });

  test('many users are paged and searchable', async () => {
    const hash = (number) => String(number).padStart(2, '0');
    const make = (number) => admin.post('/api/admin/users', {
      username: `many-${hash(number)}`, password: 'a password of many', email: `m${hash(number)}@example.org`,
    });
    for (let i = 0; i < 51; i += 1) assert.equal((await make(i)).status, 201);
    await withPage(context, 'many users', async (page) => {
      const row = (number) => page.getByRole('row').filter({ hasText: `many-${hash(number)}` });
      await page.goto(`${server.origin}/admin/users?q=many-`);
      await row(49).waitFor();
      assert.equal(await row(50).count(), 0);
      await page.getByRole('link', { name: 'Next page' }).click();
      await row(50).waitFor();
      assert.equal(await row(49).count(), 0);
      await page.goBack();
      await row(0).waitFor();
      await page.getByLabel('Search').fill('M07@EXAMPLE');
      await page.getByLabel('Search').press('Enter');
      await row(8).waitFor({ state: 'detached' });
      await row(7).waitFor();
      await page.getByLabel('Search').fill('nobody of that name');
      await page.getByLabel('Search').press('Enter');
      await page.getByText('No users found', { exact: true }).waitFor();
      await page.getByRole('button', { name: 'Show all' }).click();
      await page.getByRole('row').filter({ hasText: 'admin' }).first().waitFor();
    });
  });

  test('a token is shown once, works, and is revoked', async () => {
    await withPage(context, 'tokens', async (page) => {
      await page.goto(`${server.origin}/account/tokens`);
      const dialog = page.getByRole('dialog');
      await page.getByRole('button', { name: 'Create token' }).click();
      await dialog.getByLabel('Name').fill('agent');
      await dialog.getByRole('button', { name: 'Create token' }).click();
      const token = await dialog.getByText(/^sortie_/).innerText();
      await page.waitForFunction(() => document.activeElement?.textContent === 'Copy');
      await assertAccessible(page, 'new token');
      await context.grantPermissions(['clipboard-read', 'clipboard-write']);
      await dialog.getByRole('button', { name: 'Copy', exact: true }).click();
      await dialog.getByRole('button', { name: 'Copied', exact: true }).waitFor();
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), token);
      const list = () => fetch(`${server.origin}/api/recordings`, { headers: { authorization: `Bearer ${token}` } });
      assert.equal((await list()).status, 200);
      await dialog.getByRole('button', { name: 'Done' }).click();
      await page.getByRole('button', { name: 'Revoke agent' }).click();
      assert.equal(await page.getByText(token).count(), 0);
      await dialog.getByRole('button', { name: 'Revoke' }).click();
      await page.getByText('No tokens', { exact: true }).waitFor();
      await page.waitForFunction(() => document.activeElement?.textContent === 'API tokens');
      assert.equal((await list()).status, 401);
    });
  });

  test('the audit log is filtered, exported and verified', async () => {
    await withPage(context, 'audit', async (page) => {
      await page.goto(`${server.origin}/admin/audit`);
      await page.getByRole('button', { name: 'Verify the log' }).click();
      await page.getByText(/^Verified: all/).waitFor();
      await page.getByLabel('Action', { exact: true }).selectOption({ label: 'Settings changed' });
      await page.waitForURL(/action=settings\.change/);
      const cells = page.getByRole('table').getByRole('cell', { name: /settings\.change/ });
      await page.waitForFunction(() => document.querySelectorAll('tbody tr').length
        === [...document.querySelectorAll('code')].filter((it) => it.textContent === 'settings.change').length);
      const count = await cells.count();
      assert.ok(count > 0);
      const lines = async (name) => {
        const [download] = await Promise.all([
          page.waitForEvent('download'),
          page.getByRole('link', { name }).click(),
        ]);
        const chunks = [];
        for await (const chunk of await download.createReadStream()) chunks.push(chunk);
        return Buffer.concat(chunks).toString().trim().split('\n');
      };
      const rows = (await lines('Export JSON Lines')).map((line) => JSON.parse(line));
      assert.equal(rows.length, count);
      assert.deepEqual([...new Set(rows.map((it) => it.action))], ['settings.change']);
      const [head, ...table] = await lines('Export CSV');
      assert.match(head, /^seq,/);
      assert.equal(table.length, count);

      await page.getByLabel('Result', { exact: true }).selectOption({ label: 'Denied' });
      await page.getByText('No entries found', { exact: true }).waitFor();
      await page.getByRole('button', { name: 'Clear filters' }).click();
      await page.getByLabel('User', { exact: true }).fill('changer of nothing');
      await page.getByLabel('User', { exact: true }).press('Enter');
      await page.getByText('No entries found', { exact: true }).waitFor();
    });
  });

  test('a user changes their password', async () => {
    const user = await admin.newUser('changer');
    const theirs = await signedIn(browser, server.origin, user);
    await withPage(theirs, 'password', async (page) => {
      await page.goto(server.origin);
      await page.getByRole('button', { name: 'User menu' }).click();
      await page.getByRole('link', { name: 'Change password' }).click();
      await page.getByLabel('Current password').fill('wrong');
      await page.getByLabel('New password', { exact: true }).fill('another long password');
      await page.getByLabel('New password again').fill('another long password');
      await page.getByRole('button', { name: 'Change password' }).click();
      await page.getByText('The current password is wrong.').waitFor();
      await page.getByLabel('Current password').fill(user.password);
      await page.getByRole('button', { name: 'Change password' }).click();
      await page.getByText(/^Password changed/).waitFor();
    });
    await theirs.close();
    await Api.signIn(server.origin, { username: 'changer', password: 'another long password' });
  });

  test('every tab has no serious accessibility violation and fits 375 px, in light and dark', async () => {
    const user = await admin.newUser('someone with a rather long name');
    await untilReady(user, await user.upload(bytes), 10_000);
    for (const options of [{}, NARROW]) {
      const theirs = await signedIn(browser, server.origin, undefined, options);
      await withPage(theirs, 'admin tabs', async (page) => {
        await page.goto(`${server.origin}/admin`);
        await page.getByRole('tab').first().waitFor();
        const tabs = await page.getByRole('tab').evaluateAll((all) => all.map((it) => it.getAttribute('href')));
        assert.equal(tabs.length, 8);
        for (const path of tabs) {
          await page.goto(server.origin + path);
          await page.getByRole('tabpanel').getByRole('heading').first().waitFor();
          await page.waitForFunction(() => !document.querySelector('.skeleton'));
          await assertAccessible(page, path);
          await assertFits(page, path);
          assert.deepEqual(await page.getByRole('alert').filter({ hasText: /./ }).allInnerTexts(), []);
        }
      });
      await theirs.close();
    }
  });
});

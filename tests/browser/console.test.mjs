// No page violates the content security policy or writes to the console.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Api } from './support/api.mjs';
import { launch, withPage } from './support/browser.mjs';
import { collectComplaints } from './support/console.mjs';
import { sampleWebm } from './support/media.mjs';
import { untilReady } from './support/assertions.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

describe('console of all pages', { timeout: 180_000 }, () => {
  let server, browser, id;

  before(async () => {
    server = await Server.start();
    browser = await launch();
    const admin = await Api.signIn(server.origin);
    id = await admin.upload(await sampleWebm(1));
    await untilReady(admin, id, 10_000);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  test('a refused script is detected, so that the test can fail', async () => {
    const context = await browser.newContext();
    await withPage(context, 'a refused script', async (page) => {
      const complaints = await collectComplaints(page);
      await page.goto(server.origin);
      await page.getByLabel('User name').waitFor();
      await page.evaluate(() => {
        const script = document.createElement('script');
        script.textContent = 'window.wasRun = true';
        document.body.append(script);
      });
      await page.waitForFunction(() => window.wasRun === undefined);
      await page.evaluate(() => console.error('complaints'));
      assert.ok(complaints.some((it) => it.startsWith('policy: script-src-elem refused inline')), complaints.join('\n'));
      assert.ok(complaints.some((it) => it.startsWith('error: complaints')), complaints.join('\n'));
    });
    await context.close();
  });

  test('all pages of a signed-in user', async () => {
    const context = await signedIn(browser, server.origin);
    const pages = {
      '/': 'Record', '/recordings': 'My Recordings', [`/recordings/${id}`]: /\.webm$/, '/nowhere': /./,
      '/account/tokens': 'API tokens', '/account/password': 'Change password',
    };
    const tabs = ['settings', 'recordings', 'sessions', 'users', 'tokens', 'webhooks', 'storage', 'audit'];
    for (const tab of tabs) pages[`/admin/${tab}`] = 'Admin Settings';
    await withPage(context, 'quiet pages', async (page) => {
      const complaints = await collectComplaints(page);
      for (const [path, name] of Object.entries(pages)) {
        await page.goto(server.origin + path);
        await page.getByRole('heading', { level: 1, name }).waitFor();
        await page.waitForFunction(() => !document.querySelector('.skeleton'));
      }
      // The same pages, by navigation within the application, without a reload.
      for (const tab of ['Settings', 'Recordings', 'Sessions', 'Users', 'API tokens', 'Storage', 'Audit log']) {
        await page.getByRole('tab', { name: tab }).click();
        await page.getByRole('tabpanel').getByRole('heading', { level: 2 }).waitFor();
        await page.waitForFunction(() => !document.querySelector('.skeleton'));
      }
      await page.getByRole('button', { name: 'View recordings' }).click();
      await page.getByRole('heading', { level: 1, name: 'My Recordings' }).waitFor();
      assert.deepEqual(complaints, []);
    });
    await context.close();
  });

  test('signing in and out', async () => {
    const context = await signedIn(browser, server.origin);
    await withPage(context, 'quiet signing out', async (page) => {
      const complaints = await collectComplaints(page);
      await page.goto(server.origin);
      await page.getByRole('button', { name: 'User menu' }).click();
      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.getByLabel('User name').waitFor();
      // Chromium logs every 401, and a signed-out page causes one.
      assert.deepEqual(complaints.filter((it) => !/responded with a status of 40[01]/.test(it)), []);
    });
    await context.close();
  });
});

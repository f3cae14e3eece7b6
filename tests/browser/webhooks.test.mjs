// Webhooks in the Admin Panel, with a real receiver.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { Api } from './support/api.mjs';
import { assertAccessible, assertFits } from './support/axe.mjs';
import { launch, withPage } from './support/browser.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

const NARROW = { viewport: { width: 375, height: 740 } };

describe('Webhooks', { timeout: 300_000 }, () => {
  let server, browser, admin, context, receiver, url;
  let status = 200;
  const received = [];

  before(async () => {
    receiver = createServer((request, answer) => {
      let body = '';
      request.on('data', (bytes) => (body += bytes));
      request.on('end', () => {
        received.push({ id: request.headers['webhook-id'], type: JSON.parse(body).type });
        answer.writeHead(status).end();
      });
    });
    receiver.listen(0, '127.0.0.1');
    await once(receiver, 'listening');
    url = `http://127.0.0.1:${receiver.address().port}/hooks`;
    server = await Server.start({ SORTIE_WEBHOOK_ALLOW_PRIVATE: 'true' });
    browser = await launch();
    admin = await Api.signIn(server.origin);
    context = await signedIn(browser, server.origin);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
    receiver?.close();
  });

  const webhooks = async () => (await admin.fetch('/api/admin/webhooks')).json();
  const startSession = () =>
    admin.fetch('/api/sessions', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ app_id: 'test' }),
    });

  test('a webhook is created by keyboard, tested, disabled and deleted', async () => {
    await withPage(context, 'webhooks', async (page) => {
      await page.goto(`${server.origin}/admin/webhooks`);
      await page.getByText('No webhooks', { exact: true }).waitFor();
      const dialog = page.getByRole('dialog');
      await page.getByRole('button', { name: 'Create webhook' }).focus();
      await page.keyboard.press('Enter');
      await dialog.getByLabel('URL').fill('ftp://127.0.0.1/');
      await page.keyboard.press('Enter');
      await dialog.getByText('url must begin with https.').waitFor();
      await dialog.getByLabel('URL').fill(url);
      await dialog.getByLabel('Description').fill('Billing');
      await dialog.getByLabel('session.started').check();
      await assertAccessible(page, 'new webhook');
      await dialog.getByLabel('Description').press('Enter');
      const secret = await dialog.getByText(/^whsec_/).innerText();
      await page.waitForFunction(() => document.activeElement?.textContent === 'Copy');
      await dialog.getByRole('button', { name: 'Done' }).click();
      assert.equal(await page.getByText(secret).count(), 0);
      const [created] = await webhooks();
      assert.deepEqual([created.url, created.events], [url, ['session.started']]);

      await page.getByRole('button', { name: `Test ${url}` }).click();
      await page.getByText(`${url} has received the test.`).waitFor();
      assert.deepEqual(received.map((it) => it.type), ['webhook.test']);
      status = 500;
      await page.getByRole('button', { name: `Test ${url}` }).click();
      await page.getByText(`${url} has not received the test. The receiver answered 500.`).waitFor();
      await assertAccessible(page, 'webhooks');
      status = 200;

      await page.getByRole('button', { name: `Disable ${url}` }).click();
      await page.getByText('Disabled', { exact: true }).waitFor();
      assert.equal((await webhooks())[0].enabled, false);
      await page.getByRole('button', { name: `Enable ${url}` }).click();
      await page.getByText('Enabled', { exact: true }).waitFor();
      await page.getByRole('button', { name: `Create a new secret for ${url}` }).click();
      assert.notEqual(await dialog.getByText(/^whsec_/).innerText(), secret);
      await dialog.getByRole('button', { name: 'Done' }).click();

      await page.getByRole('button', { name: `Delete ${url}` }).click();
      await dialog.getByRole('button', { name: 'Delete' }).click();
      await page.getByText('No webhooks', { exact: true }).waitFor();
      assert.deepEqual(await webhooks(), []);
    });
  });

  test('failed events are listed and sent again', async () => {
    const body = JSON.stringify({ url, events: ['session.started'] });
    const headers = { 'content-type': 'application/json' };
    await admin.fetch('/api/admin/webhooks', { method: 'POST', headers, body });
    // A 410 fails at once and disables the webhook.
    status = 410;
    received.length = 0;
    await startSession();
    while (!(await webhooks())[0].failed) await new Promise((resolve) => setTimeout(resolve, 50));
    status = 200;
    const theirs = await signedIn(browser, server.origin, undefined, NARROW);
    await withPage(theirs, 'failed webhooks', async (page) => {
      await page.goto(`${server.origin}/admin/webhooks`);
      await page.getByText('The receiver answered 410 (Gone).').waitFor();
      await assertAccessible(page, 'disabled webhook');
      await assertFits(page, 'disabled webhook');
      await page.getByRole('button', { name: `Enable ${url}` }).click();
      await page.getByText('Enabled', { exact: true }).waitFor();
      await page.getByRole('button', { name: `Show failed events of ${url}` }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByRole('button', { name: /^Send again: session\.started of / }).waitFor();
      await assertAccessible(page, 'failed events');
      await assertFits(page, 'failed events');
      await dialog.getByRole('button', { name: /^Send again/ }).press('Enter');
      await dialog.getByText('No failed events are left.').waitFor();
      while (received.length < 2) await page.waitForTimeout(50);
      assert.equal(received[1].id, received[0].id);
      await dialog.getByRole('button', { name: 'Close' }).click();
    });
    await theirs.close();
  });
});

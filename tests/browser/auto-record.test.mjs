// Auto-record: a page that is open starts by itself when an administrator turns
// it on in another one, and not again once its user has stopped by hand.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Api } from './support/api.mjs';
import { FAKE_CAMERA, launch, withPage } from './support/browser.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

/** Longer than it takes an open page to hear of the setting and to start. */
const SETTLED_MS = 5_000;

describe('auto-record', { timeout: 120_000 }, () => {
  let server, browser, api;

  before(async () => {
    server = await Server.start();
    browser = await launch(FAKE_CAMERA);
    api = await Api.signIn(server.origin);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  /** Turns it on or off as the Settings tab does: from a page, with its cookie. */
  const toggle = (page, on) =>
    page.evaluate(async (value) => {
      const answer = await fetch('/api/admin/settings', {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ recording_auto_record: value }),
      });
      return answer.status;
    }, String(on));

  test('toggled in one page it starts another without a reload, and a Stop by hand sticks', async (t) => {
    const user = await api.newUser('ann');
    const admin = await signedIn(browser, server.origin);
    const context = await signedIn(browser, server.origin, user);
    const settings = await admin.newPage();
    await settings.goto(server.origin);

    await withPage(context, 'auto-record', async (page) => {
      await page.goto(server.origin);
      await page.evaluate(() => { window.notReloaded = true; });
      await page.getByLabel('Camera').check();
      await page.getByRole('button', { name: 'Preview first' }).click();
      await page.locator('video').waitFor();
      assert.deepEqual(await user.recordings(), []);

      assert.equal(await toggle(settings, true), 204);
      const began = performance.now();
      const stop = page.getByRole('button', { name: 'Stop recording' });
      await stop.waitFor({ timeout: 10_000 });
      t.diagnostic(`started ${Math.round(performance.now() - began)} ms after the setting`);
      const [recording] = await user.recordings();
      assert.equal(recording.status, 'recording');
      assert.equal(await page.evaluate(() => window.notReloaded), true);
      const session = await (await user.fetch(`/api/sessions/${recording.session_id}`)).json();
      assert.equal(session.auto_record, true);

      await stop.click();
      await page.waitForURL(`${server.origin}/recordings/${recording.id}`);
      await page.goBack();
      await page.getByRole('button', { name: 'Preview first' }).click();
      await page.locator('video').waitFor();
      assert.equal(await toggle(settings, false), 204);
      assert.equal(await toggle(settings, true), 204);
      await wait(SETTLED_MS);
      assert.equal((await user.recordings()).length, 1, 'it has started again after a Stop by hand');
      assert.equal(await page.evaluate(() => window.notReloaded), true);
      const declined = await (await user.fetch(`/api/sessions/${recording.session_id}`)).json();
      assert.equal(declined.auto_record, false);
    });
  });
});

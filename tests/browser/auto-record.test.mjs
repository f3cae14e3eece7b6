// Auto-record: an open page starts when an administrator enables it in another page, but not again after its user has
// stopped. It stops when its session is ended elsewhere.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Api } from './support/api.mjs';
import { FAKE_CAMERA, launch, withPage } from './support/browser.mjs';
import { untilReady } from './support/assertions.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

/** Longer than an open page needs to receive the setting and start. */
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

  /** Changes the setting like the Settings tab: from a page, with its cookie. */
  const toggle = (page, on) =>
    page.evaluate(async (value) => {
      const answer = await fetch('/api/admin/settings', {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ recording_auto_record: value }),
      });
      return answer.status;
    }, String(on));

  /** Opens a preview of the camera. */
  const preview = async (page) => {
    await page.getByLabel('Camera').check();
    await page.getByRole('button', { name: 'Preview first' }).click();
    await page.locator('video').waitFor();
  };

  test('enabling it in one page starts another without a reload, and a stop by the user persists', async (t) => {
    const user = await api.newUser('ann');
    const admin = await signedIn(browser, server.origin);
    const context = await signedIn(browser, server.origin, user);
    const settings = await admin.newPage();
    await settings.goto(server.origin);

    await withPage(context, 'auto-record', async (page) => {
      await page.goto(server.origin);
      await page.evaluate(() => { window.notReloaded = true; });
      await preview(page);
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
      await preview(page);
      assert.equal(await toggle(settings, false), 204);
      assert.equal(await toggle(settings, true), 204);
      await wait(SETTLED_MS);
      assert.equal((await user.recordings()).length, 1, 'it has started again after a Stop by hand');
      assert.equal(await page.evaluate(() => window.notReloaded), true);
      const declined = await (await user.fetch(`/api/sessions/${recording.session_id}`)).json();
      assert.equal(declined.auto_record, false);

      await page.reload();
      assert.equal(await page.evaluate(() => window.notReloaded), undefined);
      await preview(page);
      await wait(SETTLED_MS);
      assert.equal((await user.recordings()).length, 1, 'it has started again after a reload');
    });
  });

  test('ending the session elsewhere stops its recording without loss', async (t) => {
    const user = await api.newUser('bob');
    const admin = await signedIn(browser, server.origin);
    const settings = await admin.newPage();
    await settings.goto(server.origin);
    assert.equal(await toggle(settings, true), 204);
    const context = await signedIn(browser, server.origin, user);
    await withPage(context, 'auto-record-ended', async (page) => {
      await page.goto(server.origin);
      // Auto-record is already enabled: the preview starts the recording.
      await preview(page);
      await page.getByRole('button', { name: 'Stop recording' }).waitFor();
      await wait(2_000);
      const [{ id, session_id }] = await user.recordings();
      const ended = await user.post(`/api/sessions/${session_id}/stop`);
      assert.equal(ended.status, 200);
      t.diagnostic(`ready ${Math.round(await untilReady(user, id))} ms after the end of its session`);
      const recording = await user.recording(id);
      assert.equal(recording.interrupted, false);
      assert.ok(recording.duration_seconds > 1.5, `${recording.duration_seconds} s`);
      // The player opens, as after a stop by the user.
      await page.waitForURL(`${server.origin}/recordings/${id}`);

      // A new visit is a new session, which is recorded again.
      await page.goto(server.origin);
      await preview(page);
      await page.getByRole('button', { name: 'Stop recording' }).waitFor();
      const recordings = await user.recordings();
      assert.equal(recordings.length, 2);
      assert.notEqual(recordings.find((it) => it.id !== id).session_id, session_id);
    });
  });

  test('the value of a session overrides the setting in both directions', async () => {
    const user = await api.newUser('cleo');
    const admin = await signedIn(browser, server.origin);
    const settings = await admin.newPage();
    await settings.goto(server.origin);
    const context = await signedIn(browser, server.origin, user);
    const change = async (session, autoRecord) => {
      const answer = await user.fetch(`/api/sessions/${session}`, {
        method: 'PATCH',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ auto_record: autoRecord }),
      });
      assert.equal(answer.status, 200);
    };
    await withPage(context, 'auto-record-override', async (page) => {
      assert.equal(await toggle(settings, false), 204);
      await page.goto(server.origin);
      await preview(page);
      let sessions = [];
      for (let tries = 0; tries < 100 && sessions.length === 0; tries += 1) {
        await wait(100);
        sessions = await (await user.fetch('/api/sessions')).json();
      }
      const [{ id }] = sessions;
      // Off in this session, on as the setting: nothing starts.
      await change(id, false);
      assert.equal(await toggle(settings, true), 204);
      await wait(SETTLED_MS);
      assert.deepEqual(await user.recordings(), []);
      // On in this session, off as the setting: the recording starts.
      assert.equal(await toggle(settings, false), 204);
      await change(id, true);
      await page.getByRole('button', { name: 'Stop recording' }).waitFor({ timeout: 10_000 });
      const [recording] = await user.recordings();
      assert.equal(recording.session_id, id);
    });
  });
});

// The Record page after a crash: it offers what is left, sends it, or throws it away.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Api } from './support/api.mjs';
import { FAKE_CAMERA, launch, withPage } from './support/browser.mjs';
import { untilReady } from './support/proof.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

describe('what a crash leaves on the Record page', { timeout: 120_000 }, () => {
  let server, browser, context, api;

  before(async () => {
    server = await Server.start();
    browser = await launch(FAKE_CAMERA);
    context = await signedIn(browser, server.origin);
    api = await Api.signIn(server.origin);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  /** Records the camera, and ends the page's process when the server has begun to hold it. */
  async function crashWhileRecording() {
    const page = await context.newPage();
    await page.goto(server.origin);
    await page.getByLabel('Camera').check();
    await page.getByRole('button', { name: 'Start recording' }).click();
    await page.getByRole('button', { name: 'Stop recording' }).waitFor();
    const stored = await server.storedBytes();
    while ((await server.storedBytes()) <= stored) await page.waitForTimeout(100);
    const cdp = await context.newCDPSession(page);
    const none = { latency: 0, downloadThroughput: -1, uploadThroughput: -1 };
    await cdp.send('Network.emulateNetworkConditions', { offline: true, ...none });
    await page.waitForTimeout(3_000);
    const crashed = new Promise((resolve) => page.once('crash', resolve));
    cdp.send('Page.crash').catch(() => {});
    await crashed;
    await page.close();
    return (await api.recordings()).find((it) => it.status === 'recording');
  }

  const offer = (page) => page.getByText('was interrupted on this device');

  test('one click sends it, and leads to it', async () => {
    const recording = await crashWhileRecording();
    await withPage(context, 'leftover-sent', async (page) => {
      await page.goto(server.origin);
      await offer(page).waitFor();
      await page.getByRole('button', { name: 'Send it now' }).click();
      await page.waitForURL(`${server.origin}/recordings/${recording.id}`);
      await untilReady(api, recording.id, 10_000);
      const { interrupted, duration_seconds: seconds } = await api.recording(recording.id);
      assert.equal(interrupted, false);
      assert.ok(seconds > 2, `${seconds} s`);
      await page.goto(server.origin);
      await page.getByRole('button', { name: 'Start recording' }).waitFor();
      assert.equal(await offer(page).count(), 0);
    });
  });

  test('it is thrown away after a question, on the server, too', async () => {
    const recording = await crashWhileRecording();
    await withPage(context, 'leftover-discarded', async (page) => {
      await page.goto(server.origin);
      await offer(page).waitFor();
      await page.getByRole('button', { name: 'Discard' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByRole('button', { name: 'Discard' }).click();
      await offer(page).waitFor({ state: 'detached' });
      assert.equal(await api.recording(recording.id), undefined);
    });
  });
});

// The Record page after a crash: it offers the recoverable recording, uploads or discards it. Signing out deletes it.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { FAKE_CAMERA, withPage } from './support/browser.mjs';
import { untilReady } from './support/assertions.mjs';
import { RecorderPage } from './support/recorder.mjs';
import { useFixture } from './support/fixture.mjs';

describe('recoverable recordings on the Record page', { timeout: 120_000 }, () => {
  const fixture = useFixture({ flags: FAKE_CAMERA });
  let server, context, api;

  before(() => ({ server, context, api } = fixture));

  /** Records the camera and kills the page's process once the server has received bytes. */
  async function crashWhileRecording() {
    const page = await context.newPage();
    await page.goto(server.origin);
    await page.getByLabel('Camera').check();
    await page.getByRole('button', { name: 'Start recording' }).click();
    await page.getByRole('button', { name: 'Stop recording' }).waitFor();
    const stored = await server.storedBytes();
    while ((await server.storedBytes()) <= stored) await page.waitForTimeout(100);
    const recorder = new RecorderPage(page, api);
    await recorder.offline(true);
    await page.waitForTimeout(3_000);
    await recorder.crash();
    return (await api.recordings()).find((it) => it.status === 'recording');
  }

  const offer = (page) => page.getByText('recording found on this device');

  test('one click uploads the recording and opens it', async () => {
    const recording = await crashWhileRecording();
    await withPage(context, 'leftover-sent', async (page) => {
      await page.goto(server.origin);
      await offer(page).waitFor();
      await page.getByRole('button', { name: 'Upload now' }).click();
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

  test('a discarded recording is deleted on the server as well, after a question', async () => {
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

  test('signing out deletes it from the device after a question', async () => {
    const recording = await crashWhileRecording();
    await withPage(context, 'leftover-signed-out', async (page) => {
      await page.goto(server.origin);
      await offer(page).waitFor();
      const signOut = async () => {
        await page.getByRole('button', { name: 'User menu' }).click();
        await page.getByRole('button', { name: 'Sign out' }).click();
        const dialog = page.getByRole('dialog');
        await dialog.getByText('1 unfinished recording').waitFor();
        return dialog;
      };
      await (await signOut()).getByRole('button', { name: 'Cancel' }).click();
      await offer(page).waitFor();
      await (await signOut()).getByRole('button', { name: 'Delete and sign out' }).click();
      await page.getByLabel('User name').waitFor();
      const kept = await page.evaluate(async () => {
        const top = await navigator.storage.getDirectory();
        const names = [];
        for await (const name of (await top.getDirectoryHandle('sortie-recorder', { create: true })).keys()) names.push(name);
        return names;
      });
      assert.deepEqual(kept, []);
      // The recording on the server is kept.
      assert.ok(await api.recording(recording.id));
    });
  });
});

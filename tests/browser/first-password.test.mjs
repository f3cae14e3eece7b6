// First sign-in at an appliance with the generated password, and the files that are not listed.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Agent } from './support/agent.mjs';
import { artifactsDir } from './support/artifacts.mjs';
import { assertAccessible, assertFits } from './support/axe.mjs';
import { launch, withPage } from './support/browser.mjs';
import { collectComplaints } from './support/console.mjs';
import { ADMIN } from './support/server.mjs';
import { fillIn } from './support/sign-in.mjs';

describe('First sign-in at an appliance', { timeout: 120_000 }, () => {
  let agent, browser;

  before(async () => {
    agent = await Agent.start({ SORTIE_CAPTURE_ADMIN_PASSWORD: undefined });
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await agent?.close();
  });

  test('the generated password is replaced before anything else is shown', async () => {
    const [, password] = /password +(\S+)/.exec(agent.stdout);
    const context = await browser.newContext({ viewport: { width: 1280, height: 720 } });
    await withPage(context, 'first password', async (page) => {
      const complaints = await collectComplaints(page);
      await page.goto(agent.origin);
      await fillIn(page, { ...ADMIN, password });
      const heading = page.getByRole('heading', { level: 1, name: 'Change password' });
      await heading.waitFor();
      await page.getByText('Choose your own password to continue.').waitFor();
      await assertAccessible(page, 'change of the generated password');
      await page.screenshot({ path: join(artifactsDir, 'first-password.png') });

      // Other pages lead back.
      await page.goto(`${agent.origin}/recordings`);
      await heading.waitFor();
      assert.equal(new URL(page.url()).pathname, '/account/password');

      await page.getByLabel('Current password').fill(password);
      await page.getByLabel('New password', { exact: true }).fill(ADMIN.password);
      await page.getByLabel('New password again').fill(ADMIN.password);
      await page.getByRole('button', { name: 'Change password' }).click();
      await page.getByRole('heading', { level: 1, name: 'Video Recording' }).waitFor();
      // Without a sign-in, the first request of the user is refused (401).
      const refused = complaints.filter((it) => !it.includes('401 (Unauthorized)'));
      assert.deepEqual(refused, []);
    });
    await context.close();
  });

  test('files that are not listed are named with the reason', async () => {
    await writeFile(join(agent.dataDir, 'recordings', 'talk.webm'), 'no recording');
    await writeFile(join(agent.dataDir, 'recordings', '._talk.mp4'), 'metadata');
    const context = await browser.newContext({ viewport: { width: 1280, height: 720 } });
    await withPage(context, 'other files', async (page) => {
      await page.goto(agent.origin);
      await fillIn(page);
      const summary = page.getByText('2 other files in the folder, 20 bytes, are not listed and are never deleted');
      await summary.click();
      await page.getByText('Only MP4 files are listed, and its name ends in .webm.').waitFor();
      await page.getByText('It is metadata of macOS, not a video.').waitFor();
      await assertAccessible(page, 'files that are not listed');
      await page.screenshot({ path: join(artifactsDir, 'other-files.png'), fullPage: true });
      await page.setViewportSize({ width: 375, height: 740 });
      await assertFits(page);
    });
    await context.close();
  });
});

// Takes the pictures of the README: node screenshots.mjs FOLDER

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { seekAndRead } from './pages/clock-picture.mjs';
import { Api } from './support/api.mjs';
import { launch, openTestPage, shareTab } from './support/browser.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

const folder = process.argv[2] ?? 'docs/images';
const WIDE = { viewport: { width: 1200, height: 675 } };
const PHONE = { viewport: { width: 375, height: 740 }, deviceScaleFactor: 2 };

await mkdir(folder, { recursive: true });
const server = await Server.start();
const browser = await launch(shareTab('A tab to show'));
try {
  const api = await Api.signIn(server.origin);
  const context = await signedIn(browser, server.origin, undefined, WIDE);
  const shot = (page, name) => page.screenshot({ path: join(folder, `${name}.png`) });

  const tab = await context.newPage();
  await openTestPage(tab, server.origin, 'scene.html', 'e2e');
  const page = await context.newPage();
  for (const seconds of [4, 12]) {
    await page.goto(server.origin);
    await page.getByLabel('Screen, window or tab').check();
    await page.getByRole('button', { name: 'Start recording' }).click();
    await page.getByRole('button', { name: 'Stop recording' }).waitFor();
    await wait(seconds * 1_000);
    await shot(page, 'record');
    await page.getByRole('button', { name: 'Stop recording' }).click();
    await page.waitForURL(`${server.origin}/recordings/*`);
  }
  await page.locator('video').waitFor();
  await page.evaluate(seekAndRead, { selector: 'video', seconds: 6 });
  // The player's own controls fade what they show while it seeks.
  await wait(2_000);
  await shot(page, 'player');
  await page.goto(`${server.origin}/recordings`);
  await page.getByText('Ready', { exact: true }).first().waitFor();
  await shot(page, 'recordings');
  await page.emulateMedia({ colorScheme: 'dark' });
  await shot(page, 'recordings-dark');
  await context.close();

  const phone = await signedIn(browser, server.origin, undefined, PHONE);
  const small = await phone.newPage();
  await small.goto(`${server.origin}/recordings`);
  await small.getByText('Ready', { exact: true }).first().waitFor();
  await shot(small, 'recordings-phone');
  await phone.close();
  for (const it of await api.recordings()) await api.fetch(`/api/recordings/${it.id}`, { method: 'DELETE' });
} finally {
  await browser.close();
  await server.close();
}

// Takes the screenshots of the README and the documentation: node screenshots.mjs FOLDER

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { seekAndRead } from './pages/clock-picture.mjs';
import { launch, openTestPage, shareTab } from './support/browser.mjs';
import { Agent, AgentApi } from './support/agent.mjs';
import { startRecording, fillServer, fillAppliance } from './support/sample-data.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

const folder = process.argv[2] ?? 'docs/images';
const WIDE = { viewport: { width: 1280, height: 800 } };
const TALL = { viewport: { width: 1280, height: 1120 } };
const PHONE = { viewport: { width: 375, height: 740 }, deviceScaleFactor: 2 };

const shot = (page, name) => page.screenshot({ path: join(folder, `${name}.png`) });

/** Waits until the page is loaded and all animations have ended. */
async function settled(page) {
  await page.waitForFunction(() => !document.querySelector('.skeleton'));
  // Images outside the window are not loaded.
  await page.waitForFunction(() => [...document.images].every((image) => image.complete || image.getBoundingClientRect().top > innerHeight));
  await page.evaluate(() => document.fonts.ready);
}

async function open(page, path, name) {
  await page.goto(server.origin + path);
  await page.getByRole('heading', { level: 1 }).waitFor();
  await settled(page);
  if (name) await shot(page, name);
}

/** Records a screen; `during` runs while the recording is running. */
async function record(page, seconds, during = () => {}) {
  await page.goto(server.origin);
  await page.getByLabel('Screen, window or tab').check();
  await page.getByRole('button', { name: 'Start recording' }).click();
  await page.getByRole('button', { name: 'Stop recording' }).waitFor();
  await wait(seconds * 1_000);
  await during();
  await page.getByRole('button', { name: 'Stop recording' }).click();
  await page.waitForURL(`${server.origin}/recordings/*`);
}

/** Adds a picture to every recording that has none: the recordings of the sample data have no bytes to make them from. */
async function addPictures(page) {
  await page.goto(server.origin);
  await page.evaluate(async () => {
    const recordings = await (await fetch('/api/admin/recordings?status=ready')).json();
    const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 180 });
    const context = canvas.getContext('2d');
    const fill = (colour, ...box) => {
      context.fillStyle = colour;
      context.fillRect(...box);
    };
    for (const [number, { id }] of recordings.entries()) {
      const hue = (number * 67) % 360;
      fill(`hsl(${hue} 38% 30%)`, 0, 0, 320, 180);
      fill(`hsl(${hue} 40% 78%)`, 20, 20, 180, 14);
      for (let line = 0; line < 3 + (number % 3); line += 1) fill(`hsl(${hue} 30% 60%)`, 20, 52 + 18 * line, 260 - 30 * (line % 3), 6);
      fill(`hsl(${hue} 45% 20%)`, 200, 110, 100, 56);
      const body = await new Promise((resolve) => { canvas.toBlob(resolve, 'image/webp'); });
      await fetch(`/api/recordings/${id}/pictures?at_ms=1000`, { method: 'POST', headers: { 'content-type': body.type }, body });
    }
  });
}

/** Pages of an administrator. The storage page comes first: its candidates are deleted a minute after the start. */
async function administer(context, people) {
  const page = await context.newPage();
  await addPictures(page);
  await open(page, '/admin/storage');
  await page.getByText('% of').waitFor();
  await page.screenshot({ path: join(folder, 'admin-storage.png'), fullPage: true });
  for (const name of ['j.okafor', 'li.wei']) await startRecording(people[name]);
  await open(page, '/admin/recordings', 'admin-recordings');
  await open(page, '/admin/users', 'admin-users');
  await open(page, '/admin/tokens', 'admin-tokens');
  await open(page, '/admin/audit');
  await page.getByRole('button', { name: 'Verify the log' }).click();
  await page.getByText(/^Verified: all/).waitFor();
  await shot(page, 'admin-audit');
  await open(page, '/admin/settings');
  await page.getByLabel('Auto-record sessions').check();
  await page.getByRole('button', { name: 'Save Settings' }).click();
  await page.getByText('Settings saved successfully').waitFor();
  await shot(page, 'admin-settings');
  await page.emulateMedia({ colorScheme: 'dark' });
  await open(page, '/admin/storage', 'admin-storage-dark');
  await page.close();
}

/** Pages of a user. */
async function use(context) {
  const tab = await context.newPage();
  await tab.setViewportSize({ width: 1280, height: 720 });
  await openTestPage(tab, server.origin, 'scene.html', 'e2e');
  const page = await context.newPage();
  await record(page, 12, () => shot(page, 'record'));
  await page.locator('video').waitFor();
  await page.evaluate(seekAndRead, { selector: 'video', seconds: 6 });
  await shot(page, 'player');
  await open(page, '/recordings', 'recordings');
  await open(page, '/account/tokens');
  await page.getByRole('button', { name: 'User menu' }).click();
  await shot(page, 'account');
  await page.emulateMedia({ colorScheme: 'dark' });
  await open(page, '/recordings', 'recordings-dark');
  await page.close();
}

/** Pages of an appliance. */
async function operate(browser) {
  const agent = await Agent.start({ SORTIE_CAPTURE_MODE: '1280x720@30', SORTIE_CAPTURE_THRESHOLD_PERCENT: '80' });
  try {
    await fillAppliance(agent);
    const api = await AgentApi.signIn(agent.origin);
    await api.settings({ recording_auto_record: 'true' });
    while (!((await api.state()).file?.duration_seconds > 45)) await wait(500);
    for (const [options, name] of [
      [TALL, 'appliance'], [{ ...WIDE, colorScheme: 'dark' }, 'appliance-dark'], [PHONE, 'appliance-phone'],
    ]) {
      const context = await signedIn(browser, agent.origin, undefined, options);
      const page = await context.newPage();
      await page.goto(agent.origin);
      await page.getByRole('button', { name: 'Stop Recording' }).waitFor();
      await page.getByText(/% of .* in use\./).waitFor();
      await settled(page);
      await shot(page, name);
      if (name === 'appliance-dark') {
        const storage = page.getByRole('heading', { name: 'Storage' });
        await storage.evaluate((it) => it.parentElement.scrollIntoView({ block: 'end' }));
        await shot(page, 'appliance-storage-dark');
      }
      await context.close();
    }
  } finally {
    await agent.close();
  }
}

await mkdir(folder, { recursive: true });
if (process.argv[3] === 'appliance') {
  const browser = await launch();
  await operate(browser).finally(() => browser.close());
  process.exit();
}
const server = await Server.start({
  // Displayed on the Storage tab.
  SORTIE_RECORDING_STORAGE_PATH: 'recordings',
  SORTIE_RECORDING_RETENTION_DAYS: '75',
});
const browser = await launch(shareTab('A tab to show'));
try {
  const stranger = await browser.newContext(WIDE);
  const door = await stranger.newPage();
  await open(door, '/login', 'sign-in');
  await stranger.close();

  const people = await fillServer(server);
  const maria = people['maria.keller'];
  const context = await signedIn(browser, server.origin, maria, WIDE);
  await administer(context, people);
  await use(context);
  await context.close();

  const phone = await signedIn(browser, server.origin, maria, PHONE);
  const small = await phone.newPage();
  await open(small, '/recordings', 'recordings-phone');
  await open(small, '/admin/storage', 'admin-storage-phone');
  await phone.close();
} finally {
  await browser.close();
  await server.close();
}

// Messages of the Record page while the server is unreachable, near the size limit, and about the end of a recording.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Api } from './support/api.mjs';
import { assertAccessible } from './support/axe.mjs';
import { FAKE_CAMERA, launch, withPage } from './support/browser.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

describe('messages during a recording', { timeout: 600_000 }, () => {
  let browser;

  before(async () => {
    browser = await launch(FAKE_CAMERA);
  });
  after(() => browser?.close());

  /** Starts a recording of the camera on the Record page. */
  async function start(page, origin) {
    await page.goto(origin);
    await page.getByLabel('Camera').check();
    await page.getByRole('button', { name: 'Start recording' }).click();
    await page.getByRole('button', { name: 'Stop recording' }).waitFor();
  }

  test('the status is amber and shows the pending amount while the server is unreachable', async () => {
    const server = await Server.start();
    try {
      const context = await signedIn(browser, server.origin);
      await withPage(context, 'server away', async (page) => {
        await start(page, server.origin);
        const pill = page.locator('.safe');
        await page.getByText(/^Safe on the server up to 0:0[2-9]$/).waitFor();
        const colour = () => pill.evaluate((it) => getComputedStyle(it).backgroundColor);
        const green = await colour();
        await server.kill();
        await page.getByText(/^Safe on the server up to 0:\d\d, [\d.]+ [kM]B not uploaded yet$/).waitFor();
        assert.notEqual(await colour(), green);
        await page.getByText(/^Reconnecting… [\d.]+ [kM]B saved on this device$/).waitFor();
        await assertAccessible(page, 'server away');
        await page.emulateMedia({ colorScheme: 'light' });
        await server.restart();
        await page.getByText(/^Safe on the server up to 0:\d\d$/).waitFor({ timeout: 60_000 });
        assert.equal(await colour(), green);
        await page.getByRole('button', { name: 'Stop recording' }).click();
        await page.locator('video[src]').waitFor({ timeout: 60_000 });
      });
      await context.close();
    } finally {
      await server.close();
    }
  });

  test('a live region is announced at most every ten seconds', async () => {
    const server = await Server.start();
    try {
      const context = await signedIn(browser, server.origin);
      await withPage(context, 'live regions', async (page) => {
        await start(page, server.origin);
        await page.getByText(/^Safe on the server up to 0:0[2-9]$/).waitFor();
        await page.evaluate(() => {
          window.spoken = [];
          const regions = () => document.querySelectorAll('[role="status"], [role="alert"], [aria-live]');
          const seen = new WeakMap();
          const look = () => {
            for (const region of regions()) {
              const text = region.textContent;
              if (text !== (seen.get(region) ?? '')) {
                seen.set(region, text);
                if (text) window.spoken.push({ at: performance.now(), text });
              }
            }
          };
          look();
          window.spoken = [];
          new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
        });
        await server.kill();
        await page.getByText(/^Reconnecting… /).waitFor();
        // The amount changes five times meanwhile.
        const amount = async () => page.getByText(/^Reconnecting… /).innerText();
        for (let changes = 0, last = await amount(); changes < 5;) {
          const now = await amount();
          if (now !== last) changes += 1;
          last = now;
        }
        const spoken = await page.evaluate(() => window.spoken);
        assert.ok(spoken.length > 0, 'nothing is spoken');
        for (const { text } of spoken) assert.doesNotMatch(text, /\d+ [kM]B/, 'an amount is spoken');
        assert.ok(spoken.length <= 2, JSON.stringify(spoken));
        await server.restart();
        await page.getByText(/^Safe on the server up to 0:\d\d$/).waitFor({ timeout: 60_000 });
        await page.getByRole('button', { name: 'Stop recording' }).click();
        await page.locator('video[src]').waitFor({ timeout: 60_000 });
      });
      await context.close();
    } finally {
      await server.close();
    }
  });

  test('time left and warnings precede the size limit, and the player shows why the recording ended', async () => {
    // Large enough that a further part begins only after the warning.
    const server = await Server.start({ SORTIE_RECORDING_MAX_SIZE_MB: '5' });
    try {
      const context = await signedIn(browser, server.origin);
      await withPage(context, 'size limit', async (page) => {
        await start(page, server.origin);
        await page.getByText(/^(About \d+ min left|Less than a minute left)$/).waitFor({ timeout: 60_000 });
        await page.getByText(/^80 % of the size limit of [\d.]+ MB is used\.$/).waitFor({ timeout: 120_000 });
        await assertAccessible(page, 'near the size limit');
        // The recording ends with the reason in the player, or continues in another part.
        await page.getByText(/^The recording reached the server's size limit|continues as a further part/)
          .waitFor({ timeout: 120_000 });
      });
      await context.close();
    } finally {
      await server.close();
    }
  });

  test('the player shows the reason of an end, also after a reload', async () => {
    const server = await Server.start();
    try {
      const context = await signedIn(browser, server.origin);
      const api = await Api.signIn(server.origin);
      await withPage(context, 'why it ended', async (page) => {
        await start(page, server.origin);
        await page.getByText(/^Safe on the server up to 0:0[1-9]$/).waitFor();
        const [recording] = await api.recordings();
        await api.post(`/api/sessions/${recording.session_id}/stop`);
        await page.waitForURL(`${server.origin}/recordings/${recording.id}`);
        const reason = page.getByText('The session ended, so the recording was finished.');
        await reason.waitFor();
        await assertAccessible(page, 'player with a reason');
        await page.reload();
        await reason.waitFor();
      });
      await context.close();
    } finally {
      await server.close();
    }
  });
});

// The player on a slow network, and with a recording of several parts.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Api } from './support/api.mjs';
import { assertAccessible } from './support/axe.mjs';
import { launch, withPage } from './support/browser.mjs';
import { loopedWebm, sampleWebm } from './support/media.mjs';
import { untilReady } from './support/assertions.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

/** A fast 3G network. */
const SLOW = { offline: false, latency: 280, downloadThroughput: 1.44e6 / 8, uploadThroughput: 1.44e6 / 8 };
/** Download time on that network: about a minute. */
const SECONDS = 120;

describe('the player', { timeout: 600_000 }, () => {
  let server, browser, api, context, long;

  before(async () => {
    server = await Server.start();
    browser = await launch();
    api = await Api.signIn(server.origin);
    context = await signedIn(browser, server.origin);
    await context.addInitScript(() => {
      window.soon = () => new Promise((done) => { setTimeout(done, 16); });
      /** Waits until the video shows a picture; says what it does instead. */
      window.firstPicture = async () => {
        for (const end = performance.now() + 30_000; performance.now() < end; await window.soon()) {
          const video = document.querySelector('video');
          if (video?.readyState >= 2) return video;
        }
        const { readyState, networkState, seeking, currentSrc, error } = document.querySelector('video') ?? {};
        throw new Error(`no picture: ${JSON.stringify({ readyState, networkState, seeking, currentSrc, error: error?.message })}`);
      };
    });
    const bytes = await loopedWebm(SECONDS);
    const id = await api.upload(bytes);
    await untilReady(api, id, 20_000);
    long = { id, bytes };
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  for (const delayMs of [0, 200, 300, 450]) {
    test(`a seek ${delayMs} ms after the first picture reaches its target on a slow network`, async () => {
      await withPage(context, `seek after ${delayMs} ms`, async (page) => {
        await page.goto(`${server.origin}/recordings`);
        const link = page.locator(`a[href="/recordings/${long.id}"]`);
        await link.waitFor();
        const client = await context.newCDPSession(page);
        await client.send('Network.enable');
        await client.send('Network.emulateNetworkConditions', SLOW);
        let received = 0;
        client.on('Network.dataReceived', (it) => { received += it.dataLength; });
        await link.click();
        await page.locator('video').waitFor();
        const position = await page.evaluate(async ({ delayMs, target }) => {
          const video = await window.firstPicture();
          const next = (name) => new Promise((done) => { video.addEventListener(name, done, { once: true }); });
          await new Promise((done) => { setTimeout(done, delayMs); });
          video.currentTime = target;
          do await next('seeked'); while (Math.abs(video.currentTime - target) > 0.5);
          return video.currentTime;
        }, { delayMs, target: 90 });
        assert.ok(Math.abs(position - 90) < 0.5, `it is at ${position} s`);
        // Without the index, the browser reads everything before the target.
        assert.ok(received < long.bytes.length / 2, `${received} of ${long.bytes.length} bytes were read`);
        await page.getByText('Seeking…').waitFor({ state: 'hidden' });
      });
    });
  }

  for (const [network, conditions] of [['fast', undefined], ['slow', SLOW]]) {
    test(`further seeks in quick succession reach the last target on a ${network} network`, async () => {
      const id = await api.upload(await sampleWebm(20));
      await untilReady(api, id, 10_000);
      await withPage(context, `quick seeks, ${network}`, async (page) => {
        await page.goto(`${server.origin}/recordings`);
        const link = page.locator(`a[href="/recordings/${id}"]`);
        await link.waitFor();
        const client = await context.newCDPSession(page);
        await client.send('Network.enable');
        if (conditions) await client.send('Network.emulateNetworkConditions', conditions);
        await link.click();
        await page.locator('video').waitFor();
        const position = await page.evaluate(async () => {
          const { soon } = window;
          const video = await window.firstPicture();
          for (const target of [3, 15, 7, 12]) {
            video.currentTime = target;
            await soon();
          }
          const end = performance.now() + 30_000;
          while (performance.now() < end && (video.readyState < 2 || video.seeking)) await soon();
          return video.currentTime;
        });
        assert.ok(Math.abs(position - 12) < 0.5, `it is at ${position} s`);
        const played = await page.evaluate(async () => {
          const video = document.querySelector('video');
          const { soon } = window;
          await video.play();
          const end = performance.now() + 30_000;
          while (performance.now() < end && video.currentTime < 12.5) await soon();
          return video.currentTime;
        });
        assert.ok(played >= 12.5, `playback stopped at ${played} s`);
      });
    });
  }

  test('a recording of three parts is one row and plays part after part', async () => {
    const session = await (await api.post('/api/sessions', { app_id: 'parts' })).json();
    const ids = [];
    const bytes = await sampleWebm(2);
    for (let part = 0; part < 3; part += 1) {
      const body = ids.length > 0 ? { continues: ids[0] } : undefined;
      const started = await (await api.post(`/api/sessions/${session.id}/recording/start`, body)).json();
      const form = new FormData();
      form.set('recording_id', started.recording_id);
      form.set('duration', '2');
      form.set('file', new Blob([bytes], { type: 'video/webm' }), 'part.webm');
      const answer = await api.fetch(`/api/sessions/${session.id}/recording/upload`, { method: 'POST', body: form });
      assert.equal(answer.status, 200);
      ids.push(started.recording_id);
      for (let ready = false; !ready;) {
        const shown = await (await api.fetch(`/api/recordings/${started.recording_id}`)).json();
        ready = shown.status === 'ready';
      }
    }
    const size = (await api.recording(ids[0])).parts.reduce((sum, part) => sum + part.size_bytes, 0);
    await withPage(context, 'three parts', async (page) => {
      await page.goto(`${server.origin}/recordings?q=${ids[0]}`);
      const row = page.getByRole('row').filter({ has: page.locator(`a[href="/recordings/${ids[0]}"]`) });
      await row.getByText('3 parts').waitFor();
      await row.getByText(/^0:0[56]$/).waitFor();
      await row.getByText(`${Math.floor(size / 1000)} kB`).waitFor();
      assert.equal(await page.getByRole('row').count(), 2);
      await row.getByRole('button', { name: /^Delete/ }).click();
      await page.getByRole('dialog').getByText(/3 parts\) will be permanently deleted/).waitFor();
      await page.keyboard.press('Escape');
      await row.getByRole('link').first().click();
      await page.getByRole('heading', { name: 'Parts' }).waitFor();
      await page.getByText(/from 0:0[34]/).waitFor();
      await assertAccessible(page, 'player with parts');
      const source = () => page.locator('video').getAttribute('src');
      assert.ok((await source()).includes(ids[0]));
      await page.evaluate(() => document.querySelector('video').play());
      for (const id of ids.slice(1)) await page.locator(`video[src*="${id}"]`).waitFor();
      await page.getByRole('button', { name: 'Part 1', exact: true }).click();
      await page.locator(`video[src*="${ids[0]}"]`).waitFor();

      await page.goto(`${server.origin}/recordings/${ids[1]}`);
      await page.getByText('Part 2 of a longer recording.').waitFor();
      await page.getByRole('link', { name: 'Watch all parts' }).click();
      await page.waitForURL(`${server.origin}/recordings/${ids[0]}`);
    });
  });
});

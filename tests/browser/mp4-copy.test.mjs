// A WebM recording is downloaded as MP4, which the browser plays and seeks.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { before, describe, test } from 'node:test';
import { untilReady } from './support/assertions.mjs';
import { withPage } from './support/browser.mjs';
import { useFixture } from './support/fixture.mjs';
import { sampleWebm } from './support/media.mjs';

const SECONDS = 4;

describe('a copy as MP4', { timeout: 120_000 }, () => {
  const fixture = useFixture();
  let server, context, api;

  before(() => ({ server, context, api } = fixture));

  test('is downloaded by the player, plays and seeks', async () => {
    const id = await api.upload(await sampleWebm(SECONDS, 'libvpx-vp9'));
    await untilReady(api, id, 20_000);
    await withPage(context, 'mp4 copy', async (page) => {
      await page.goto(`${server.origin}/recordings/${id}`);
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('link', { name: 'Download MP4' }).click(),
      ]);
      assert.match(download.suggestedFilename(), /\.mp4$/);
      const base64 = (await readFile(await download.path())).toString('base64');
      await page.goto('about:blank');
      await page.setContent('<video muted></video>');
      const seen = await page.evaluate(async (encoded) => {
        const video = document.querySelector('video');
        const event = (name) => new Promise((resolve, reject) => {
          video.addEventListener(name, resolve, { once: true });
          video.addEventListener('error', () => reject(new Error(video.error.message)), { once: true });
        });
        const bytes = Uint8Array.from(atob(encoded), (it) => it.charCodeAt(0));
        const loaded = event('loadeddata');
        video.src = URL.createObjectURL(new Blob([bytes], { type: 'video/mp4' }));
        await loaded;
        const { duration, videoWidth } = video;
        const seeked = event('seeked');
        video.currentTime = duration - 1;
        await seeked;
        const ended = event('ended');
        await video.play();
        await ended;
        return { duration, videoWidth, end: video.currentTime };
      }, base64);
      assert.ok(Math.abs(seen.duration - SECONDS) < 0.2, `${seen.duration} s`);
      assert.ok(seen.videoWidth > 0);
      assert.ok(Math.abs(seen.end - seen.duration) < 0.2, `ended at ${seen.end} s`);
    });
  });
});

// The page of an appliance in Firefox: the moving picture, a recording by hand, the recording in progress, and the finished
// one.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Agent, AgentApi } from '../browser/support/agent.mjs';
import { artifactsDir } from '../browser/support/artifacts.mjs';
import { until } from '../browser/support/recorder.mjs';
import { launchFirefox, signIn } from './support/firefox.mjs';

const PATIENCE = { timeout: 60_000 };

describe('the appliance in Firefox', { timeout: 300_000 }, () => {
  let agent, api, browser, page;

  before(async () => {
    await mkdir(artifactsDir, { recursive: true });
    agent = await Agent.start();
    api = await AgentApi.signIn(agent.origin);
    browser = await launchFirefox();
    page = await browser.newPage();
    await signIn(page, agent.origin);
  });
  after(async () => {
    await browser?.close();
    await agent?.close();
  });

  const screenshot = (name) => page.screenshot({ path: join(artifactsDir, `${name}.png`) });
  const open = async () => {
    await page.goto(agent.origin, PATIENCE);
    await page.locator('::-p-aria([role="button"][name="Start Recording"])').setTimeout(PATIENCE.timeout).wait();
  };
  const press = (name) => page.locator(`::-p-aria([role="button"][name="${name}"])`).setTimeout(PATIENCE.timeout).click();

  test('the picture moves, before and during a recording', async () => {
    await open();
    const picture = 'img[alt="Live picture from Test picture"]';
    await page.waitForSelector(picture, PATIENCE);
    /** Waits until the first line of the picture, which counts the frames of the source, has changed. */
    const moves = () => page.waitForFunction((selector) => {
      const image = document.querySelector(selector);
      if (!image?.naturalWidth) return false;
      const canvas = document.createElement('canvas');
      const pen = canvas.getContext('2d');
      pen.drawImage(image, 0, 0);
      const pixels = pen.getImageData(0, 0, 300, 20).data.join();
      window.seen ??= pixels;
      return window.seen !== pixels;
    }, PATIENCE, picture);
    await moves();
    await press('Start Recording');
    await page.locator('::-p-aria([role="button"][name="Stop Recording"])').setTimeout(PATIENCE.timeout).wait();
    await page.evaluate(() => { window.seen = undefined; });
    await moves();
    await screenshot('firefox-appliance');
    await press('Stop Recording');
    await page.locator('::-p-aria([role="button"][name="Start Recording"])').setTimeout(PATIENCE.timeout).wait();
  });

  test('the recording in progress opens from its row, live, and becomes the recording in place', async () => {
    await open();
    await press('Start Recording');
    const { recording_id: id } = await until('two seconds recorded', async () => (await api.state()).file, (it) => it?.duration_seconds >= 2);
    await page.locator(`table a[href="/recordings/${id}"]`).setTimeout(PATIENCE.timeout).click();
    await page.waitForFunction((id) => location.pathname === `/recordings/${id}`, PATIENCE, id);
    await page.waitForFunction(() => document.querySelector('.live-stage video')?.currentTime > 0.5, PATIENCE);
    await screenshot('firefox-appliance-live');

    await api.post('/api/appliance/recording/stop');
    await page.waitForSelector('.player-stage:not(.live-stage) video', PATIENCE);
    await page.waitForFunction(() => document.querySelector('video').readyState >= 2, PATIENCE);
    const seconds = await page.$eval('video', (video) => new Promise((done) => {
      video.addEventListener('seeked', () => done(video.currentTime), { once: true });
      video.currentTime = video.duration / 2;
    }));
    assert.ok(seconds > 0.5);
    assert.equal((await api.recording(id)).status, 'ready');
  });
});

// Pictures in the player: at the pointer on the timeline, and added by the viewer's browser.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { untilReady } from './support/assertions.mjs';
import { assertAccessible } from './support/axe.mjs';
import { withPage } from './support/browser.mjs';
import { useFixture } from './support/fixture.mjs';
import { loopedWebm } from './support/media.mjs';
import { openPlayer } from './support/review.mjs';

const SECONDS = 20;
/** The browser begins after a rest of five seconds. */
const ADDED_WITHIN = { timeout: 60_000 };

/** A JPEG of one colour. */
async function jpeg(colour) {
  const { stdout } = await promisify(execFile)('ffmpeg', [
    '-v', 'error', '-f', 'lavfi', '-i', `color=${colour}:s=320x180`, '-frames:v', '1', '-f', 'image2pipe', '-c:v', 'mjpeg', '-',
  ], { encoding: 'buffer' });
  return stdout;
}

describe('pictures in the player', { timeout: 600_000 }, () => {
  const fixture = useFixture();
  let server, context, api, webm;
  const upload = async () => {
    const uploaded = await api.upload(webm);
    await untilReady(api, uploaded, 20_000);
    return uploaded;
  };
  const add = async (id, at, colour) => {
    const answer = await api.fetch(`/api/recordings/${id}/pictures?at_ms=${at}`, {
      method: 'POST', headers: { 'content-type': 'image/jpeg' }, body: await jpeg(colour),
    });
    assert.equal(answer.status, 204, await answer.text());
  };
  /** Moves the pointer to a part of the timeline and returns the colour of the picture there. */
  async function hovered(page, part) {
    const { x, y, width, height } = await page.getByRole('slider', { name: 'Position' }).boundingBox();
    await page.mouse.move(x + width * part, y + height / 2);
    const frame = page.locator('.timeline-frame');
    await frame.waitFor();
    return frame.evaluate(async (image) => {
      await image.decode();
      const pixel = document.createElement('canvas').getContext('2d');
      pixel.drawImage(image, 0, 0, 1, 1);
      return [...pixel.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    });
  }

  before(async () => {
    ({ server, context, api } = fixture);
    webm = await loopedWebm(SECONDS);
  });

  test('the timeline shows the picture at the pointer', () => withPage(context, 'timeline picture', async (page) => {
    const id = await upload();
    await add(id, 1_000, 'red');
    await add(id, 10_000, 'blue');
    const posted = [];
    page.on('request', (request) => { if (request.method() === 'POST') posted.push(request.url()); });
    await openPlayer(page, server, id);
    const [red, , blue] = await hovered(page, 0.2);
    assert.ok(red > 200 && blue < 60, `${red} ${blue}`);
    await assertAccessible(page, 'timeline picture');
    const later = await hovered(page, 0.8);
    assert.ok(later[0] < 60 && later[2] > 200, `${later}`);
    await page.mouse.move(0, 0);
    await page.locator('.timeline-frame').waitFor({ state: 'detached' });
    assert.deepEqual(posted.filter((url) => url.includes('/pictures')), []);
  }));

  test('the library shows one of them, and those at the pointer', () => withPage(context, 'poster', async (page) => {
    const id = await upload();
    await add(id, 1_000, 'red');
    await add(id, 10_000, 'blue');
    const refused = [];
    page.on('response', (response) => { if (response.status() >= 400) refused.push(response.url()); });
    await page.goto(`${server.origin}/recordings`);
    const image = page.locator(`.poster img[src*="${id}"]`).first();
    await image.waitFor();
    await page.waitForFunction((it) => it.complete && it.naturalWidth === 320, await image.elementHandle());
    const { x, y, width, height } = await image.boundingBox();
    await page.mouse.move(x + width * 0.9, y + height / 2);
    await page.locator('.poster img[src$="/pictures/10000"]').waitFor();
    assert.deepEqual(refused, []);
  }));

  test('a recording without pictures gets them from the browser of its viewer', () => withPage(context, 'added pictures', async (page) => {
    const id = await upload();
    assert.equal((await api.recording(id)).pictures ?? 0, 0);
    // As on a slow machine, where a video draws nothing for a moment after a seek.
    await page.addInitScript(() => {
      const { drawImage } = CanvasRenderingContext2D.prototype;
      let missed = 0;
      CanvasRenderingContext2D.prototype.drawImage = function draw(image, ...rest) {
        if (!(image instanceof HTMLVideoElement) || missed > 2) return drawImage.call(this, image, ...rest);
        missed += 1;
        return undefined;
      };
    });
    await openPlayer(page, server, id);
    const posted = [];
    page.on('response', (response) => { if (response.url().includes('/pictures?')) posted.push([response.url(), response.status()]); });
    for (const until = Date.now() + ADDED_WITHIN.timeout; posted.length < 2; await page.waitForTimeout(100)) {
      assert.ok(Date.now() < until, `${posted}`);
    }
    assert.deepEqual(posted.map(([, status]) => status), [204, 204]);
    assert.equal((await api.recording(id)).pictures, 2);
    for (const part of [0.1, 0.5]) {
      const colour = await hovered(page, part);
      assert.ok(colour.some((it) => it > 20), `black at ${part}: ${colour}`);
    }
    assert.equal(await page.evaluate(() => document.querySelectorAll('video').length), 1);
    assert.deepEqual(await page.getByRole('alert').allTextContents(), []);
  }));

  test('a page that is not rested adds nothing', () => withPage(context, 'playing', async (page) => {
    const id = await upload();
    await openPlayer(page, server, id);
    await page.keyboard.press('k');
    await page.waitForFunction(() => document.querySelector('video').currentTime > 7);
    assert.equal((await api.recording(id)).pictures ?? 0, 0);
  }));
});

// Pictures of a recording: the server shows what was recorded, masks are painted over, and no other server gets any.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { untilReady } from '../browser/support/assertions.mjs';
import { launch, withPage } from '../browser/support/browser.mjs';
import { maskedPage } from './support/masked-page.mjs';
import { eachFrame, saved, secrets } from './support/pixels.mjs';
import { project } from './support/project.mjs';
import { PATIENCE, READY_WITHIN_MS } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

/** A third picture is due 20 s after the start. */
const RECORD_MS = 22_000;

const HTML = '<!doctype html><html lang="en"><title>Pictures</title><canvas width="1280" height="720"></canvas><script type="module" src="./main.js"></script></html>';
/** A canvas that is orange, and blue from the fifth second of the recording on. */
const SCRIPT = `
  import { Recorder } from './node_modules/sortie-recorder/index.js';
  const canvas = document.querySelector('canvas');
  const context = canvas.getContext('2d', { alpha: false });
  let colour = 'rgb(255, 140, 0)';
  const paint = () => {
    context.fillStyle = colour;
    context.fillRect(0, 0, canvas.width, canvas.height);
    setTimeout(paint, 100);
  };
  paint();
  window.page = {
    heard: [],
    async record(options, { width, height } = {}) {
      if (width) Object.assign(canvas, { width, height });
      const recorder = new Recorder({ source: canvas, ...options });
      window.recorder = recorder;
      for (const name of ['warning', 'error']) recorder.on(name, (it) => window.page.heard.push(it.code));
      await recorder.start();
      setTimeout(() => { colour = 'rgb(0, 60, 200)'; }, 5_000);
      return recorder.recordingId;
    },
  };
`;
const isOrange = ([red, green, blue]) => red > 220 && green > 100 && green < 180 && blue < 60;
const isBlue = ([red, green, blue]) => red < 40 && green > 30 && green < 90 && blue > 160;

describe('pictures', { timeout: 600_000 }, () => {
  const stage = useSite({ start: () => launch() });
  let server, api, context, url, masked, target;

  before(async () => {
    ({ server, api } = stage);
    context = await stage.browser.newContext();
    url = stage.site.add('pictures', await project({ files: { 'index.html': HTML, 'main.js': SCRIPT } }));
    const expression = `{ server: ${JSON.stringify(server.origin)}, getToken: () => ${JSON.stringify(api.tokens.access_token)} }`;
    masked = stage.site.add('masked', await project({ files: maskedPage(expression) }));
    target = { server: server.origin };
  });

  /** Opens a page and collects the requests with pictures. */
  const visit = (name, address, use) => withPage(context, `pictures ${name}`, async (page) => {
    const posted = [];
    page.on('request', (request) => { if (request.method() === 'POST' && request.url().includes('/pictures')) posted.push(request.url()); });
    await page.goto(address);
    await page.waitForFunction(() => window.page, null, PATIENCE);
    return use(page, posted);
  });
  const record = (page, options, size) => page.evaluate(([token, all, it]) => window.page.record({ ...all, getToken: () => token }, it), [
    api.tokens.access_token, options, size,
  ]);
  const stop = (page) => page.evaluate(() => window.recorder.stop());

  /** Waits for a recording's poster and saves it. */
  async function poster(id, title) {
    for (const until = Date.now() + PATIENCE.timeout; ; await wait(100)) {
      const answer = await api.fetch(`/api/recordings/${id}/poster`);
      if (answer.status === 200) {
        const [, extension] = answer.headers.get('content-type').split('/');
        return saved(Buffer.from(await answer.arrayBuffer()), `picture ${title}`, extension);
      }
      assert.equal(answer.status, 404);
      assert.ok(Date.now() < until, 'no poster');
    }
  }

  /** Returns the colour in the middle of a picture, whose size must be `width` × `height`. */
  async function middle(path, { width, height }) {
    let colour;
    await eachFrame(path, { width, height }, (pixels) => {
      const at = 3 * ((height >> 1) * width + (width >> 1));
      colour = [...pixels.subarray(at, at + 3)];
    });
    return colour;
  }

  test('show what was recorded, from the first second on', async (t) => {
    await visit('canvas', url, async (page) => {
      const id = await record(page, target);
      // While it grows, the poster is the newest picture.
      const first = await middle(await poster(id, 'while recording'), { width: 320, height: 180 });
      assert.ok(isOrange(first), `${first}`);
      await wait(RECORD_MS);
      await stop(page);
      await untilReady(api, id, READY_WITHIN_MS);
      assert.deepEqual(await page.evaluate(() => window.page.heard), []);
      const { pictures, duration_seconds: seconds } = await api.recording(id);
      assert.equal(pictures, 3);
      // A tenth of 22 s is nearest to the picture at 1 s.
      const colour = await middle(await poster(id, 'poster'), { width: 320, height: 180 });
      assert.ok(isOrange(colour), `${colour}`);

      const storyboard = await api.fetch(`/api/recordings/${id}/storyboard.vtt`);
      const text = await storyboard.text();
      const cues = [...text.matchAll(/--> (\S+)\n(\S+)#xywh=0,0,320,180/g)];
      assert.equal(cues.length, 3, text);
      const ends = cues.map(([, end]) => end.split(':').reduce((sum, it) => sum * 60 + Number(it), 0));
      t.diagnostic(`${seconds} s, cues end at ${ends}`);
      assert.ok(Math.abs(ends[0] - 10) < 3 && Math.abs(ends[1] - 20) < 3, text);
      assert.ok(Math.abs(ends[2] - seconds) < 0.01, text);
      const last = await api.fetch(`/api/recordings/${id}/${cues[2][2]}`);
      const path = await saved(Buffer.from(await last.arrayBuffer()), 'picture last', 'webp');
      const later = await middle(path, { width: 320, height: 180 });
      assert.ok(isBlue(later), `${later}`);
    });
  });

  test('of a portrait are at most 180 pixels wide', () => visit('portrait', url, async (page) => {
    const id = await record(page, target, { width: 720, height: 1280 });
    await poster(id, 'portrait');
    await stop(page);
    await untilReady(api, id, READY_WITHIN_MS);
    const storyboard = await (await api.fetch(`/api/recordings/${id}/storyboard.vtt`)).text();
    assert.match(storyboard, /#xywh=0,0,180,320\n/);
  }));

  test('show masks painted over', async () => {
    const size = { width: 240, height: 180 };
    const taken = (name, masks) => visit(name, masked, async (page) => {
      await page.evaluate((it) => window.page.record('fixed', { source: 'canvas', masks: it }), masks);
      const path = await poster(await page.evaluate(() => window.recorder.recordingId), name);
      await page.evaluate(() => window.page.stop());
      return secrets(path, size);
    });
    const shown = await taken('unmasked', [{ x: 0, y: 0, width: 1, height: 1 }]);
    assert.deepEqual([shown.frames, shown.dirty], [1, 1]);
    const hidden = await taken('masked', [{ x: 500, y: 20, width: 100, height: 50 }, { x: 30, y: 380, width: 50, height: 90 }]);
    assert.deepEqual([hidden.frames, hidden.dirty, hidden.black], [1, 0, 0]);
  });

  test('are neither taken without the option nor sent to another tus server', () => visit('off', url, async (page, posted) => {
    const id = await record(page, { ...target, pictures: false });
    await wait(3_000);
    await stop(page);
    await untilReady(api, id, READY_WITHIN_MS);
    assert.equal((await api.recording(id)).pictures ?? 0, 0);
    await record(page, { endpoint: `${server.origin}/api/uploads` });
    await wait(3_000);
    await stop(page);
    assert.deepEqual(posted, []);
  }));

  test('that are refused or lost do not disturb the recording', () => visit('refused', url, async (page, posted) => {
    let answers = 0;
    await context.route('**/pictures?*', (route) => {
      answers += 1;
      return answers === 1 ? route.abort() : route.fulfill({ status: 404, headers: { 'access-control-allow-origin': '*' } });
    });
    const id = await record(page, target);
    await wait(RECORD_MS + 10_000);
    await stop(page);
    await context.unroute('**/pictures?*');
    await untilReady(api, id, READY_WITHIN_MS);
    assert.deepEqual(await page.evaluate(() => window.page.heard), []);
    // The next one is tried after a failure, none after a refusal.
    assert.equal(answers, 2, posted.join());
  }));
});

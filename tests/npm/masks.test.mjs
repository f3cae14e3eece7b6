// Masks: no pixel of a masked element or rectangle reaches the stored file. ffmpeg decodes every frame of it.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { untilReady } from '../browser/support/assertions.mjs';
import { launch, shareTab, withPage } from '../browser/support/browser.mjs';
import { maskedPage } from './support/masked-page.mjs';
import { saved, secrets } from './support/pixels.mjs';
import { project } from './support/project.mjs';
import { PATIENCE, READY_WITHIN_MS } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

const VIEW = { width: 800, height: 600 };
const RECORD_MS = 5_000;

describe('masks', { timeout: 600_000 }, () => {
  const stage = useSite({ start: () => launch(['--auto-accept-this-tab-capture']) });
  let site, server, api, context, url;

  before(async () => {
    ({ site, server, api } = stage);
    context = await stage.browser.newContext({ viewport: VIEW });
    const target = `{ server: ${JSON.stringify(server.origin)}, getToken: () => ${JSON.stringify(api.tokens.access_token)} }`;
    url = site.add('masks', await project({ files: maskedPage(target) }));
  });

  const visit = (name, use) => withPage(context, `masks ${name}`, async (page) => {
    await page.goto(url);
    await page.waitForFunction(() => window.page, null, PATIENCE);
    return use(page);
  });
  /** Records a scene and returns what the decoded file shows. */
  const record = (name, scene, options, during = () => wait(RECORD_MS), size = VIEW) => visit(name, async (page) => {
    await page.evaluate((it) => window.page.record(...it), [scene, options]);
    await during(page);
    const done = await page.evaluate(() => window.page.stop());
    await untilReady(api, done.recordingId, READY_WITHIN_MS);
    const path = await saved(await api.download(done.recordingId), `masks ${name}`);
    return { ...await secrets(path, size), heard: await page.evaluate(() => window.page.heard), path };
  });
  /** Asserts that no frame shows a secret, and that at least some show anything: masks that are unknown blacken it. */
  const isClean = (t, { frames, dirty, first, black }, shown = 3) => {
    t.diagnostic(`${frames} frames, ${black} black`);
    assert.equal(dirty, 0, `${dirty} of ${frames} frames: ${first}`);
    assert.ok(frames - black >= shown, `only ${frames - black} of ${frames} frames are not black`);
  };
  const TAB = { source: 'screen', masks: [{ x: 0, y: 0, ...VIEW }] };

  test('unmasked tab shows the secrets', async () => {
    const { frames, dirty } = await record('control', 'tab', { source: 'screen', preferCurrentTab: true });
    assert.ok(dirty > frames / 2, `${dirty} of ${frames} frames`);
  });

  test('rectangle over a tab hides it', async (t) => {
    const { frames, dirty, first } = await record('tab', 'tab', TAB);
    t.diagnostic(`${frames} frames`);
    assert.equal(dirty, 0, first);
    assert.ok(frames > 3);
  });

  test('element over a moving part of a canvas hides it', async (t) => {
    const size = { width: 640, height: 480 };
    isClean(t, await record('canvas', 'canvas', { source: 'canvas', masks: ['#marker'] }, undefined, size));
  });

  test('rectangles hide their part of a canvas', async (t) => {
    const size = { width: 640, height: 480 };
    const shown = await record('rectangle control', 'fixed', { source: 'canvas', masks: [{ x: 0, y: 0, width: 1, height: 1 }] }, undefined, size);
    assert.ok(shown.dirty > 0, 'nothing is shown without the mask');
    const masks = [{ x: 500, y: 20, width: 100, height: 50 }, { x: 30, y: 380, width: 50, height: 90 }];
    isClean(t, await record('rectangle', 'fixed', { source: 'canvas', masks }, undefined, size));
  });

  test('picture of a canvas that is resized stays hidden', async (t) => {
    const resize = async (page) => {
      for (const [width, height] of [[320, 240], [640, 480], [300, 460], [640, 480]]) {
        // The scale remains, because the page places its marker by it.
        await page.evaluate(([w, h]) => {
          Object.assign(window.canvas, { width: w, height: h });
          Object.assign(window.canvas.style, { width: `${w * 0.75}px`, height: `${h * 0.75}px` });
        }, [width, height]);
        await wait(1_200);
      }
    };
    isClean(t, await record('resized', 'canvas', { source: 'canvas', masks: ['#marker'] }, resize, { width: 640, height: 480 }));
  });

  for (const [what, options, code, scene = 'tab'] of [
    ['selector that is none', { source: 'screen', masks: ['..'] }, 'mask_failed'],
    ['selector for a tab', { source: 'screen', masks: ['.secret'] }, 'mask_failed'],
    ['selector for a camera', { source: 'camera', masks: ['.secret'] }, 'mask_failed'],
    ['region that does not exist', { source: 'screen', cropTo: '#nothing' }, 'region_failed'],
    ['region without a size', { source: 'screen', cropTo: '#empty' }, 'region_failed'],
    ['canvas that is rotated', { source: 'canvas', masks: ['#marker'] }, 'mask_failed', 'canvas'],
  ]) {
    test(`${what} is refused, and nothing is recorded`, () => visit(what, async (page) => {
      const known = (await api.recordings()).length;
      await page.evaluate(() => {
        const empty = Object.assign(document.createElement('div'), { id: 'empty' });
        document.body.append(empty);
      });
      if (what.includes('rotated')) await page.addStyleTag({ content: 'canvas { rotate: 10deg }' });
      const refused = await page.evaluate((it) => window.page.refused(...it), [scene, options]);
      assert.deepEqual([refused.name, refused.code], ['RecorderError', code], refused.message);
      assert.equal((await api.recordings()).length, known);
      assert.equal(await page.evaluate(() => window.recorder.state), 'idle');
    }));
  }

  test('another tab is refused', async () => {
    const browser = await launch(shareTab('Other'));
    try {
      const own = await browser.newContext({ viewport: VIEW });
      const other = await own.newPage();
      await other.setContent('<title>Other</title>');
      await withPage(own, 'masks other tab', async (page) => {
        await page.goto(url);
        await page.waitForFunction(() => window.page, null, PATIENCE);
        // With the preference, the browser of the test cannot choose another tab; a person can.
        await page.evaluate(() => {
          const real = navigator.mediaDevices.getDisplayMedia.bind(navigator.mediaDevices);
          navigator.mediaDevices.getDisplayMedia = (it) => real({ ...it, preferCurrentTab: false });
        });
        const refused = await page.evaluate((it) => window.page.refused('tab', it), TAB);
        assert.equal(refused.code, 'mask_failed', refused.message);
      });
    } finally {
      await browser.close();
    }
  });
});

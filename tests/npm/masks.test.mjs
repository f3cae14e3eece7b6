// Masks: no pixel of a masked element or rectangle reaches the stored file. ffmpeg decodes every frame of it.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { untilReady } from '../browser/support/assertions.mjs';
import { launch, shareTab, withPage } from '../browser/support/browser.mjs';
import { SECRET, saved, secrets } from './support/pixels.mjs';
import { project } from './support/project.mjs';
import { PATIENCE, READY_WITHIN_MS } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

const VIEW = { width: 800, height: 600 };
const RECORD_MS = 5_000;

const PAGE = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Masked</title><script type="module" src="./main.js"></script><style>
  body { margin: 0; font: 14px sans-serif; background: linear-gradient(#dfd, #9c9) } .text { width: 780px; min-height: 3000px }
  .secret { position: absolute; width: 160px; height: 60px; background: ${SECRET}; color: ${SECRET} }
  #moving { left: 20px; top: 30px; animation: move 700ms linear infinite alternate }
  @keyframes move { to { transform: translate(560px, 300px) } }
  #list { position: absolute; left: 300px; top: 100px; width: 220px; height: 250px; overflow: auto; background: #eee }
  #list .secret { left: 20px; top: 300px } #list div { height: 1500px }
  canvas { position: absolute; left: 40px; top: 40px; width: 480px; height: 360px; border: 5px solid #363; padding: 7px }
  #marker { position: absolute }
</style></head><body></body></html>`;

const MAIN = (target) => `
  import { Recorder, supportedFormats } from './node_modules/sortie-recorder/index.js';
  const target = ${target};
  const secret = (id, parent = document.body) => {
    const element = Object.assign(document.createElement('div'), { id, className: 'secret', textContent: 'secret '.repeat(40) });
    parent.append(element);
    return element;
  };
  const text = () => {
    const words = document.createElement('p');
    words.className = 'text';
    words.textContent = 'nothing to hide '.repeat(900);
    document.body.append(words);
  };
  const scenes = {
    /** Moves by a compositor's animation, scrolls with the page and in a list, appears and vanishes. */
    tab() {
      text();
      secret('moving');
      const list = Object.assign(document.createElement('div'), { id: 'list' });
      list.append(document.createElement('div'));
      secret('listed', list);
      document.body.append(list);
      let up = 1;
      setInterval(() => { list.scrollTop += 23 * up; if (list.scrollTop > 340 || list.scrollTop < 60) up = -up; }, 16);
      setInterval(() => {
        const flash = secret('flash');
        Object.assign(flash.style, { left: Math.random() * 600 + 'px', top: scrollY + Math.random() * 500 + 'px' });
        // For one picture only, at worst.
        setTimeout(() => flash.remove(), Math.random() < 0.5 ? 10 : 300);
      }, 450);
    },
    /** A canvas with a secret that moves, and an element of the page over it. */
    canvas() {
      const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 480 });
      const marker = Object.assign(document.createElement('div'), { id: 'marker' });
      document.body.append(canvas, marker);
      const context = canvas.getContext('2d', { alpha: false });
      const draw = (now) => {
        context.fillStyle = 'hsl(120 40% ' + (40 + 20 * Math.sin(now / 300)) + '%)';
        context.fillRect(0, 0, 640, 480);
        const [x, y] = [240 + 200 * Math.sin(now / 400), 180 + 150 * Math.cos(now / 300)];
        context.fillStyle = '${SECRET}';
        context.fillRect(x, y, 120, 80);
        // 640 × 480 pixels in a box of 480 × 360, inside its border and padding.
        Object.assign(marker.style, { left: 52 + x * 0.75 + 'px', top: 52 + y * 0.75 + 'px', width: '90px', height: '60px' });
        requestAnimationFrame(draw);
      };
      requestAnimationFrame(draw);
      window.canvas = canvas;
    },
    fixed() {
      const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 480 });
      document.body.append(canvas);
      const context = canvas.getContext('2d', { alpha: false });
      const draw = (now) => {
        context.fillStyle = 'hsl(120 40% ' + (40 + 20 * Math.sin(now / 300)) + '%)';
        context.fillRect(0, 0, 640, 480);
        context.fillStyle = '${SECRET}';
        context.fillRect(500, 20, 100, 50);
        context.fillRect(30, 400 + 20 * Math.sin(now / 200), 50, 50);
        requestAnimationFrame(draw);
      };
      requestAnimationFrame(draw);
      window.canvas = canvas;
    },
  };
  window.page = {
    heard: [],
    async record(scene, options) {
      if (scene) scenes[scene]();
      const { source, ...others } = options;
      const recorder = new Recorder({ ...target, source: source === 'canvas' ? window.canvas : source, ...others });
      window.recorder = recorder;
      for (const name of ['warning', 'stopped', 'error']) recorder.on(name, (it) => this.heard.push([name, it.code ?? it]));
      await recorder.start();
    },
    refused: (scene, options) => window.page.record(scene, options).then(() => ({ code: 'it records' }), ({ name, code, message }) => ({ name, code, message })),
    stop: () => window.recorder.stop(),
    secret,
  };
`;

describe('masks', { timeout: 600_000 }, () => {
  const stage = useSite({ start: () => launch(['--auto-accept-this-tab-capture']) });
  let site, server, api, context, url;

  before(async () => {
    ({ site, server, api } = stage);
    context = await stage.browser.newContext({ viewport: VIEW });
    const target = `{ server: ${JSON.stringify(server.origin)}, getToken: () => ${JSON.stringify(api.tokens.access_token)} }`;
    url = site.add('masks', await project({ files: { 'index.html': PAGE, 'main.js': MAIN(target) } }));
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
  const isClean = (t, { frames, dirty, first, black }, shown = 10) => {
    t.diagnostic(`${frames} frames, ${black} black`);
    assert.equal(dirty, 0, `${dirty} of ${frames} frames: ${first}`);
    assert.ok(frames - black >= shown, `only ${frames - black} of ${frames} frames are not black`);
  };
  const scroll = async (page) => {
    await page.mouse.move(700, 500);
    const until = Date.now() + RECORD_MS;
    for (let step = 0; Date.now() < until; step += 1) {
      await page.mouse.wheel(0, step % 8 < 4 ? 170 : -170);
      await wait(60);
    }
  };
  const TAB = { source: 'screen', masks: ['.secret'] };

  test('unmasked tab shows the secrets', async () => {
    const { frames, dirty } = await record('control', 'tab', { source: 'screen', preferCurrentTab: true });
    assert.ok(dirty > frames / 2, `${dirty} of ${frames} frames`);
  });

  test('moving, scrolling, appearing and vanishing elements of a tab stay hidden', async (t) => {
    isClean(t, await record('tab', 'tab', TAB, scroll));
  });

  test('page that blocks its thread for 200 ms stays hidden', async (t) => {
    const busy = async (page) => {
      await page.evaluate(() => setInterval(() => { for (const end = performance.now() + 200; performance.now() < end;); }, 300));
      await scroll(page);
    };
    const { frames, dirty, first, heard } = await record('busy', 'tab', TAB, busy);
    t.diagnostic(`${frames} frames, ${JSON.stringify(heard)}`);
    assert.equal(dirty, 0, first);
  });

  test('mask follows an element that is removed and added', async (t) => {
    const again = async (page) => {
      for (let time = 0; time < 5; time += 1) {
        await page.evaluate(() => document.querySelectorAll('.secret').forEach((it) => it.remove()));
        await wait(500);
        await page.evaluate(() => { window.page.secret('moving'); window.page.secret('late').style.cssText = 'left: 500px; top: 400px'; });
        await wait(500);
      }
    };
    isClean(t, await record('again', 'tab', TAB, again));
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

  test('region of a tab is cropped, and masked within', async (t) => {
    const region = { source: 'screen', masks: ['.secret'], cropTo: '#list' };
    isClean(t, await record('region', 'tab', region, undefined, { width: 220, height: 250 }), 3);
  });

  test('region that scrolls out of the window stays hidden', async (t) => {
    const region = { source: 'screen', masks: ['.secret'], cropTo: '#list' };
    const { frames, dirty, first } = await record('region scrolls', 'tab', region, scroll, { width: 220, height: 250 });
    t.diagnostic(`${frames} frames`);
    assert.equal(dirty, 0, first);
  });

  test('picture of a canvas that is resized stays hidden', async (t) => {
    const resize = async (page) => {
      for (const [width, height] of [[320, 240], [640, 480], [300, 460], [640, 480]]) {
        await page.evaluate((it) => Object.assign(window.canvas, it), { width, height });
        await page.evaluate(([w, h]) => { window.canvas.style.width = `${w * 0.75}px`; window.canvas.style.height = `${h * 0.75}px`; }, [width, height]);
        await wait(1_200);
      }
    };
    isClean(t, await record('resized', 'canvas', { source: 'canvas', masks: ['#marker'] }, resize, { width: 640, height: 480 }));
  });

  test('window that is resized stays hidden', async (t) => {
    const resize = async (page) => {
      for (const size of [{ width: 600, height: 600 }, { width: 900, height: 500 }, VIEW]) {
        await page.setViewportSize(size);
        await wait(1_500);
      }
    };
    const seen = await record('window', 'tab', TAB, resize);
    t.diagnostic(JSON.stringify(seen));
    assert.equal(seen.dirty, 0, seen.first);
    assert.ok(seen.frames > 10);
  });

  for (const [what, options, code, scene = 'tab'] of [
    ['selector that is none', { source: 'screen', masks: ['..'] }, 'mask_failed'],
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

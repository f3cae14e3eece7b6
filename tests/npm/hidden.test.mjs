// Two tabs with still pictures, one of them hidden behind the other on a screen, so that its timers are throttled and
// nothing is drawn. Uses Puppeteer, because Playwright makes every page believe that it is visible.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import puppeteer from 'puppeteer-core';
import { launch } from '../browser/support/browser.mjs';
import { LONG } from '../browser/support/long-tests.mjs';
import { assertKept } from '../browser/support/recorder.mjs';
import { signedIn } from '../browser/support/sign-in.mjs';
import { startDisplay } from './support/desktop.mjs';
import { project } from './support/project.mjs';
import { useSite } from './support/stage.mjs';

const PATIENCE = { timeout: 60_000 };
const RECORD_MS = LONG ? 120_000 : 20_000;
/** A chunk in flight, and the delay of a busy machine. */
const LATE_MS = 6_000;

describe('still pictures', { timeout: 600_000 }, () => {
  let display, player, context;
  const stage = useSite({
    async start() {
      display = await startDisplay({ width: 1024, height: 768 });
      return puppeteer.launch({
        executablePath: process.env.SORTIE_CHROMIUM ?? '/usr/bin/chromium', headless: false,
        env: { ...process.env, DISPLAY: display.name },
        args: ['--no-first-run', '--disable-gpu', ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
        // With these flags, hidden pages run as if they were visible.
        ignoreDefaultArgs: [
          '--disable-background-timer-throttling', '--disable-backgrounding-occluded-windows', '--disable-renderer-backgrounding',
        ],
        ...PATIENCE,
      });
    },
  });

  before(async () => {
    player = await launch();
    context = await signedIn(player, stage.server.origin);
  });
  after(async () => {
    await player?.close();
    await display?.close();
  });

  /** Opens a tab in front of the others and records in it. */
  async function recordIn(url) {
    const page = await stage.browser.newPage();
    await page.bringToFront();
    await page.goto(url, PATIENCE);
    await page.waitForFunction(() => window.ready, PATIENCE);
    return page;
  }

  test('are recorded in full length in visible and hidden tabs', async (t) => {
    const folder = await project({
      files: {
        'index.html': '<!doctype html><html lang="en"><title>Still</title><canvas width="320" height="240"></canvas><p>masked</p><script type="module" src="./main.js"></script></html>',
        'main.js': `
          import { Recorder } from './node_modules/sortie-recorder/index.js';
          const canvas = document.querySelector('canvas');
          canvas.getContext('2d', { alpha: false }).fillRect(0, 0, 320, 240);
          window.recorder = new Recorder({ server: '${stage.server.origin}', getToken: () => '${stage.api.tokens.access_token}', source: canvas,
            masks: location.hash === '#masked' ? ['p', { x: 0, y: 0, width: 9, height: 9 }] : undefined });
          window.warnings = [];
          window.recorder.on('warning', ({ code }) => window.warnings.push(code));
          await window.recorder.start();
          window.ready = true;
        `,
      },
    });
    const url = stage.site.add('still', folder);
    const behind = await recordIn(url);
    const masked = await recordIn(`${url}#masked`);
    const front = await recordIn(url);
    await behind.waitForFunction(() => document.visibilityState === 'hidden', { ...PATIENCE, polling: 250 });
    await masked.waitForFunction(() => document.visibilityState === 'hidden', { ...PATIENCE, polling: 250 });
    const tabs = { behind: [behind, 'hidden'], masked: [masked, 'hidden'], front: [front, 'visible'] };
    const look = (page) => page.evaluate(() => {
      const { recordedMs, safeMs } = window.recorder.progress;
      return { recordedMs, safeMs, visibility: document.visibilityState };
    });
    const from = {};
    for (const [name, [page]] of Object.entries(tabs)) from[name] = (await look(page)).recordedMs;
    await wait(RECORD_MS);
    for (const [name, [page, visibility]] of Object.entries(tabs)) {
      const seen = await look(page);
      assert.equal(seen.visibility, visibility);
      const safe = seen.safeMs - from[name];
      assert.ok(safe > RECORD_MS - LATE_MS, `of ${RECORD_MS} ms ${name} ${safe} ms are safe`);
      const done = await page.evaluate(() => window.recorder.stop());
      const seconds = await assertKept({ api: stage.api, context }, done.recordingId, `npm still ${name}`, done.recordedMs, { clock: false });
      assert.deepEqual(await page.evaluate(() => window.warnings), []);
      const { pictures } = await stage.api.recording(done.recordingId);
      assert.ok(pictures >= 2, `${name} has ${pictures} pictures`);
      t.diagnostic(`${name}: ${safe} ms of ${RECORD_MS} were safe; ${done.recordedMs} ms recorded, file ${seconds} s; ${await stage.browser.version()}`);
    }
  });
});

// A tab that is really behind another one, in a window on a screen: its timers are throttled and nothing of it is drawn.
// Puppeteer, because Playwright has every page believe that it is seen.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import puppeteer from 'puppeteer-core';
import { Api } from '../browser/support/api.mjs';
import { Server } from '../browser/support/server.mjs';
import { startDisplay } from './support/desktop.mjs';
import { project, removeProjects } from './support/project.mjs';
import { finishedRecording } from './support/recording.mjs';
import { Site } from './support/site.mjs';

const PATIENCE = { timeout: 60_000 };
const BEHIND_MS = 20_000;
/** A chunk that is under way, and what a busy machine is late by. */
const LATE_MS = 6_000;

describe('a tab behind another one', { timeout: 600_000 }, () => {
  let site, server, browser, display, api;

  before(async () => {
    site = await Site.start();
    server = await Server.start({ SORTIE_CORS_ORIGINS: site.origin });
    api = await Api.signIn(server.origin);
    display = await startDisplay({ width: 1024, height: 768 });
    browser = await puppeteer.launch({
      executablePath: process.env.SORTIE_CHROMIUM ?? '/usr/bin/chromium', headless: false,
      env: { ...process.env, DISPLAY: display.name },
      args: ['--no-first-run', '--disable-gpu', ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
      // With these what is hidden runs as if it were seen.
      ignoreDefaultArgs: [
        '--disable-background-timer-throttling', '--disable-backgrounding-occluded-windows', '--disable-renderer-backgrounding',
      ],
      ...PATIENCE,
    });
  });
  after(async () => {
    await browser?.close();
    await display?.close();
    await server?.close();
    await site?.close();
    await removeProjects();
  });

  test('records on', async (t) => {
    const folder = await project({
      files: {
        'index.html': '<!doctype html><html lang="en"><title>Behind</title><canvas width="320" height="240"></canvas><script type="module" src="./main.js"></script></html>',
        'main.js': `
          import { Recorder } from './node_modules/sortie-recorder/index.js';
          const canvas = document.querySelector('canvas');
          canvas.getContext('2d', { alpha: false }).fillRect(0, 0, 320, 240);
          window.recorder = new Recorder({ server: '${server.origin}', getToken: () => '${api.tokens.access_token}', source: canvas });
          window.warnings = [];
          window.recorder.on('warning', ({ code }) => window.warnings.push(code));
          await window.recorder.start();
          window.ready = true;
        `,
      },
    });
    const page = await browser.newPage();
    await page.goto(site.add('behind', folder), PATIENCE);
    await page.waitForFunction(() => window.ready, PATIENCE);
    const front = await browser.newPage();
    await front.bringToFront();
    await page.waitForFunction(() => document.visibilityState === 'hidden', { ...PATIENCE, polling: 250 });
    const from = await page.evaluate(() => window.recorder.progress.recorded);
    await wait(BEHIND_MS);
    const { safeUntil, visibility } = await page.evaluate(() => ({
      safeUntil: window.recorder.progress.safeUntil, visibility: document.visibilityState,
    }));
    assert.equal(visibility, 'hidden');
    assert.ok(safeUntil - from > BEHIND_MS - LATE_MS, `of ${BEHIND_MS} ms behind another tab ${safeUntil - from} ms are safe`);
    const done = await page.evaluate(() => window.recorder.stop());
    await finishedRecording({ api, title: 'npm hidden', id: done.recordingId, seconds: done.recorded / 1_000 });
    assert.deepEqual(await page.evaluate(() => window.warnings), []);
    t.diagnostic(`${safeUntil - from} ms of ${BEHIND_MS} became safe behind another tab; ${await browser.version()}`);
  });
});

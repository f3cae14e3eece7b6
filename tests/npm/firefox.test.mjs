// The plain example in a real Firefox: another MediaRecorder, another WebM.

import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import puppeteer from 'puppeteer-core';
import { Api } from '../browser/support/api.mjs';
import { Server } from '../browser/support/server.mjs';
import { project, removeProjects } from './support/project.mjs';
import { RECORD_MS, finishedRecording, readSaved } from './support/recording.mjs';
import { Site } from './support/site.mjs';

/** A slow machine may take long to start it. */
const PATIENCE = { timeout: 60_000 };

describe('Firefox', { timeout: 600_000 }, () => {
  let site, server, browser, api;

  before(async () => {
    site = await Site.start();
    server = await Server.start({ SORTIE_CORS_ORIGINS: site.origin });
    api = await Api.signIn(server.origin);
    browser = await puppeteer.launch({
      browser: 'firefox', executablePath: process.env.SORTIE_FIREFOX ?? '/usr/bin/firefox-esr', headless: true, ...PATIENCE,
    });
  });
  after(async () => {
    await browser?.close();
    await server?.close();
    await site?.close();
    await removeProjects();
  });

  test('records a canvas', async (t) => {
    const page = await browser.newPage();
    await page.goto(site.add('plain', await project({ example: 'plain' })), PATIENCE);
    await page.$eval('input[name=server]', (input, value) => { input.value = value; }, server.origin);
    await page.$eval('input[name=token]', (input, value) => { input.value = value; }, api.tokens.access_token);
    await page.click('button');
    await page.waitForFunction(() => document.querySelector('button').textContent === 'Stop' || /[.!]$/.test(document.querySelector('output').textContent), PATIENCE);
    await wait(RECORD_MS);
    await page.click('button');
    const text = await page.waitForFunction(() => /Saved .*|.*[.!]$/.exec(document.querySelector('output').textContent)?.[0], PATIENCE);
    const saved = readSaved(await text.jsonValue());
    const file = await finishedRecording({ api, title: 'npm firefox', ...saved });
    t.diagnostic(`${await browser.version()}: ${file.video.codec_name}, ${file.durationSeconds} s`);
  });
});

// Firefox with the pages of a server.

import puppeteer from 'puppeteer-core';
import { ADMIN } from '../../browser/support/server.mjs';

const PATIENCE = { timeout: 60_000 };

/** Starts Firefox, in which videos play without a click. */
export const launchFirefox = (preferences = {}) => puppeteer.launch({
  browser: 'firefox', executablePath: process.env.SORTIE_FIREFOX ?? '/usr/bin/firefox-esr', headless: true, ...PATIENCE,
  extraPrefsFirefox: { 'media.autoplay.default': 0, ...preferences },
});

/** Signs in through the page. */
export async function signIn(page, origin) {
  await page.goto(`${origin}/login`, PATIENCE);
  await page.locator('input[autocomplete=username]').fill(ADMIN.username);
  await page.locator('input[type=password]').fill(ADMIN.password);
  await page.locator('button[type=submit]').click();
  await page.waitForFunction(() => !location.pathname.startsWith('/login'), PATIENCE);
}

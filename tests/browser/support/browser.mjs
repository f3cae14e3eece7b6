// Chromium with an empty profile.

import { mkdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { chromium } from 'playwright-core';
import { artifactsDir, fileName } from './artifacts.mjs';

const FLAGS = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
];

/** Grants camera and microphone, with a fake device. */
export const FAKE_CAMERA = ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream'];

/** Selects the tab with this title in the screen picker. */
export const shareTab = (title) => [`--auto-select-tab-capture-source-by-title=${title}`];

/** Starts a browser with additional Chromium `flags`. */
export function launch(flags = []) {
  // Chromium's sandbox does not work for root, the default user of most containers.
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({
    executablePath: process.env.SORTIE_CHROMIUM ?? '/usr/bin/chromium',
    // Playwright's default flags disable features that users have.
    ignoreDefaultArgs: ['--mute-audio'],
    args: [...FLAGS, ...sandbox, ...flags],
  });
}

/**
 * Like `launch`, with a profile on disk in the folder `profile`. Returns the browser's only context. Other contexts are
 * private ones, to which storage quotas do not apply.
 */
export function launchWithProfile(profile, flags = []) {
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launchPersistentContext(profile, {
    executablePath: process.env.SORTIE_CHROMIUM ?? '/usr/bin/chromium',
    args: [...FLAGS, ...sandbox, ...flags],
  });
}

const TYPES = { html: 'text/html', svg: 'image/svg+xml', mjs: 'text/javascript', js: 'text/javascript', wasm: 'application/wasm' };
const pagesDir = new URL('../pages/', import.meta.url).pathname;
/** Output folder of `scripts/js-client.sh`. */
const clientDir = process.env.SORTIE_CLIENT_JS ?? new URL('../../../target/client-js/', import.meta.url).pathname;

/** Folders beside `pages/`: the built client, and the static files of its package. */
const FOLDERS = { client: clientDir, npm: new URL('../../../client/npm/', import.meta.url).pathname };

/** File of a path `/e2e/…`: its `body` and `contentType`; `undefined` if it does not exist. */
export async function testFile(pathname) {
  const file = join(FOLDERS[pathname.split('/')[2]] ?? pagesDir, basename(pathname));
  const body = await readFile(file).catch(() => undefined);
  return body && { body, contentType: TYPES[file.split('.').pop()] ?? 'application/octet-stream' };
}

/**
 * Opens a file of `pages/` at `/e2e/…` of the server's origin, with these response `headers`. The interception ends
 * once the page has set the global variable `ready`.
 */
export async function openTestPage(page, origin, name, ready, headers = {}) {
  const pattern = `${origin}/e2e/**`;
  await page.route(pattern, async (route) => {
    const file = await testFile(new URL(route.request().url()).pathname);
    await route.fulfill(file ? { ...file, headers } : { status: 404, body: 'there is no such file' });
  });
  await page.goto(`${origin}/e2e/${name}`);
  await page.waitForFunction((it) => it in window, ready);
  await page.unroute(pattern);
}

/** Crashes the process of a page, as when the system kills it. */
export async function crash(page) {
  const crashed = new Promise((resolve) => page.once('crash', resolve));
  (await page.context().newCDPSession(page)).send('Page.crash').catch(() => {});
  await crashed;
}

/** Runs `action` with a new page; a failure saves a screenshot. */
export async function withPage(context, title, action) {
  const page = await context.newPage();
  const console = [];
  page.on('console', (message) => console.push(`${message.type()}: ${message.text()}`));
  // A page that has panicked may still show what a test waits for.
  const uncaught = [];
  page.on('pageerror', (error) => {
    uncaught.push(error.message);
    console.push(`uncaught: ${error.message}`);
  });
  try {
    const result = await action(page);
    if (uncaught.length > 0) throw new Error(`the page has broken: ${uncaught.join('; ')}`);
    return result;
  } catch (error) {
    await mkdir(artifactsDir, { recursive: true });
    const path = join(artifactsDir, `${fileName(title)}.png`);
    await page.screenshot({ path }).catch(() => {});
    throw new Error(
      `${error.message}\n  page: ${page.url()}\n  picture: ${path}\n  console:\n    ${console.join('\n    ')}`,
      { cause: error },
    );
  } finally {
    await page.close().catch(() => {});
  }
}

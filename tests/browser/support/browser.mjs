// A real Chromium with an empty profile.

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

/** Answers the camera's and the microphone's question with a yes and a test picture. */
export const FAKE_CAMERA = ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream'];

/** Answers the question which tab to share with the one of this title. */
export const shareTab = (title) => [`--auto-select-tab-capture-source-by-title=${title}`];

/** Starts a browser; `flags` are Chromium's own. */
export function launch(flags = []) {
  // Chromium's sandbox does not work for root, who runs most containers.
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({
    executablePath: process.env.SORTIE_CHROMIUM ?? '/usr/bin/chromium',
    // Its own list turns features off that a user's browser has.
    ignoreDefaultArgs: ['--mute-audio'],
    args: [...FLAGS, ...sandbox, ...flags],
  });
}

/**
 * The same with a profile on the disk, in the folder `profile`; a context, of which there is one in such a browser.
 * The others are private ones, to which no quota applies.
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
/** Where `scripts/js-client.sh` has put the client's JavaScript face. */
const clientDir = process.env.SORTIE_CLIENT_JS ?? new URL('../../../target/client-js/', import.meta.url).pathname;

/** What is not in `pages/`: the client as it was built, and what goes into its package as it is. */
const FOLDERS = { client: clientDir, npm: new URL('../../../client/npm/', import.meta.url).pathname };

/** What is at `/e2e/…`: its `body` and `contentType`; nothing where there is no such file. */
export async function testFile(pathname) {
  const file = join(FOLDERS[pathname.split('/')[2]] ?? pagesDir, basename(pathname));
  const body = await readFile(file).catch(() => undefined);
  return body && { body, contentType: TYPES[file.split('.').pop()] ?? 'application/octet-stream' };
}

/**
 * Opens one of `pages/` as if the server had it, at `/e2e/…`, so that it has the
 * API's origin. Nothing stands between page and server any more once the page
 * has set the global that `ready` names. It comes with these `headers`.
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

/** Runs `action` with a new page; a failure leaves a picture of it. */
export async function withPage(context, title, action) {
  const page = await context.newPage();
  const console = [];
  page.on('console', (message) => console.push(`${message.type()}: ${message.text()}`));
  // A page that has panicked stands still, but what it shows may still be what a test waits for.
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

// Driver of the page `recorder.html`, and assertions about its recordings.

import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { crash, openTestPage } from './browser.mjs';
import { assertPlays, assertWholeFile, untilReady } from './assertions.mjs';

/** Largest error of the reported duration. */
export const PROMISE_S = 1;
/** Includes a margin for a slow machine. */
const READY_WITHIN_MS = 20_000;
const PATIENCE_MS = 30_000;

/** Polls `ask` until `enough` accepts its result; returns the result. */
export async function until(what, ask, enough, withinMs = PATIENCE_MS) {
  const asked = performance.now();
  let seen;
  do {
    seen = await ask();
    if (enough(seen)) return seen;
    await wait(100);
  } while (performance.now() - asked < withinMs);
  return assert.fail(`not ${what} after ${withinMs} ms: ${JSON.stringify(seen)}`);
}

/** A Playwright page with a recorder. */
export class RecorderPage {
  #api;
  #cdp;

  constructor(page, api) {
    this.page = page;
    this.#api = api;
  }

  /** Opens the page on the API's origin or on `origin`. `tokens` are handed out in order, the last one repeatedly. */
  static async open(page, api, { origin, tokens = [api.tokens.access_token], headers } = {}) {
    if (origin) {
      await page.goto(`${origin}/e2e/recorder.html`);
      await page.waitForFunction(() => window.e2e);
    } else await openTestPage(page, api.origin, 'recorder.html', 'e2e', headers);
    await page.evaluate((it) => window.e2e.use(...it), tokens);
    return new RecorderPage(page, api);
  }

  /** Starts recording, in a new session unless `options` name one. */
  async record(options = {}) {
    const session = await (await this.#api.post('/api/sessions', { app_id: 'e2e' })).json();
    return this.page.evaluate((it) => window.e2e.start(it), { session: session.id, ...options });
  }

  progress = () => this.page.evaluate(() => window.e2e.progress());
  stop = () => this.page.evaluate(() => window.e2e.stop());
  recover = () => this.page.evaluate(() => window.e2e.recover());
  upload = (i) => this.page.evaluate((it) => window.e2e.upload(it), i);
  discard = (i) => this.page.evaluate((it) => window.e2e.discard(it), i);
  /** Codes of all warnings, without duplicates. */
  warnings = () => this.page.evaluate(() => window.e2e.warnings());

  /** Details of all events of a type. */
  heard(name) {
    return this.page.evaluate((it) => window.e2e.events(it), name);
  }

  /** Waits until the recorder's progress satisfies `enough`. */
  until(what, enough, withinMs) {
    return until(what, this.progress, enough, withinMs);
  }

  /** One session for each page: emulation of one session is not reset by another. */
  async cdp() {
    this.#cdp ??= await this.page.context().newCDPSession(this.page);
    return this.#cdp;
  }

  /** Disconnects this page's network, or reconnects it. */
  async offline(on) {
    const none = { latency: 0, downloadThroughput: -1, uploadThroughput: -1 };
    await (await this.cdp()).send('Network.emulateNetworkConditions', { offline: on, ...none });
  }

  /** Crashes the page's process. */
  async crash() {
    await crash(this.page);
    await this.page.close();
  }
}

/**
 * Asserts that a finished recording has the promised duration, passes independent programs, plays and seeks. With
 * `clock`, every frame shows its own time. Returns the duration in seconds.
 */
export async function assertKept({ api, context }, id, title, promisedMs, { clock = true } = {}) {
  await untilReady(api, id, READY_WITHIN_MS);
  const { duration_seconds: seconds } = await api.recording(id);
  const off = seconds - promisedMs / 1_000;
  assert.ok(Math.abs(off) <= PROMISE_S, `${promisedMs} ms were promised, ${seconds} s are there`);
  await assertWholeFile(api, id, { title, seconds });
  await assertPlays(context, api.origin, id, { title, seconds, clock, toleranceMs: PROMISE_S * 1_000 });
  return seconds;
}

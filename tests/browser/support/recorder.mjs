// The page `recorder.html`, driven from here, and what its recordings are held against.

import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { openTestPage } from './browser.mjs';
import { assertPlays, assertWholeFile, untilReady } from './proof.mjs';

/** From the issue: how far the duration may be from the one that was promised. */
export const PROMISE_S = 1;
/** A slow machine may take long. */
const READY_WITHIN_MS = 20_000;
const PATIENCE_MS = 30_000;

/** Asks until the answer is enough; gives that answer. */
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

/** A page with a recorder in it, in one of Playwright's pages. */
export class RecorderPage {
  #api;
  #cdp;

  constructor(page, api) {
    this.page = page;
    this.#api = api;
  }

  /**
   * Opens it where the API is, or at the `origin` of somebody who has it. `tokens` are given out one after the other, the
   * last one for good.
   */
  static async open(page, api, { origin, tokens = [api.tokens.access_token], headers } = {}) {
    if (origin) {
      await page.goto(`${origin}/e2e/recorder.html`);
      await page.waitForFunction(() => window.e2e);
    } else await openTestPage(page, api.origin, 'recorder.html', 'e2e', headers);
    await page.evaluate((it) => window.e2e.use(...it), tokens);
    return new RecorderPage(page, api);
  }

  /** Begins to record, in a session of its own unless `options` say where to. */
  async record(options = {}) {
    const session = await (await this.#api.post('/api/sessions', { app_id: 'e2e' })).json();
    return this.page.evaluate((it) => window.e2e.start(it), { session: session.id, ...options });
  }

  progress = () => this.page.evaluate(() => window.e2e.progress());
  stop = () => this.page.evaluate(() => window.e2e.stop());
  recover = () => this.page.evaluate(() => window.e2e.recover());
  upload = (i) => this.page.evaluate((it) => window.e2e.upload(it), i);
  discard = (i) => this.page.evaluate((it) => window.e2e.discard(it), i);
  /** The codes of all warnings, each once. */
  warnings = () => this.page.evaluate(() => window.e2e.warnings());

  /** What came with every event of that name. */
  heard(name) {
    return this.page.evaluate((it) => window.e2e.events(it), name);
  }

  /** Waits until the recorder's progress is enough. */
  until(what, enough, withinMs) {
    return until(what, this.progress, enough, withinMs);
  }

  /** One for each page: what one session emulates another does not undo. */
  async cdp() {
    this.#cdp ??= await this.page.context().newCDPSession(this.page);
    return this.#cdp;
  }

  /** Takes the network away from this page, or gives it back. */
  async offline(on) {
    const none = { latency: 0, downloadThroughput: -1, uploadThroughput: -1 };
    await (await this.cdp()).send('Network.emulateNetworkConditions', { offline: on, ...none });
  }

  /** Ends the page's process as a crash does. */
  async crash() {
    const crashed = new Promise((resolve) => this.page.once('crash', resolve));
    (await this.cdp()).send('Page.crash').catch(() => {});
    await crashed;
    await this.page.close();
  }
}

/**
 * Holds a finished recording against what was promised: it is as long, independent programs find nothing wrong with
 * it, and a browser plays it and seeks in it. `clock`: its picture tells the time, and is the right one everywhere.
 * Answers its length in seconds.
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

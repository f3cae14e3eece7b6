// What most suites begin with: a server, a browser and somebody who is signed in.

import { after, before } from 'node:test';
import { Api } from './api.mjs';
import { launch } from './browser.mjs';
import { Server } from './server.mjs';
import { signedIn } from './sign-in.mjs';

/**
 * Starts them before the tests of the suite in which this is called, and ends them after. There are `server`,
 * `browser`, `context` (whose pages are signed in), `visitor` (whose pages are not) and `api` once a test runs; `flags`
 * are Chromium's own.
 */
export function useStage({ flags = [] } = {}) {
  const stage = {};
  before(async () => {
    stage.server = await Server.start();
    stage.browser = await launch(flags);
    stage.context = await signedIn(stage.browser, stage.server.origin);
    stage.visitor = await stage.browser.newContext();
    stage.api = await Api.signIn(stage.server.origin);
  });
  after(async () => {
    await stage.browser?.close();
    await stage.server?.close();
  });
  return stage;
}

// Setup of most suites: a server, a browser and a signed-in user.

import { after, before } from 'node:test';
import { Api } from './api.mjs';
import { launch } from './browser.mjs';
import { Server } from './server.mjs';
import { signedIn } from './sign-in.mjs';

/**
 * Creates them before the tests of the calling suite and closes them after. The result has `server`, `browser`,
 * `context` (signed in), `visitor` (signed out) and `api` once a test runs; `flags` are Chromium flags.
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

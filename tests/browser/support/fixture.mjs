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
export function useFixture({ flags = [] } = {}) {
  const fixture = {};
  before(async () => {
    fixture.server = await Server.start();
    fixture.browser = await launch(flags);
    fixture.context = await signedIn(fixture.browser, fixture.server.origin);
    fixture.visitor = await fixture.browser.newContext();
    fixture.api = await Api.signIn(fixture.server.origin);
  });
  after(async () => {
    await fixture.browser?.close();
    await fixture.server?.close();
  });
  return fixture;
}

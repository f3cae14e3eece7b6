// Setup of the suites: a web server for the pages, the recording server, a browser.

import { after, before } from 'node:test';
import { Api } from '../../browser/support/api.mjs';
import { launch } from '../../browser/support/browser.mjs';
import { Server } from '../../browser/support/server.mjs';
import { removeProjects } from './project.mjs';
import { Site } from './site.mjs';

/**
 * Starts `site`, `server`, `browser` (with a `context`) and `api` before the tests of a suite and stops them after.
 * `start` starts a different browser; pages of `origin` may record, too. `environment` sets variables of the server.
 */
export function useSite({ start, origin, environment } = {}) {
  const stage = {};
  before(async () => {
    stage.site = await Site.start();
    const origins = [stage.site.origin, ...(origin ? [await origin()] : [])];
    stage.server = await Server.start({ SORTIE_CORS_ORIGINS: origins.join(), ...environment });
    stage.api = await Api.signIn(stage.server.origin);
    stage.browser = await (start ?? launch)();
    if (!start) stage.context = await stage.browser.newContext();
  });
  after(async () => {
    await stage.browser?.close();
    await stage.server?.close();
    await stage.site?.close();
    await removeProjects();
  });
  return stage;
}

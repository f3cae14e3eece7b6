// SORTIE_VIDEO_RECORDING_ENABLED=false: no routes, no controls.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Api } from './support/api.mjs';
import { launch, withPage } from './support/browser.mjs';
import { assertProblem } from './support/assertions.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

const ROUTES = [
  ['GET', '/api/recordings'],
  ['GET', '/api/recordings/x/download'],
  ['DELETE', '/api/recordings/x'],
  ['POST', '/api/sessions/x/recording/start'],
  ['POST', '/api/sessions/x/recording/stop'],
  ['POST', '/api/sessions/x/recording/upload'],
  ['POST', '/api/uploads'],
  ['HEAD', '/api/uploads/x'],
  ['PATCH', '/api/uploads/x'],
];

// Not set, and explicitly off.
for (const value of [undefined, 'false']) {
  describe(`recording ${value === undefined ? 'disabled by default' : 'disabled explicitly'}`, { timeout: 60_000 }, () => {
    let server, browser;

    before(async () => {
      server = await Server.start({ SORTIE_VIDEO_RECORDING_ENABLED: value });
      browser = await launch();
    });
    after(async () => {
      await browser?.close();
      await server?.close();
    });

    test('the recording routes do not exist', async () => {
      const api = await Api.signIn(server.origin);
      for (const [method, path] of ROUTES) {
        const response = await api.fetch(path, { method, headers: { 'tus-resumable': '1.0.0' } });
        if (method === 'HEAD') assert.equal(response.status, 404, `${method} ${path}`);
        else await assertProblem(response, 404);
      }
    });

    test('the pages show no recording controls', async () => {
      const context = await signedIn(browser, server.origin);
      await withPage(context, `recording ${value}`, async (page) => {
        for (const path of ['/', '/recordings']) {
          await page.goto(server.origin + path);
          await page.getByRole('button', { name: 'User menu' }).waitFor();
          await page.getByRole('heading', { level: 1 }).waitFor();
          const controls = page.getByRole('button', { name: /record|pause|resume/i });
          assert.deepEqual(await controls.allInnerTexts(), [], path);
          const links = page.getByRole('link', { name: /view recordings|my recordings/i });
          assert.deepEqual(await links.allInnerTexts(), [], path);
        }
      });
      await context.close();
    });
  });
}

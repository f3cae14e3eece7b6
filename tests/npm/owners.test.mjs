// A shared computer: two users use the same page in the same browser, one after the other.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { withPage } from '../browser/support/browser.mjs';
import { ADMIN } from '../browser/support/server.mjs';
import { project } from './support/project.mjs';
import { PATIENCE } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

// Tests wait more than they compute.
describe('owner of a recoverable recording', { timeout: 300_000, concurrency: 3 }, () => {
  const stage = useSite();
  let site, server, browser, api, other, folder, url;

  before(async () => {
    ({ site, server, browser, api } = stage);
    other = await api.newUser('colleague');
    folder = await project({
      files: {
        'index.html': `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Record</title>
          <script type="module" src="./main.js"></script></head><body><canvas width="320" height="240"></canvas></body></html>`,
        'main.js': `
          import { Recorder } from './node_modules/sortie-recorder/index.js';
          const canvas = document.querySelector('canvas');
          const context = canvas.getContext('2d', { alpha: false });
          const draw = (now) => {
            context.fillStyle = 'hsl(' + now / 20 + ' 60% 45%)';
            context.fillRect(0, 0, canvas.width, canvas.height);
            requestAnimationFrame(draw);
          };
          requestAnimationFrame(draw);
          const target = (token, more) => ({ server: ${JSON.stringify(server.origin)}, ...(token !== null && { getToken: () => token }), ...more });
          window.page = {
            record: async (token, more) => {
              window.recorder = new Recorder({ ...target(token, more), source: canvas });
              await window.recorder.start();
              return window.recorder.recordingId;
            },
            recover: async (token, more) => {
              const found = await Recorder.recover(target(token, more));
              const ids = found.map((it) => it.recordingId);
              for (const it of found) it.free();
              return ids;
            },
            refused: (token, more) => Recorder.recover(target(token, more)).then(() => 'nothing', ({ code, name }) => code ?? name),
          };
        `,
      },
    });
    url = site.add('owners', folder);
  });

  const open = async (page) => {
    await page.goto(url);
    await page.waitForFunction(() => window.page, null, PATIENCE);
  };
  /** Leaves a recoverable recording by closing its page. */
  const leave = async (own, title, token, more = {}) => {
    let id;
    await withPage(own, title, async (page) => {
      await open(page);
      id = await page.evaluate(([it, options]) => window.page.record(it, options), [token, more]);
      await page.waitForFunction(() => window.recorder.progress.safeMs > 0, null, PATIENCE);
    });
    return id;
  };
  /** Returns the ids of the recordings that the caller with this token is offered. */
  const offered = (page, token, more = {}) => page.evaluate(([it, options]) => window.page.recover(it, options), [token, more]);

  test('is the subject of the token: another user is not offered it', async () => {
    const own = await browser.newContext();
    const id = await leave(own, 'npm owners token', api.tokens.access_token);
    await withPage(own, 'npm owners token next', async (page) => {
      await open(page);
      assert.deepEqual(await offered(page, other.tokens.access_token), []);
      assert.deepEqual(await offered(page, api.tokens.access_token), [id]);
    });
    await own.close();
  });

  test('is the user that the server names for a token without a subject', async () => {
    const own = await browser.newContext();
    const opaque = async (caller) => {
      const made = await caller.post('/api/tokens', { name: 'npm owners', scopes: ['record'] });
      assert.equal(made.status, 201, await made.clone().text());
      return (await made.json()).token;
    };
    const [mine, theirs] = [await opaque(api), await opaque(other)];
    const id = await leave(own, 'npm owners opaque', mine);
    await withPage(own, 'npm owners opaque next', async (page) => {
      await open(page);
      assert.deepEqual(await offered(page, theirs), []);
      assert.deepEqual(await offered(page, mine), [id]);
      // The same user with another token.
      assert.deepEqual(await offered(page, api.tokens.access_token), [id]);
    });
    await own.close();
  });

  test('is the user of the cookies, in a page of the server', async () => {
    const own = await browser.newContext();
    // The package, served by the server itself.
    await own.route(`${server.origin}/app/**`, async (route) => {
      const path = new URL(route.request().url()).pathname.slice('/app/'.length) || 'index.html';
      await route.fulfill({ path: join(folder, path) });
    });
    const signIn = async (page, { username, password }) => {
      await page.goto(`${server.origin}/app/`);
      await page.waitForFunction(() => window.page, null, PATIENCE);
      const status = await page.evaluate(async (it) => {
        const headers = { 'content-type': 'application/json' };
        return (await fetch('/api/auth/login', { method: 'POST', headers, body: JSON.stringify(it) })).status;
      }, { username, password });
      assert.equal(status, 200);
    };
    let id;
    await withPage(own, 'npm owners cookies', async (page) => {
      await signIn(page, ADMIN);
      id = await page.evaluate(() => window.page.record(null, { server: '' }));
      await page.waitForFunction(() => window.recorder.progress.safeMs > 0, null, PATIENCE);
    });
    await withPage(own, 'npm owners cookies next', async (page) => {
      await signIn(page, other);
      assert.deepEqual(await offered(page, null, { server: '' }), []);
      await signIn(page, ADMIN);
      assert.deepEqual(await offered(page, null, { server: '' }), [id]);
    });
    await own.close();
  });

  test('is decided by the server if it was never known', async () => {
    const own = await browser.newContext();
    const { token } = await (await api.post('/api/tokens', { name: 'npm unowned', scopes: ['record'] })).json();
    await own.route('**/api/auth/me', (route) => route.abort());
    const id = await leave(own, 'npm unowned', token);
    await own.unroute('**/api/auth/me');
    await withPage(own, 'npm unowned next', async (page) => {
      await open(page);
      assert.deepEqual(await offered(page, other.tokens.access_token), []);
      assert.deepEqual(await offered(page, token), [id]);
    });
    await own.close();
  });

  test('is the one that the page names, exclusively', async () => {
    const own = await browser.newContext();
    const id = await leave(own, 'npm owners named', other.tokens.access_token, { owner: 'station 7' });
    await withPage(own, 'npm owners named next', async (page) => {
      await open(page);
      assert.deepEqual(await offered(page, other.tokens.access_token), []);
      assert.deepEqual(await offered(page, other.tokens.access_token, { owner: 'station 8' }), []);
      assert.deepEqual(await offered(page, other.tokens.access_token, { owner: 'station 7' }), [id]);
    });
    await own.close();
  });

  test('must be known: recover rejects without an answer', async () => {
    const own = await browser.newContext();
    await withPage(own, 'npm owners unknown', async (page) => {
      await open(page);
      const refused = (token, more) => page.evaluate(([it, options]) => window.page.refused(it, options), [token, more]);
      assert.equal(await refused('no token of this server', {}), 'signed_out');
      assert.equal(await refused('', {}), 'signed_out');
      assert.equal(await refused('no JSON Web Token', { server: 'http://127.0.0.1:9' }), 'unreachable');
    });
    await own.close();
  });
});

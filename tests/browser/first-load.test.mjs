// Code that the pages fetch: the library's on the first load, other parts when they are opened.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { brotliCompressSync, constants } from 'node:zlib';
import { Api } from './support/api.mjs';
import { launch, withPage } from './support/browser.mjs';
import { sampleWebm } from './support/media.mjs';
import { untilReady } from './support/assertions.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

/** Limit of all files that the library needs, compressed like those of a release. */
const LIBRARY_LIMIT_BYTES = 310_000;

const compressed = (bytes) =>
  brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }).length;

describe('first load', { timeout: 300_000 }, () => {
  let server, browser, context, id;

  before(async () => {
    server = await Server.start();
    browser = await launch();
    const api = await Api.signIn(server.origin);
    id = await api.upload(await sampleWebm(1));
    await untilReady(api, id, 20_000);
    context = await signedIn(browser, server.origin);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  /** Collects the responses of a page that are not answers of the API. */
  const filesOf = (page) => {
    const files = [];
    page.on('response', (response) => {
      if (!new URL(response.url()).pathname.startsWith('/api/')) files.push(response);
    });
    return files;
  };
  const named = (files, name) => files.filter((it) => new URL(it.url()).pathname.includes(name));

  test('the library needs few bytes and no code of other pages', async (t) => {
    await withPage(context, 'first load', async (page) => {
      const files = filesOf(page);
      await page.goto(`${server.origin}/recordings`);
      await page.locator(`a[href="/recordings/${id}"]`).first().waitFor();
      assert.deepEqual(named(files, 'split_').map((it) => it.url()), []);
      let total = 0;
      for (const file of files) total += compressed(await file.body());
      t.diagnostic(`${Math.round(total / 1000)} kB in ${files.length} files`);
      assert.ok(total <= LIBRARY_LIMIT_BYTES, `${total} bytes`);

      await page.locator(`a[href="/recordings/${id}"]`).first().click();
      await page.locator('video').waitFor();
      assert.equal(named(files, 'split_player').length, 1);
      assert.deepEqual(named(files, 'split_admin'), []);
      assert.deepEqual(named(files, 'split_recorder'), []);
    });
  });

  test('all code is immutable and compressed', async () => {
    await withPage(context, 'headers of code', async (page) => {
      const files = filesOf(page);
      await page.goto(`${server.origin}/admin/users`);
      await page.getByRole('heading', { name: 'Users' }).waitFor();
      const code = files.filter((it) => /\.(wasm|js|css)$/.test(it.url()));
      assert.ok(named(code, 'split_admin').length === 1, 'the administration was not loaded');
      for (const file of code) {
        const headers = await file.allHeaders();
        assert.match(headers['cache-control'], /immutable/, file.url());
        assert.equal(headers['content-encoding'], 'br', file.url());
        if (file.url().endsWith('.wasm')) assert.equal(headers['content-type'], 'application/wasm');
      }
    });
  });

  test('a part that cannot be fetched shows a message, and Retry loads it', async () => {
    // A profile of its own: the code must not be in the browser's cache.
    const context = await signedIn(browser, server.origin);
    await withPage(context, 'lost part', async (page) => {
      await page.goto(`${server.origin}/recordings`);
      await page.locator(`a[href="/recordings/${id}"]`).first().waitFor();
      await context.setOffline(true);
      await page.getByRole('button', { name: 'User menu' }).click();
      await page.getByRole('link', { name: 'Admin Panel' }).click();
      const notice = page.getByRole('alert').filter({ hasText: 'This page could not be loaded.' });
      await notice.waitFor();
      // Still offline: the message stays.
      await notice.getByRole('button', { name: 'Retry' }).click();
      await notice.waitFor();
      await context.setOffline(false);
      await notice.getByRole('button', { name: 'Retry' }).click();
      await page.getByRole('heading', { name: 'Admin Settings' }).waitFor();
      await page.getByRole('tab', { name: 'Users' }).click();
      await page.getByRole('heading', { name: 'Users' }).waitFor();
    });
    await context.close();
  });
});

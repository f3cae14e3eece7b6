// The pages below a path of a reverse proxy that strips or keeps the path.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { FAKE_CAMERA, launch, withPage } from './support/browser.mjs';
import { collectComplaints } from './support/console.mjs';
import { CLIENT, startProvider } from './support/oidc-provider.mjs';
import { PrefixProxy } from './support/prefix-proxy.mjs';
import { Server } from './support/server.mjs';
import { fillIn } from './support/sign-in.mjs';

for (const [prefix, strips] of [['/record', true], ['/apps/recordings', false]]) {
  describe(`below ${prefix}, which the proxy ${strips ? 'strips' : 'keeps'}`, { timeout: 180_000 }, () => {
    let proxy, provider, server, browser, base;

    /** Creates a context that collects the paths of its requests to the proxy. */
    const newContext = async () => {
      const context = await browser.newContext({ viewport: { width: 1280, height: 720 } });
      const paths = [];
      context.on('request', (request) => {
        const { protocol, origin, pathname } = new URL(request.url());
        if (protocol !== 'blob:' && origin === proxy.origin) paths.push(pathname);
      });
      return { context, paths };
    };
    /** Asserts that all requests were below the prefix, and that they include these. */
    const assertBelow = (paths, ...expected) => {
      assert.deepEqual(paths.filter((it) => !it.startsWith(`${prefix}/`)), []);
      for (const path of expected) assert.ok(paths.includes(prefix + path), `${path} was not requested: ${paths.join(' ')}`);
      assert.deepEqual(proxy.outside, []);
    };

    before(async () => {
      proxy = await PrefixProxy.start(prefix, { strips });
      base = proxy.base;
      const redirect = `${base}/api/auth/oidc/callback`;
      provider = await startProvider(redirect);
      server = await Server.start({
        SORTIE_PUBLIC_URL: base,
        SORTIE_OIDC_ISSUER: provider.issuer,
        SORTIE_OIDC_CLIENT_ID: CLIENT.id,
        SORTIE_OIDC_CLIENT_SECRET: CLIENT.secret,
        SORTIE_OIDC_REDIRECT_URL: redirect,
        SORTIE_OIDC_NAME: 'Example ID',
      });
      proxy.target = server.origin;
      browser = await launch(FAKE_CAMERA);
    });
    after(async () => {
      await browser?.close();
      await proxy?.close();
      await server?.close();
      await provider?.close();
    });

    test('records, lists, plays, downloads, administers and signs out below the path', async () => {
      const { context, paths } = await newContext();
      await withPage(context, `below ${prefix}`, async (page) => {
        const complaints = await collectComplaints(page);
        await page.goto(`${base}/recordings?status=ready`);
        await page.waitForURL((url) => url.pathname === `${prefix}/login`);
        await fillIn(page);
        await page.getByRole('heading', { name: 'My Recordings' }).waitFor();
        assert.equal(page.url(), `${base}/recordings?status=ready`);

        await page.getByRole('link', { name: 'Record', exact: true }).click();
        await page.waitForURL(`${base}/`);
        assert.equal(await page.getByRole('link', { name: 'Record', exact: true }).getAttribute('aria-current'), 'page');
        await page.getByLabel(/^Camera/).check();
        await page.getByRole('button', { name: 'Start recording' }).click();
        const stop = page.getByRole('button', { name: 'Stop recording' });
        await stop.waitFor();
        await page.getByText(/^Safe on the server up to 0:0[1-9]$/).waitFor();
        await wait(3_000);
        await stop.click();
        await page.waitForURL(`${base}/recordings/*`);
        const player = page.url();

        for (const open of [() => {}, () => page.reload()]) {
          await open();
          await page.locator('video').waitFor();
          // The element is looked up each time: the player may replace it when the recording becomes ready.
          await page.waitForFunction(() => document.querySelector('video')?.readyState >= 2);
          await page.evaluate(() => { document.querySelector('video').currentTime = 1.5; });
          await page.waitForFunction(() => {
            const { seeking, currentTime } = document.querySelector('video');
            return !seeking && Math.abs(currentTime - 1.5) < 0.5;
          });
          await page.evaluate(() => document.querySelector('video').play());
          await page.waitForFunction(() => document.querySelector('video').currentTime >= 2);
        }
        const download = page.waitForEvent('download');
        await page.getByRole('link', { name: 'Download', exact: true }).click();
        assert.equal(await (await download).failure(), null);

        await page.getByRole('button', { name: 'View recordings' }).click();
        await page.waitForURL(`${base}/recordings`);
        await page.getByText('Ready', { exact: true }).waitFor();
        await page.locator(`a[href="${new URL(player).pathname}"]`).first().click();
        await page.waitForURL(player);
        await page.goBack();
        await page.waitForURL(`${base}/recordings`);

        await page.getByRole('button', { name: 'User menu' }).click();
        await page.getByRole('link', { name: 'Admin Panel' }).click();
        await page.getByRole('heading', { name: 'Admin Settings' }).waitFor();
        for (const tab of ['Users', 'Storage', 'Audit log', 'Settings']) {
          await page.getByRole('tab', { name: tab }).click();
          await page.getByRole('tabpanel').getByRole('heading', { level: 2 }).waitFor();
          await page.waitForFunction(() => !document.querySelector('.skeleton'));
        }
        await page.waitForURL(`${base}/admin/settings`);
        await page.getByRole('tab', { name: 'Audit log' }).click();
        const log = page.waitForEvent('download');
        await page.getByRole('link', { name: /CSV/ }).click();
        assert.equal(await (await log).failure(), null);

        await page.getByRole('button', { name: 'User menu' }).click();
        await page.getByRole('button', { name: 'Sign out' }).click();
        await page.getByLabel('User name').waitFor();
        assert.equal(new URL(page.url()).pathname, `${prefix}/login`);
        // Chromium logs failed requests; a signed-out page causes a 401.
        assert.deepEqual(complaints.filter((it) => !/responded with a status of 4/.test(it)), []);
      });
      assertBelow(paths, '/api/info', '/api/auth/login', '/api/sessions', '/api/events', '/api/admin/users');
      await context.close();
    });

    test('signs in at an OpenID provider and returns to the page below the path', async () => {
      const { context, paths } = await newContext();
      await withPage(context, `provider below ${prefix}`, async (page) => {
        await page.goto(`${base}/account/tokens`);
        await page.getByRole('link', { name: 'Sign in with Example ID' }).click();
        await page.locator('input[name=login]').fill('dora');
        await page.locator('input[name=password]').fill('any');
        await page.getByRole('button', { name: 'Sign-in' }).click();
        await page.getByRole('button', { name: 'Continue' }).click();
        await page.getByRole('heading', { name: 'API tokens' }).waitFor();
        assert.equal(page.url(), `${base}/account/tokens`);
      });
      assertBelow(paths, '/api/auth/oidc/login', '/api/auth/oidc/callback');
      await context.close();
    });

    test('a page opened without the proxy moves below the path', async () => {
      const { context } = await newContext();
      await withPage(context, `beside ${prefix}`, async (page) => {
        await page.goto(`${server.origin}/recordings?status=ready`);
        await page.getByLabel('User name').waitFor();
        assert.equal(new URL(page.url()).pathname, `${prefix}/login`);
        await fillIn(page);
        await page.waitForURL(`${server.origin}${prefix}/recordings?status=ready`);
      });
      await context.close();
    });
  });
}

// Time and bytes until a page is usable, on a slow network with an empty cache. Run by `make bench PART=pages`.

import { Api } from './support/api.mjs';
import { untilReady } from './support/assertions.mjs';
import { launch } from './support/browser.mjs';
import { sampleWebm } from './support/media.mjs';
import { Server } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

/** Chromium's "Fast 3G". */
const NETWORK = { offline: false, latency: 562.5, downloadThroughput: 1.44e6 / 8, uploadThroughput: 675e3 / 8 };
const RUNS = 5;

const server = await Server.start();
const browser = await launch();
try {
  const api = await Api.signIn(server.origin);
  const id = await api.upload(await sampleWebm(2));
  await untilReady(api, id, 20_000);
  const context = await signedIn(browser, server.origin);
  // The library was open before, as for every signed-in user.
  const before = await context.newPage();
  await before.goto(`${server.origin}/recordings`);
  await before.locator(`a[href="/recordings/${id}"]`).first().waitFor();
  await before.close();

  const pages = [
    ['My Recordings', '/recordings', `a[href="/recordings/${id}"]`],
    ['Record', '/', '.button-record'],
    ['Player', `/recordings/${id}`, 'video'],
    ['Admin Panel, Users', '/admin/users', 'table'],
  ];
  console.log('| Page | Usable after, median | Files, compressed |\n|---|--:|--:|');
  for (const [name, path, usable] of pages) {
    const times = [];
    let bytes;
    for (let run = 0; run < RUNS; run++) {
      const page = await context.newPage();
      const client = await context.newCDPSession(page);
      await client.send('Network.enable');
      await client.send('Network.setCacheDisabled', { cacheDisabled: true });
      await client.send('Network.emulateNetworkConditions', NETWORK);
      const paths = new Map();
      bytes = 0;
      client.on('Network.requestWillBeSent', ({ requestId, request }) => paths.set(requestId, new URL(request.url).pathname));
      client.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
        if (!paths.get(requestId)?.startsWith('/api/')) bytes += encodedDataLength;
      });
      const start = performance.now();
      await page.goto(server.origin + path, { waitUntil: 'commit' });
      await page.locator(usable).first().waitFor();
      times.push(performance.now() - start);
      await page.close();
    }
    const median = times.sort((a, b) => a - b)[Math.floor(RUNS / 2)];
    console.log(`| ${name} | ${(median / 1000).toFixed(1)} s | ${Math.round(bytes / 1000)} kB |`);
  }
} finally {
  await browser.close();
  await server.close();
}

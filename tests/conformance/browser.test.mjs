// tus-js-client and Uppy in Chromium, on a page of the server's origin.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { build } from 'esbuild';
import { launch, withPage } from '../browser/support/browser.mjs';
import { MIB, Sut, idOf, noise } from './support/sut.mjs';

const PAGE = '<!doctype html><meta charset="utf-8"><title>tus</title><script src="/conformance/clients.js"></script>';

let sut;
let browser;
let script;

before(async () => {
  const bundled = await build({
    entryPoints: [new URL('pages/clients.mjs', import.meta.url).pathname],
    bundle: true,
    write: false,
    format: 'iife',
  });
  script = bundled.outputFiles[0].text;
  sut = await Sut.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await sut?.close();
});

/** Opens a page with the clients and with a file of `bytes` as `window.sent`. */
async function open(page, bytes, name) {
  await page.route(`${sut.server.origin}/conformance/**`, (route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname.endsWith('.js')) return route.fulfill({ body: script, contentType: 'text/javascript' });
    if (pathname.endsWith('/sent')) return route.fulfill({ body: bytes, contentType: 'application/octet-stream' });
    return route.fulfill({ body: PAGE, contentType: 'text/html' });
  });
  await page.goto(`${sut.server.origin}/conformance/`);
  await prepare(page, name);
}

/** Prepares the page after every (re)load. */
async function prepare(page, name) {
  await page.waitForFunction(() => window.ready);
  await page.evaluate(async ({ name, common }) => {
    const blob = await (await fetch('/conformance/sent')).blob();
    // The fingerprint of the file is the same after a reload.
    window.sent = new File([blob], name, { type: 'video/webm', lastModified: 1_700_000_000_000 });
    window.common = common;
    /** Uploads to the end, or until `stopAt` bytes are acknowledged. */
    window.upload = (source, options, stopAt = Infinity, terminate = false) => new Promise((resolve, reject) => {
      const it = new window.tus.Upload(source, {
        ...window.common,
        retryDelays: null,
        ...options,
        onError: reject,
        onSuccess: () => resolve(it.url),
        onChunkComplete: (_, accepted) => {
          if (accepted >= stopAt) it.abort(terminate).then(() => resolve(it.url), reject);
        },
      });
      window.last = it;
      Promise.resolve(options.prepare?.(it)).then(() => it.start(), reject);
    });
    /** Uploads the file with Uppy; returns its URL. */
    window.uppy = async (options) => {
      const uppy = new window.Uppy({ id: 'conformance' }).use(window.UppyTus, { ...window.common, ...options });
      window.lastUppy = uppy;
      uppy.addFile({ name: window.sent.name, type: window.sent.type, data: window.sent });
      const { successful, failed } = await uppy.upload();
      if (failed.length > 0) throw new Error(failed[0].error);
      return successful[0].uploadURL;
    };
  }, { name, common: { endpoint: sut.endpoint, headers: sut.headers } });
}

const withClients = (title, bytes, name, action) =>
  test(title, () => withPage(browser, title, async (page) => {
    await open(page, bytes(), name);
    await action(page, bytes());
  }));

const some = (seed) => {
  const bytes = noise(3 * MIB + seed, seed);
  return () => bytes;
};

withClients('tus-js-client uploads chunks', some(1), 'a.bin', async (page, sent) => {
  const url = await page.evaluate(() => window.upload(window.sent, { chunkSize: 400_000 }));
  await sut.assertArrived(url, sent);
});

withClients('tus-js-client uploads a WebM file', () => sut.webm, 'a.webm', async (page) => {
  const url = await page.evaluate(() => window.upload(window.sent, {
    chunkSize: 30_000,
    metadata: { filename: window.sent.name, filetype: window.sent.type },
  }));
  const recording = await sut.assertPlayable(url, 'tus-js-client in Chromium');
  assert.equal(recording.filename, 'a.webm');
});

withClients('tus-js-client joins parallel uploads', some(2), 'b.bin', async (page, sent) => {
  const url = await page.evaluate(() => window.upload(window.sent, { parallelUploads: 3, chunkSize: 400_000 }));
  await sut.assertArrived(url, sent);
});

withClients('tus-js-client uploads a stream of deferred length', some(3), 'c.bin', async (page, sent) => {
  const url = await page.evaluate(() => window.upload(
    window.sent.stream().getReader(),
    { uploadLengthDeferred: true, chunkSize: 400_000 },
  ));
  await sut.assertArrived(url, sent);
});

for (const parallelUploads of [1, 3]) {
  withClients(`tus-js-client resumes after a reload (${parallelUploads} parallel)`, some(3 + parallelUploads), 'd.bin', async (page, sent) => {
    const options = { parallelUploads, chunkSize: 256 * 1024 };
    await page.evaluate((options) => window.upload(window.sent, options, 1_000_000), options);
    await page.reload();
    await prepare(page, 'd.bin');
    const heads = [];
    page.on('request', (request) => { if (request.method() === 'HEAD') heads.push(request.url()); });
    const url = await page.evaluate((options) => window.upload(window.sent, {
      ...options,
      prepare: async (it) => {
        const [previous] = await it.findPreviousUploads();
        it.resumeFromPreviousUpload(previous);
      },
    }), options);
    assert.equal(heads.length, parallelUploads);
    await sut.assertArrived(url, sent);
  });
}

withClients('tus-js-client terminates an upload halfway', some(8), 'e.bin', async (page) => {
  const url = await page.evaluate(() => window.upload(window.sent, { chunkSize: 400_000 }, 1_000_000, true));
  await sut.assertGone(url);
});

withClients('Uppy uploads chunks', some(9), 'f.bin', async (page, sent) => {
  const url = await page.evaluate(() => window.uppy({ chunkSize: 400_000 }));
  await sut.assertArrived(url, sent);
});

withClients('Uppy uploads a WebM file in one request', () => sut.webm, 'uppy.webm', async (page) => {
  const url = await page.evaluate(() => window.uppy({}));
  const recording = await sut.assertPlayable(url, 'Uppy in Chromium');
  assert.equal(recording.filename, 'uppy.webm');
});

withClients('Uppy joins parallel uploads', some(10), 'g.bin', async (page, sent) => {
  const url = await page.evaluate(() => window.uppy({ parallelUploads: 3, chunkSize: 400_000 }));
  await sut.assertArrived(url, sent);
});

withClients('Uppy pauses and resumes', some(11), 'h.bin', async (page, sent) => {
  const url = await page.evaluate(async () => {
    const uploading = window.uppy({ chunkSize: 256 * 1024 });
    await new Promise((resolve) => {
      window.lastUppy.on('upload-progress', (_, { bytesUploaded }) => { if (bytesUploaded > 1_000_000) resolve(); });
    });
    window.lastUppy.pauseAll();
    window.lastUppy.resumeAll();
    return uploading;
  });
  await sut.assertArrived(url, sent);
});

withClients('Uppy terminates the upload of a removed file', some(12), 'i.bin', async (page) => {
  const deleted = page.waitForResponse((response) => response.request().method() === 'DELETE');
  await page.evaluate(async () => {
    window.uppy({ chunkSize: 256 * 1024 }).catch(() => {});
    const file = await new Promise((resolve) => {
      window.lastUppy.on('upload-progress', (it, { bytesUploaded }) => { if (bytesUploaded > 1_000_000) resolve(it); });
    });
    window.lastUppy.removeFile(file.id);
  });
  const response = await deleted;
  assert.equal(response.status(), 204);
  await sut.assertGone(`${sut.endpoint}/${idOf(response.url())}`);
});

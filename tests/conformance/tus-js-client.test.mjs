// tus-js-client in Node.

import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import * as tus from 'tus-js-client';
import { MIB, Sut, noise } from './support/sut.mjs';

let sut;
before(async () => { sut = await Sut.start(); });
after(() => sut.close());

/** Uploads to the end; calls `during` after every acknowledged chunk. */
function upload(source, options, during = () => {}) {
  const requests = [];
  return new Promise((resolve, reject) => {
    const upload = new tus.Upload(source, {
      endpoint: sut.endpoint,
      headers: sut.headers,
      retryDelays: null,
      ...options,
      onAfterResponse: (request, response) => requests.push(
        `${request.getMethod()} ${request.getHeader('X-HTTP-Method-Override') ?? ''} ${response.getStatus()}`,
      ),
      onChunkComplete: (size, accepted, total) => during(upload, accepted, total, requests),
      onError: reject,
      onSuccess: () => resolve({ url: upload.url, requests, upload }),
    });
    Promise.resolve(options.prepare?.(upload)).then(() => upload.start(), reject);
  });
}

/** Starts an upload and aborts it when all parts have begun and one has `bytes` bytes; returns its URL. */
async function abortedUpload(source, options, bytes) {
  return new Promise((resolve, reject) => {
    const ended = upload(source, options, (it, accepted, _, requests) => {
      const begun = requests.filter((request) => request === 'POST  201').length;
      if (accepted >= bytes && begun >= (options.parallelUploads ?? 1)) it.abort().then(() => resolve(it.url), reject);
    });
    ended.then(() => reject(new Error('the upload completed before it was aborted')), reject);
  });
}

test('upload in one request arrives', async () => {
  const sent = noise(3 * MIB + 17);
  const { url } = await upload(sent, {});
  await sut.assertArrived(url, sent);
});

test('WebM file in chunks becomes a recording with its name', async () => {
  const { url, requests } = await upload(sut.webm, {
    chunkSize: 20_000,
    metadata: { filename: 'talk.webm', filetype: 'video/webm', note: 'grüße, 🎥' },
  });
  assert.ok(requests.length > 4, requests.join());
  const recording = await sut.assertPlayable(url, 'tus-js-client chunks');
  assert.equal(recording.filename, 'talk.webm');
  const metadata = (await sut.head(url)).headers.get('upload-metadata');
  const note = /note ([^,]*)/.exec(metadata)[1];
  assert.equal(Buffer.from(note, 'base64').toString(), 'grüße, 🎥');
});

test('recording belongs to the session in the metadata', async () => {
  const session = await (await sut.api.post('/api/sessions', { app_id: 'conformance' })).json();
  const { url } = await upload(sut.webm, { metadata: { session_id: session.id } });
  assert.equal((await sut.finished(url)).session_id, session.id);
});

test('creation carries the first bytes', async () => {
  const sent = noise(2 * MIB, 2);
  const { url, requests } = await upload(sent, { uploadDataDuringCreation: true, chunkSize: MIB });
  assert.deepEqual(requests, ['POST  201', 'PATCH  204']);
  await sut.assertArrived(url, sent);
});

test('POST replaces PATCH', async () => {
  const sent = noise(MIB, 3);
  const { url, requests } = await upload(sent, { overridePatchMethod: true });
  assert.deepEqual(requests, ['POST  201', 'POST PATCH 204']);
  await sut.assertArrived(url, sent);
});

test('stream of unknown length arrives', async () => {
  const sent = noise(2 * MIB + 5, 4);
  // A plain stream, not the file's own: tus-js-client knows the size of a file and would wait for further bytes.
  const stream = Readable.from([sent], { objectMode: false });
  const { url } = await upload(stream, { uploadLengthDeferred: true, chunkSize: 300_000 });
  await sut.assertArrived(url, sent);
});

test('parallel uploads are joined', async () => {
  const sent = noise(4 * MIB + 3, 5);
  const { url, requests } = await upload(sent, { parallelUploads: 4, chunkSize: 400_000 });
  assert.equal(requests.filter((it) => it === 'POST  201').length, 5, requests.join());
  await sut.assertArrived(url, sent);
  assert.match((await sut.head(url)).headers.get('upload-concat'), /^final;/);
});

test('WebM file in parallel uploads is one recording', async () => {
  const { url } = await upload(sut.webm, { parallelUploads: 3, metadata: { filename: 'parts.webm' } });
  const recording = await sut.assertPlayable(url, 'tus-js-client parallel');
  assert.equal(recording.filename, 'parts.webm');
});

for (const parallelUploads of [1, 3]) {
  test(`upload resumes from its fingerprint after an abort (${parallelUploads} parallel)`, async () => {
    const sent = noise(3 * MIB + 1, 5 + parallelUploads);
    const path = await sut.file(`resume-${parallelUploads}.bin`, sent);
    const options = {
      urlStorage: new tus.FileUrlStorage(join(sut.folder, `urls-${parallelUploads}.json`)),
      storeFingerprintForResuming: true,
      chunkSize: 256 * 1024,
      parallelUploads,
    };
    await abortedUpload(createReadStream(path), options, MIB / 2);
    let found;
    const { url, requests } = await upload(createReadStream(path), {
      ...options,
      prepare: async (upload) => {
        // The URLs of a parallel upload are stored behind its back.
        while (!found?.length) found = await upload.findPreviousUploads();
        upload.resumeFromPreviousUpload(found[0]);
      },
    });
    assert.equal(found.length, 1);
    assert.equal(requests.filter((it) => it === 'HEAD  200').length, parallelUploads);
    await sut.assertArrived(url, sent);
  });
}

test('upload resumes automatically after a kill of the server', async () => {
  const sent = noise(4 * MIB, 9);
  let killed;
  const { url, requests } = await upload(
    sent,
    { chunkSize: 256 * 1024, retryDelays: [100, 300, 1000, 2000, 4000] },
    (_, accepted) => {
      if (accepted >= MIB) killed ??= sut.server.kill().then(() => sut.server.restart());
    },
  );
  await killed;
  assert.ok(requests.includes('HEAD  200'), requests.join());
  await sut.assertArrived(url, sent);
});

test('upload is terminated halfway', async () => {
  const url = await new Promise((resolve, reject) => {
    upload(noise(2 * MIB, 10), { chunkSize: 256 * 1024 }, (it, accepted) => {
      if (accepted >= MIB) it.abort(true).then(() => resolve(it.url), reject);
    }).catch(reject);
  });
  await sut.assertGone(url);
});

test('too large upload is refused without retries', async () => {
  await assert.rejects(
    upload(noise(10), { uploadSize: 600 * MIB, retryDelays: [10, 10] }),
    (error) => error.originalResponse?.getStatus() === 413,
  );
});

// Server under test, uploaded files and their verification.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Api } from '../../browser/support/api.mjs';
import { inspect, sampleWebm } from '../../browser/support/media.mjs';
import { Server } from '../../browser/support/server.mjs';

export const MIB = 1024 * 1024;
const FINISH_TIMEOUT_MS = 10_000;

/** A running server, a signed-in API client, and a folder for the uploaded files. */
export class Sut {
  static async start() {
    const sut = new Sut();
    sut.server = await Server.start();
    sut.api = await Api.signIn(sut.server.origin);
    sut.folder = await mkdtemp(join(tmpdir(), 'sortie-conformance-'));
    sut.webm = await sampleWebm(3);
    return sut;
  }

  async close() {
    await this.server.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  get endpoint() {
    return `${this.server.origin}/api/uploads`;
  }

  get headers() {
    return { Authorization: `Bearer ${this.api.tokens.access_token}` };
  }

  /** Writes a file to upload; returns its path. */
  async file(name, bytes) {
    const path = join(this.folder, name);
    await writeFile(path, bytes);
    return path;
  }

  head(url) {
    return fetch(url, { method: 'HEAD', headers: { ...this.headers, 'Tus-Resumable': '1.0.0' } });
  }

  /** Waits until the recording of an upload is complete, and returns it. */
  async finished(url) {
    const id = idOf(url);
    const until = Date.now() + FINISH_TIMEOUT_MS;
    for (;;) {
      const recording = await this.api.recording(id);
      assert.ok(recording, `recording ${id} not found`);
      if (['ready', 'failed'].includes(recording.status)) return recording;
      assert.ok(Date.now() < until, `the recording stays ${recording.status}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /**
   * Compares the stored file with the sent bytes, which are not a recording: the server keeps them raw with the status
   * `failed`.
   */
  async assertArrived(url, sent) {
    const recording = await this.finished(url);
    assert.equal(recording.status, 'failed');
    const stored = await readFile(join(this.server.dataDir, 'recordings', recording.storage_path));
    assert.ok(stored.equals(sent), `the ${stored.length} stored bytes differ from the ${sent.length} sent bytes`);
    await this.assertComplete(url, sent.length);
  }

  /** Checks an uploaded WebM file with independent programs. */
  async assertPlayable(url, title) {
    const recording = await this.finished(url);
    assert.equal(recording.status, 'ready', recording.failure);
    assert.equal(recording.interrupted, false);
    const media = await inspect(await this.api.download(recording.id), title);
    assert.ok(Math.abs(media.durationSeconds - 3) < 0.2, `it lasts ${media.durationSeconds} s`);
    await this.assertComplete(url, this.webm.length);
    return recording;
  }

  async assertComplete(url, length) {
    const response = await this.head(url);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('upload-offset'), String(length));
    assert.equal(response.headers.get('upload-length'), String(length));
    assert.equal(response.headers.get('upload-expires'), null);
  }

  /** Asserts that neither row nor upload exists. */
  async assertGone(url) {
    assert.equal((await this.head(url)).status, 404);
    assert.equal(await this.api.recording(idOf(url)), undefined);
  }
}

export const idOf = (url) => url.split('/').at(-1);

/** Pseudo-random bytes that are not a recording, determined by the seed. */
export function noise(length, seed = 1) {
  const bytes = Buffer.alloc(length);
  let state = seed;
  for (let at = 0; at + 4 <= length; at += 4) {
    // Marsaglia's xorshift32.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes.writeInt32LE(state | 0, at);
  }
  return bytes;
}

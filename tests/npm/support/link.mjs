// A proxy between a browser and the server: a slow link, one that breaks, or one on which single requests fail.

import { createServer, request as forward } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';

/** Bytes that are sent together. */
const PIECE = 4 << 10;

/** Waits until more can be written, or the client is gone. */
const drained = (response) => new Promise((resolve) => {
  const done = () => {
    response.off('drain', done).off('close', done);
    resolve();
  };
  response.on('drain', done).on('close', done);
});

/** Forwards requests, and counts those for files of recordings, and their bytes. */
export class Link {
  bytes = 0;
  /** Ranges of the requests for files. */
  ranges = [];
  /** Delay of each request in milliseconds, and bytes a second of all answers together. */
  delayMs = 0;
  bytesPerSecond = Infinity;
  /** Status for a request (path, headers) instead of the server's answer; 0 ends the connection. */
  refusal = () => undefined;
  refused = 0;
  #freeAt = 0;

  static async start(target) {
    const link = new Link();
    link.server = createServer((request, response) => { link.#pass(target, request, response).catch(() => response.destroy()); });
    await new Promise((resolve) => link.server.listen(0, '127.0.0.1', resolve));
    link.origin = `http://127.0.0.1:${link.server.address().port}`;
    return link;
  }

  reset() {
    Object.assign(this, { bytes: 0, ranges: [], refused: 0, delayMs: 0, bytesPerSecond: Infinity, refusal: () => undefined });
  }

  async #pass(target, request, response) {
    const { method, headers, url } = request;
    const refusal = this.refusal(url, headers);
    if (refusal !== undefined) {
      this.refused += 1;
      if (refusal === 0) return response.destroy();
      response.writeHead(refusal, { 'content-type': 'application/problem+json' });
      return response.end('{}');
    }
    const isFile = url.endsWith('/stream');
    if (isFile) this.ranges.push(headers.range ?? 'whole');
    if (this.delayMs > 0) await wait(this.delayMs);
    const answer = await new Promise((resolve, reject) => {
      const to = forward(new URL(url, target), { method, headers }, resolve).on('error', reject);
      response.on('close', () => to.destroy());
      request.pipe(to);
    });
    response.writeHead(answer.statusCode, answer.headers);
    for await (const piece of answer) {
      for (let at = 0; at < piece.length && !response.destroyed; at += PIECE) {
        const part = piece.subarray(at, at + PIECE);
        const from = Math.max(this.#freeAt, performance.now());
        this.#freeAt = from + part.length / this.bytesPerSecond * 1000;
        if (this.#freeAt > performance.now()) await wait(this.#freeAt - performance.now());
        if (isFile) this.bytes += part.length;
        if (!response.write(part) && !response.destroyed) await drained(response);
      }
    }
    response.end();
  }

  async close() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

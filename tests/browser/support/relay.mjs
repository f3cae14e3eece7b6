// A web server with the test pages: a relay to the API, or an unrelated server.

import { createServer, request as forward } from 'node:http';
import { testFile } from './browser.mjs';

export class Relay {
  #server;
  #to;
  /** Whether uploads are delayed from now on. */
  holds = false;
  /** Delay; longer than a tab takes to close. */
  holdMs = 2_000;
  /** Received PATCH requests: `bytes`, whether it was `broken` off, and the `status` of the server's response. */
  patches = [];
  /** Status of unknown paths. */
  status = 404;
  /** Origin as browsers see it. */
  origin;

  /**
   * Forwards requests to `origin`, except for the test pages. Responses for a closed page are discarded, and aborted
   * requests are not completed. Without `origin`, all other paths return `status` and allow every origin.
   */
  static async start(origin) {
    const relay = new Relay();
    relay.#to = origin;
    relay.#server = createServer((request, response) => relay.#answer(request, response));
    await new Promise((resolve) => relay.#server.listen(0, '127.0.0.1', resolve));
    relay.origin = `http://127.0.0.1:${relay.#server.address().port}`;
    return relay;
  }

  async #answer(request, response) {
    const { pathname } = new URL(request.url, this.origin);
    const file = pathname.startsWith('/e2e/') && (await testFile(pathname));
    if (file) response.writeHead(200, { 'content-type': file.contentType }).end(file.body);
    else if (this.#to) this.#pass(request, response);
    else {
      for (const what of ['origin', 'headers', 'methods']) response.setHeader(`access-control-allow-${what}`, '*');
      response.setHeader('access-control-allow-headers', '*, authorization');
      response.writeHead(request.method === 'OPTIONS' ? 204 : this.status, { 'content-type': 'text/html' }).end();
    }
  }

  #pass(request, response) {
    const { method, headers } = request;
    const patch = method === 'PATCH' ? { bytes: Number(headers['content-length']), broken: false } : undefined;
    if (patch) this.patches.push(patch);
    const to = forward(new URL(request.url, this.#to), { method, headers }, (answer) => {
      if (patch) patch.status = answer.statusCode;
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    to.on('error', () => response.destroy());
    request.on('aborted', () => {
      if (patch) patch.broken = true;
      to.destroy();
    });
    if (patch && this.holds) setTimeout(() => request.pipe(to), this.holdMs);
    else request.pipe(to);
  }

  async close() {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

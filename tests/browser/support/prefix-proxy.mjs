// A reverse proxy that serves another server below a path.

import { createServer, request as forward } from 'node:http';

export class PrefixProxy {
  #server;
  #prefix;
  #strips;
  /** Origin of the server behind it. */
  target;
  /** Origin as browsers see it. */
  origin;
  /** Paths of requests outside of the prefix; answered with 404. */
  outside = [];

  /** Starts a proxy for the path `prefix`, which it removes if `strips` is set. */
  static async start(prefix, { strips }) {
    const proxy = new PrefixProxy();
    proxy.#prefix = prefix;
    proxy.#strips = strips;
    proxy.#server = createServer((request, response) => proxy.#pass(request, response));
    await new Promise((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    proxy.origin = `http://127.0.0.1:${proxy.#server.address().port}`;
    return proxy;
  }

  /** Address of the server behind it, without a slash at the end. */
  get base() {
    return this.origin + this.#prefix;
  }

  #pass(request, response) {
    const { method, headers, url } = request;
    if (!url.startsWith(`${this.#prefix}/`)) {
      this.outside.push(url);
      response.writeHead(404, { 'content-type': 'text/plain' }).end('outside of the prefix');
      return;
    }
    const path = this.#strips ? url.slice(this.#prefix.length) : url;
    const to = forward(new URL(path, this.target), { method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    to.on('error', () => response.destroy());
    response.on('close', () => to.destroy());
    request.pipe(to);
  }

  async close() {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

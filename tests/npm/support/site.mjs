// Web server for built pages. As for an app developer, its origin is not that of the recording server.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';

const TYPES = {
  '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css', '.wasm': 'application/wasm',
};

export class Site {
  #server;
  #folders = new Map();
  origin;

  static async start() {
    const site = new Site();
    site.#server = createServer((request, response) => site.#answer(request, response));
    await new Promise((resolve) => site.#server.listen(0, '127.0.0.1', resolve));
    site.origin = `http://127.0.0.1:${site.#server.address().port}`;
    return site;
  }

  /** Serves `folder` with these headers and returns the URL of its index page. */
  add(name, folder, headers = {}) {
    this.#folders.set(name, { folder, headers });
    return `${this.origin}/${name}/`;
  }

  async #answer(request, response) {
    const [, name, ...rest] = normalize(new URL(request.url, this.origin).pathname).split('/');
    const path = decodeURIComponent(rest.join('/')) || 'index.html';
    const { folder, headers } = this.#folders.get(name) ?? {};
    const body = folder && (await readFile(join(folder, path)).catch(() => undefined));
    if (body === undefined) response.writeHead(404).end();
    else response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream', ...headers }).end(body);
  }

  async close() {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

// Server of both contestants: a tus 1.0 server that counts bytes and discards them.

import { createServer } from 'node:http';

/** Serves `/files`, and pages that `page(pathname)` returns as `{body, type}`. */
export async function startSink(page) {
  const offsets = [];
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const [, files, number] = pathname.split('/');
    if (files !== 'files') {
      const found = await page(pathname);
      if (!found) return response.writeHead(404).end();
      return response.writeHead(200, { 'content-type': found.type, 'cache-control': 'public, max-age=3600' }).end(found.body);
    }
    response.setHeader('tus-resumable', '1.0.0');
    if (request.method === 'OPTIONS') {
      return response.writeHead(204, { 'tus-version': '1.0.0', 'tus-extension': 'creation,creation-defer-length' }).end();
    }
    if (request.method === 'POST') {
      offsets.push(0);
      return response.writeHead(201, { location: `/files/${offsets.length - 1}` }).end();
    }
    if (request.method === 'PATCH') for await (const bytes of request) offsets[number] += bytes.length;
    const status = request.method === 'PATCH' ? 204 : 200;
    return response.writeHead(status, { 'upload-offset': offsets[number], 'upload-defer-length': '1' }).end();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    received: () => offsets.reduce((sum, it) => sum + it, 0),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

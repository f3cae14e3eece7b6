// Upload host of api.video: its progressive upload, as @api.video/video-uploader 1.1.6 speaks it. It keeps what it has
// acknowledged.
//
// POST /upload?token=…, `Content-Range: part 2/*`, and `part 3/3` for the last one; a form with `videoId`, from the second part
// on, and `file`. The answer is the video. A repeated part replaces the first one.

import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const CORS = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'POST',
  'access-control-allow-headers': 'content-range, av-origin-client, av-origin-sdk',
};

export class ApiVideoSink {
  #server;
  #certificate;
  #port = 0;
  /** Sizes of the parts of each video. */
  #videos = new Map();
  /** Expiry of each upload token. */
  #tokens = new Map();

  static async start() {
    const sink = new ApiVideoSink();
    sink.#certificate = await selfSigned();
    await sink.restart();
    return sink;
  }

  /** Host and port; the package speaks HTTPS only. */
  get host() {
    return `127.0.0.1:${this.#port}`;
  }

  /** Returns a new upload token, which may expire. */
  token(seconds = 3_600) {
    const token = randomBytes(16).toString('hex');
    this.#tokens.set(token, Date.now() + seconds * 1_000);
    return token;
  }

  /** Bytes that were acknowledged. */
  bytes() {
    return [...this.#videos.values()].flatMap((parts) => [...parts.values()]).reduce((sum, it) => sum + it, 0);
  }

  forget() {
    this.#videos.clear();
  }

  async kill() {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async restart() {
    this.#server = createServer(this.#certificate, (request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
    await new Promise((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = this.#server.address().port;
  }

  async #answer(request, response) {
    const { pathname, searchParams } = new URL(request.url, 'https://localhost');
    const say = (status, body) => response.writeHead(status, { ...CORS, 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (request.method === 'OPTIONS') return response.writeHead(204, CORS).end();
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    if (request.method !== 'POST' || pathname !== '/upload') return say(404, { title: 'Not found', status: 404 });
    if (!(this.#tokens.get(searchParams.get('token')) > Date.now())) return say(401, { title: 'Your token has expired.', status: 401 });
    const [, part] = /^part (\d+)\/(?:\d+|\*)$/.exec(request.headers['content-range'] ?? '') ?? [];
    if (!part) return say(400, { title: 'Content-Range is missing.', status: 400 });
    const form = await new Response(Buffer.concat(pieces), { headers: { 'content-type': request.headers['content-type'] } }).formData();
    const videoId = form.get('videoId') ?? randomUUID();
    const parts = this.#videos.get(videoId) ?? new Map();
    this.#videos.set(videoId, parts.set(part, form.get('file').size));
    return say(201, { videoId, public: true, assets: {} });
  }
}

/** Returns a key and a certificate for 127.0.0.1. */
async function selfSigned() {
  const folder = await mkdtemp(join(tmpdir(), 'sortie-bench-'));
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(folder, name));
  try {
    await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
      '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert]);
    return { key: await readFile(key), cert: await readFile(cert) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

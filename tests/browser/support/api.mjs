// The REST API as an app developer uses it: fetch and a bearer token.

import { createHmac } from 'node:crypto';
import { ADMIN, JWT_SECRET } from './server.mjs';

/** A signed-in client. */
export class Api {
  constructor(origin, tokens) {
    this.origin = origin;
    this.tokens = tokens;
  }

  static async signIn(origin, { username, password } = ADMIN) {
    const response = await post(origin, '/api/auth/login', { username, password });
    if (response.status !== 200) throw new Error(`sign-in answered ${response.status}: ${await response.text()}`);
    return new Api(origin, await response.json());
  }

  /** Creates a user and signs in as that user. Needs an administrator. */
  async newUser(username) {
    const password = `password of ${username}`;
    const response = await this.post('/api/admin/users', { username, password, roles: ['user'] });
    if (response.status !== 201) throw new Error(`creating a user answered ${response.status}`);
    return Object.assign(await Api.signIn(this.origin, { username, password }), { username, password });
  }

  fetch(path, { headers, ...options } = {}) {
    return fetch(this.origin + path, {
      ...options,
      headers: { authorization: `Bearer ${this.tokens.access_token}`, ...headers },
    });
  }

  post(path, body) {
    return this.fetch(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body ?? {}),
    });
  }

  async recordings() {
    const response = await this.fetch('/api/recordings');
    if (response.status !== 200) throw new Error(`the list answered ${response.status}`);
    return response.json();
  }

  async recording(id) {
    return (await this.recordings()).find((it) => it.id === id);
  }

  /** Returns the file of a recording. */
  async download(id) {
    const response = await this.fetch(`/api/recordings/${id}/download`);
    if (response.status !== 200) throw new Error(`the download answered ${response.status}`);
    return Buffer.from(await response.arrayBuffer());
  }

  /** Uploads a file with one multipart request; returns the recording ID. */
  async upload(bytes, { duration = 1, filename = 'file.webm' } = {}) {
    const session = await (await this.post('/api/sessions', { app_id: 'e2e' })).json();
    const started = await (await this.post(`/api/sessions/${session.id}/recording/start`)).json();
    const form = new FormData();
    form.set('recording_id', started.recording_id);
    form.set('duration', String(duration));
    form.set('file', new Blob([bytes], { type: 'video/webm' }), filename);
    const response = await this.fetch(`/api/sessions/${session.id}/recording/upload`, { method: 'POST', body: form });
    if (response.status !== 200) throw new Error(`the upload answered ${response.status}: ${await response.text()}`);
    return started.recording_id;
  }

  /** The access token with an expiry in the past and a valid signature. */
  expiredToken() {
    return this.tokenFor(-3600);
  }

  /** The access token with an expiry in `seconds` and a valid signature. */
  tokenFor(seconds) {
    const [header, payload] = this.tokens.access_token.split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64url'));
    claims.exp = Math.floor(Date.now() / 1000) + seconds;
    for (const name of ['iat', 'nbf']) if (name in claims) claims[name] = claims.exp - 900;
    const signed = `${header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
    return `${signed}.${createHmac('sha256', JWT_SECRET).update(signed).digest('base64url')}`;
  }
}

/** Sends a request without credentials. */
export function post(origin, path, body) {
  return fetch(origin + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

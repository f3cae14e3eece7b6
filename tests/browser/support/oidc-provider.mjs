// A real OpenID provider, and a client that completes its forms.

import { createServer } from 'node:http';
import Provider from 'oidc-provider';

export const CLIENT = { id: 'sortie', secret: 'a secret with odd signs: %&+/=?' };

/** Returns a free port. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts a provider that accepts every name; names that begin with `boss` have the role `operator`. */
export async function startProvider(redirectUrl) {
  const port = await freePort();
  const issuer = `http://127.0.0.1:${port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: CLIENT.id,
      client_secret: CLIENT.secret,
      redirect_uris: [redirectUrl],
      grant_types: ['authorization_code'],
      response_types: ['code'],
    }],
    pkce: { required: () => true },
    scopes: ['openid', 'profile', 'email', 'roles'],
    claims: { openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email'], roles: ['roles'] },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({
        sub: id,
        name: `The ${id}`,
        preferred_username: id,
        email: `${id}@example.org`,
        roles: id.startsWith('boss') ? ['operator'] : ['guest'],
      }),
    }),
  });
  const server = createServer(provider.callback());
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    issuer,
    close: () => new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    }),
  };
}

/** Minimal browser: cookies by host and path, and manual redirects. */
export class Visitor {
  #cookies = [];

  async fetch(url, options = {}) {
    const { host, pathname } = new URL(url);
    const mine = this.#cookies.filter((it) => it.host === host && pathname.startsWith(it.path));
    const cookie = mine.map((it) => `${it.name}=${it.value}`).join('; ');
    const response = await fetch(url, { redirect: 'manual', ...options, headers: { ...options.headers, cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [pair, ...attributes] = line.split('; ');
      const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
      const path = attributes.find((it) => /^path=/i.test(it))?.slice(5) ?? '/';
      this.#cookies = this.#cookies.filter((it) => it.host !== host || it.name !== name || it.path !== path);
      const gone = attributes.some((it) => /^max-age=0$/i.test(it) || /^expires=thu, 01 jan 1970/i.test(it));
      if (!gone) this.#cookies.push({ host, path, name, value });
    }
    return response;
  }

  cookieNames() {
    return this.#cookies.map((it) => it.name);
  }

  /** Signs in at the provider; returns the callback URL of the server. */
  async throughProvider(url, login) {
    for (let step = 0; step < 12; step += 1) {
      if (new URL(url).pathname === '/api/auth/oidc/callback') return url;
      let response = await this.fetch(url);
      if (response.status === 200) {
        const form = await response.text();
        const prompt = /name="prompt" value="(\w+)"/.exec(form)?.[1];
        response = await this.fetch(url, {
          method: 'POST',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body: new URLSearchParams(prompt === 'login' ? { prompt, login, password: 'any' } : { prompt }),
        });
      }
      const next = response.headers.get('location');
      if (!next) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
      url = new URL(next, url).href;
    }
    throw new Error('the provider goes round in circles');
  }
}

// OpenID Connect with a real provider and the real server.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Api } from './support/api.mjs';
import { assertAccessible } from './support/axe.mjs';
import { launch, withPage } from './support/browser.mjs';
import { CLIENT, Visitor, freePort, startProvider } from './support/oidc-provider.mjs';
import { assertProblem } from './support/assertions.mjs';
import { Server } from './support/server.mjs';

describe('OpenID Connect', { timeout: 60_000 }, () => {
  let server, provider;

  before(async () => {
    const port = await freePort();
    const redirect = `http://127.0.0.1:${port}/api/auth/oidc/callback`;
    provider = await startProvider(redirect);
    server = await Server.start({
      SORTIE_PORT: String(port),
      SORTIE_OIDC_ISSUER: provider.issuer,
      SORTIE_OIDC_CLIENT_ID: CLIENT.id,
      SORTIE_OIDC_CLIENT_SECRET: CLIENT.secret,
      SORTIE_OIDC_REDIRECT_URL: redirect,
      SORTIE_OIDC_NAME: 'Example ID',
      SORTIE_OIDC_SCOPES: 'openid profile email roles',
      SORTIE_OIDC_ROLE_CLAIM: 'roles',
      SORTIE_OIDC_ADMIN_VALUES: 'operator',
    });
  });
  after(async () => {
    await server?.close();
    await provider?.close();
  });

  const begin = async (visitor, returnTo = '/') => {
    const response = await visitor.fetch(
      `${server.origin}/api/auth/oidc/login?return_to=${encodeURIComponent(returnTo)}`);
    assert.equal(response.status, 303);
    return response.headers.get('location');
  };
  const signIn = async (login, returnTo) => {
    const visitor = new Visitor();
    const callback = await visitor.throughProvider(await begin(visitor, returnTo), login);
    return { visitor, callback, response: await visitor.fetch(callback) };
  };
  const me = async (visitor) => (await visitor.fetch(`${server.origin}/api/auth/me`)).json();

  test('the sign-in methods include the provider', async () => {
    const methods = await (await fetch(`${server.origin}/api/auth/methods`)).json();
    assert.deepEqual(methods, {
      password: true, proxy: false, oidc: { name: 'Example ID', url: '/api/auth/oidc/login' },
    });
  });

  test('a provider user is signed in, returns to the requested page, and has the roles of the claim', async () => {
    for (const [login, roles] of [['ann', ['user']], ['boss', ['user', 'admin']]]) {
      const { visitor, response } = await signIn(login, '/recordings?status=ready');
      assert.equal(response.status, 303);
      assert.equal(response.headers.get('location'), '/recordings?status=ready');
      assert.equal(response.headers.get('cache-control'), 'no-store');
      assert.ok(!visitor.cookieNames().includes('sortie_oidc'), 'the attempt is kept');
      const person = await me(visitor);
      assert.deepEqual(
        [person.username, person.display_name, person.email, person.source, person.roles],
        [login, `The ${login}`, `${login}@example.org`, 'oidc', roles]);
      // The second sign-in maps to the same user.
      const again = await signIn(login);
      assert.equal((await me(again.visitor)).id, person.id);
    }
  });

  test('the button on the sign-in page leads to the provider and back to the requested page', async () => {
    const browser = await launch();
    const context = await browser.newContext();
    await withPage(context, 'sign in with a provider', async (page) => {
      await page.goto(`${server.origin}/account/tokens?cursor=`);
      await page.getByRole('link', { name: 'Sign in with Example ID' }).waitFor();
      await assertAccessible(page, 'sign-in with a provider');
      await page.getByRole('link', { name: 'Sign in with Example ID' }).click();
      // Forms of the provider.
      await page.locator('input[name=login]').fill('dora');
      await page.locator('input[name=password]').fill('any');
      await page.getByRole('button', { name: 'Sign-in' }).click();
      await page.getByRole('button', { name: 'Continue' }).click();
      await page.getByRole('heading', { name: 'API tokens' }).waitFor();
      assert.equal(new URL(page.url()).pathname, '/account/tokens');
      await page.getByRole('button', { name: 'User menu' }).click();
      await page.getByText('The dora').waitFor();
      // The user has no local password.
      assert.equal(await page.getByRole('link', { name: 'Change password' }).count(), 0);
    });
    await browser.close();
  });

  test('a provider user cannot take over a local account with the same name', async () => {
    const { visitor } = await signIn('admin');
    const person = await me(visitor);
    assert.notEqual(person.username, 'admin');
    assert.deepEqual(person.roles, ['user']);
  });

  test('a callback is valid once, in the browser that started it, with its own state', async () => {
    const visitor = new Visitor();
    const callback = await visitor.throughProvider(await begin(visitor), 'ann');
    await assertProblem(await new Visitor().fetch(callback), 400);
    const forged = new URL(callback);
    forged.searchParams.set('state', 'forged');
    const other = new Visitor();
    await begin(other);
    await assertProblem(await other.fetch(forged.href), 400);
    // A code of another user with the own state fails, because the PKCE verifier does not match.
    const victim = new Visitor();
    const own = new URL(await begin(victim));
    const injected = new URL(callback);
    injected.searchParams.set('state', own.searchParams.get('state'));
    await assertProblem(await victim.fetch(injected.href), 403);
    assert.ok(!victim.cookieNames().includes('sortie_access'));
    for (const query of ['', '?code=x', '?state=x', '?code=x&state=x&iss=x', '?code=a&code=b']) {
      await assertProblem(await fetch(`${server.origin}/api/auth/oidc/callback${query}`), 400);
    }
  });

  test('a cancelled sign-in is reported', async () => {
    const visitor = new Visitor();
    const state = new URL(await begin(visitor)).searchParams.get('state');
    const refused = `${server.origin}/api/auth/oidc/callback?error=access_denied&state=${state}`;
    const problem = await assertProblem(await visitor.fetch(refused), 403);
    assert.match(problem.detail, /access_denied/);
  });

  test('return_to accepts no other origin', async () => {
    for (const path of ['https://evil.example', '//evil.example', '/\\evil.example', '/\t/evil.example', 'x', '']) {
      const url = `${server.origin}/api/auth/oidc/login?return_to=${encodeURIComponent(path)}`;
      await assertProblem(await fetch(url, { redirect: 'manual' }), 400);
    }
  });

  test('a disabled user stays locked out', async () => {
    const { visitor } = await signIn('carl');
    const { id } = await me(visitor);
    const admin = await Api.signIn(server.origin);
    const change = await admin.fetch(`/api/admin/users/${id}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ disabled: true }),
    });
    assert.equal(change.status, 200);
    const { response } = await signIn('carl');
    await assertProblem(response, 403);
  });

  test('an unreachable provider returns 503, and passwords still work', async () => {
    await provider.close();
    // The provider's metadata is cached for an hour; the code exchange needs the provider.
    const visitor = new Visitor();
    const state = new URL(await begin(visitor)).searchParams.get('state');
    await assertProblem(await visitor.fetch(`${server.origin}/api/auth/oidc/callback?code=x&state=${state}`), 503);
    await Api.signIn(server.origin);
  });
});

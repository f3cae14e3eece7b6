// Access control: sign-in, tokens, ownership.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Api, post } from './support/api.mjs';
import { launch, withPage } from './support/browser.mjs';
import { sampleWebm } from './support/media.mjs';
import { assertProblem } from './support/assertions.mjs';
import { ADMIN, Server } from './support/server.mjs';
import { fillIn } from './support/sign-in.mjs';

describe('access', { timeout: 120_000 }, () => {
  let server, browser, admin;

  before(async () => {
    server = await Server.start();
    browser = await launch();
    admin = await Api.signIn(server.origin);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  test('a wrong password and an unknown name return the same 401', async () => {
    const wrong = await post(server.origin, '/api/auth/login', { ...ADMIN, password: 'not this one' });
    const problem = await assertProblem(wrong, 401);
    assert.equal(problem.code, 'wrong_credentials');
    const nobody = await post(server.origin, '/api/auth/login', { username: 'nobody', password: 'not this one' });
    const other = await assertProblem(nobody, 401);
    assert.equal(other.detail, problem.detail, 'the answer tells which names exist');
  });

  test('the sign-in page reports a wrong password and accepts the right one', async () => {
    const context = await browser.newContext();
    await withPage(context, 'sign-in', async (page) => {
      await page.goto(`${server.origin}/recordings`);
      await fillIn(page, { ...ADMIN, password: 'not this one' });
      const alert = page.getByRole('alert').filter({ hasText: /\S/ });
      await alert.waitFor();
      assert.match(await alert.innerText(), /(user name|password).*\./i);
      assert.equal(await page.getByRole('button', { name: 'User menu' }).count(), 0);

      await fillIn(page);
      // Returns to the page that required the sign-in.
      await page.getByRole('heading', { name: 'My Recordings' }).waitFor();
      const cookies = await context.cookies();
      assert.ok(cookies.length > 0, 'there is no cookie');
      for (const cookie of cookies) assert.ok(cookie.httpOnly, `${cookie.name} can be read by scripts`);
    });
    await context.close();
  });

  test('signing out ends the sign-in', async () => {
    const context = await browser.newContext();
    await withPage(context, 'sign-out', async (page) => {
      await page.goto(server.origin);
      await fillIn(page);
      await page.getByRole('button', { name: 'User menu' }).click();
      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.getByLabel('User name').waitFor();
      const status = await page.evaluate(async () => (await fetch('/api/recordings')).status);
      assert.equal(status, 401);
    });
    await context.close();
  });

  test('a missing, forged or expired token returns 401', async () => {
    const tokens = { none: undefined, 'made up': 'Bearer abc.def.ghi', expired: `Bearer ${admin.expiredToken()}` };
    for (const [name, authorization] of Object.entries(tokens)) {
      const response = await fetch(`${server.origin}/api/recordings`, {
        headers: authorization ? { authorization } : {},
      });
      const problem = await assertProblem(response, 401);
      assert.equal(problem.code, 'unauthenticated', `${name}: ${problem.code}`);
    }
    // An unexpired token with the same claims and signature is accepted.
    assert.ok(Array.isArray(await admin.recordings()));
  });

  test("a recording of another user returns 403 and is not listed", async () => {
    const ada = await admin.newUser('ada');
    const id = await admin.upload(await sampleWebm());
    assert.deepEqual(await ada.recordings(), []);
    await assertProblem(await ada.fetch(`/api/recordings/${id}/download`), 403);
    await assertProblem(await ada.fetch(`/api/recordings/${id}`, { method: 'DELETE' }), 403);
    assert.equal((await admin.recordings()).length, 1, "somebody else's deletion went through");

    const context = await browser.newContext();
    await withPage(context, "another user's recording", async (page) => {
      await page.goto(`${server.origin}/recordings/${id}`);
      await fillIn(page, ada);
      await page.getByRole('button', { name: 'User menu' }).waitFor();
      await page.locator('main').getByText(/not|belongs/i).first().waitFor();
      assert.equal(await page.locator('video').count(), 0);
    });
    await context.close();
  });

  test('unknown and path-like IDs return the same 404', async () => {
    for (const id of ['0', 'no-such-recording', '..%2F..%2Fetc%2Fpasswd', '%2e%2e%2fsortie.db', 'a%00b']) {
      await assertProblem(await admin.fetch(`/api/recordings/${id}/download`), 404);
      await assertProblem(await admin.fetch(`/api/recordings/${id}`, { method: 'DELETE' }), 404);
    }
  });
});

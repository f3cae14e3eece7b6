// Signing in as a person does, and the short way for tests of something else.

import { ADMIN } from './server.mjs';

/** Fills in the form of the sign-in page that is shown. */
export async function fillIn(page, { username, password } = ADMIN) {
  await page.getByLabel('User name').fill(username);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** A browser context whose pages are signed in. */
export async function signedIn(browser, origin, user = ADMIN, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 720 }, ...options });
  const page = await context.newPage();
  await page.goto(`${origin}/login`);
  await fillIn(page, user);
  await page.getByRole('button', { name: 'User menu' }).waitFor();
  await page.close();
  return context;
}

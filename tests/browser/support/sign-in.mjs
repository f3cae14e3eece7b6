// Sign-in through the sign-in page.

import { ADMIN } from './server.mjs';

/** Submits the sign-in form of the current page. */
export async function fillIn(page, { username, password } = ADMIN) {
  await page.getByLabel('User name').fill(username);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** Creates a browser context with a signed-in user. */
export async function signedIn(browser, origin, user = ADMIN, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 720 }, ...options });
  const page = await context.newPage();
  await page.goto(`${origin}/login`);
  await fillIn(page, user);
  await page.getByRole('button', { name: 'User menu' }).waitFor();
  await page.close();
  return context;
}

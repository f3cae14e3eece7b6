// What a page complains about where nobody looks.

/**
 * Collects what the browser says about this page from now on: errors and warnings of its console, uncaught
 * exceptions, and what the content security policy has refused.
 */
export async function listen(page) {
  const heard = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) heard.push(`${message.type()}: ${message.text()} (${page.url()})`);
  });
  page.on('pageerror', (error) => heard.push(`uncaught: ${error.message} (${page.url()})`));
  await page.exposeFunction('sortieRefused', (text) => heard.push(`policy: ${text} (${page.url()})`));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      window.sortieRefused(`${event.violatedDirective} refused ${event.blockedURI}`);
    });
  });
  return heard;
}

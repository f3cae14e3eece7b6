// Console messages and policy violations of a page.

/**
 * Collects console errors and warnings, uncaught exceptions, and violations of the content security policy from now on.
 */
export async function collectComplaints(page) {
  const complaints = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(`${message.type()}: ${message.text()} (${page.url()})`);
  });
  page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message} (${page.url()})`));
  await page.exposeFunction('sortieRefused', (text) => complaints.push(`policy: ${text} (${page.url()})`));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      window.sortieRefused(`${event.violatedDirective} refused ${event.blockedURI}`);
    });
  });
  return complaints;
}

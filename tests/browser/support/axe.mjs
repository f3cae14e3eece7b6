// Accessibility checks by axe-core, in light and dark mode.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const source = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Runs axe on the current page; a serious or critical violation fails the test. */
export async function assertAccessible(page, title) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    // Through the debugger, because the content security policy forbids a script tag.
    await page.evaluate(`${source}\n;0`);
    const violations = await page.evaluate(async (isFirst) => {
      // Dark mode differs in colours only.
      const rules = isFirst ? {} : { runOnly: ['color-contrast', 'link-in-text-block'] };
      const result = await window.axe.run(document, { resultTypes: ['violations'], ...rules });
      return result.violations.map(({ id, impact, help, nodes }) => ({
        id, impact, help, nodes: nodes.map((it) => `${it.target.join(' ')}: ${it.failureSummary}`),
      }));
    }, colorScheme === 'light');
    const serious = violations.filter((it) => it.impact === 'serious' || it.impact === 'critical');
    assert.deepEqual(serious, [], `${title} in ${colorScheme}`);
  }
}

/** Asserts that the page does not scroll horizontally. */
export async function assertFits(page, title) {
  const { width, content } = await page.evaluate(() => ({
    width: document.documentElement.clientWidth,
    content: document.documentElement.scrollWidth,
  }));
  assert.ok(content <= width, `${title} is ${content} px wide on a screen of ${width} px`);
}

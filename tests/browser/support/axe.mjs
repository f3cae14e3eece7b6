// Accessibility by axe-core, in light and in dark.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const source = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Holds the page as it is now against axe's rules; a serious or critical violation fails. */
export async function assertAccessible(page, title) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    // Through the debugger: the content security policy rightly refuses a script tag.
    await page.evaluate(`${source}\n;0`);
    const violations = await page.evaluate(async (isFirst) => {
      // What is dark differs in its colours alone.
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

/** Nothing may stick out to the right: a page that scrolls sideways is not usable on a telephone. */
export async function assertFits(page, title) {
  const { width, content } = await page.evaluate(() => ({
    width: document.documentElement.clientWidth,
    content: document.documentElement.scrollWidth,
  }));
  assert.ok(content <= width, `${title} is ${content} px wide on a screen of ${width} px`);
}

// Keyboard navigation.

import assert from 'node:assert/strict';

const MOST_STEPS = 40;

/** Presses `key` until the focused element has a matching name; fails if none has. */
export async function pressUntilFocused(page, key, name) {
  const passed = [];
  for (let i = 0; i < MOST_STEPS; i += 1) {
    const focused = await page.evaluate(() => {
      const element = document.activeElement;
      const text = element?.getAttribute('aria-label') ?? element?.labels?.[0]?.textContent ?? element?.textContent;
      return (text ?? '').replace(/\s+/g, ' ').trim();
    });
    if (name.test(focused)) return;
    passed.push(focused.slice(0, 40));
    await page.keyboard.press(key);
  }
  assert.fail(`${key} never led to ${name}; it led to ${passed.join(' | ')}`);
}

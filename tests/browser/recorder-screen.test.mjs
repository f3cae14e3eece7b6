// A shared tab that is closed during the recording. Chromium ends the sharing like its own "Stop sharing" button, which
// tests cannot click.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openTestPage, shareTab, withPage } from './support/browser.mjs';
import { RecorderPage, assertKept, until } from './support/recorder.mjs';
import { useFixture } from './support/fixture.mjs';

describe('a shared tab', { timeout: 180_000 }, () => {
  const fixture = useFixture({ flags: shareTab('A tab to record') });

  test('closing it ends the recording normally and keeps it', async (t) => {
    const tab = await fixture.visitor.newPage();
    await openTestPage(tab, fixture.server.origin, 'tab.html', 'e2e');
    await withPage(fixture.visitor, 'sharing ended', async (page) => {
      const recorder = await RecorderPage.open(page, fixture.api);
      const { id } = await recorder.record({ source: 'screen' });
      await recorder.until('long enough', (it) => it.recordedMs > 5_000 && it.safeBytes > 0);
      await tab.close();
      const [done] = await until('done', () => recorder.heard('done'), (it) => it.length > 0);
      assert.deepEqual(await recorder.heard('stopped'), ['sharing_ended']);
      assert.deepEqual(await recorder.heard('error'), []);
      const seconds = await assertKept(fixture, id, 'sharing ended', done.recordedMs);
      t.diagnostic(`${done.recordedMs} ms recorded, file ${seconds} s`);
    });
  });
});

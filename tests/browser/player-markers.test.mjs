// Markers and the side panel of the player.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { untilReady } from './support/assertions.mjs';
import { assertAccessible } from './support/axe.mjs';
import { withPage } from './support/browser.mjs';
import { useFixture } from './support/fixture.mjs';
import { loopedWebm, sampleWebm } from './support/media.mjs';
import { markerAt, openPlayer, routeMarkers, untilAt } from './support/review.mjs';
import { signedIn } from './support/sign-in.mjs';

const SECONDS = 20;

describe('markers and panel of the player', { timeout: 600_000 }, () => {
  const fixture = useFixture();
  let server, context, api, id;
  const upload = async () => {
    const uploaded = await api.upload(await loopedWebm(SECONDS));
    await untilReady(api, uploaded, 20_000);
    return uploaded;
  };
  const markersOf = (page) => page.getByRole('region', { name: 'Markers' });

  before(async () => {
    ({ server, context, api } = fixture);
    id = await upload();
  });

  test('a marker is added by key, found by click and key, renamed and deleted', async () => {
    await withPage(context, 'markers', async (page) => {
      const stored = async () => (await api.fetch(`/api/recordings/${id}/markers`)).json();
      await openPlayer(page, server, id, '?t=8');
      await untilAt(page, 8);
      const list = markersOf(page);
      await list.getByText('No markers yet').waitFor();
      await page.keyboard.press('m');
      await page.getByLabel('Marker at 0:08').fill('  Login fails ');
      await page.keyboard.press('Enter');
      const first = list.getByRole('button', { name: '0:08 Login fails' });
      await first.waitFor();
      assert.deepEqual((await stored()).map(({ time_ms, text, kind }) => ({ time_ms, text, kind })), [
        { time_ms: 8_000, text: 'Login fails', kind: 'note' },
      ]);

      await page.keyboard.press('ArrowLeft');
      await untilAt(page, 3);
      const add = list.getByRole('button', { name: 'Add' });
      await add.click();
      await page.getByLabel('Marker at 0:03').waitFor();
      await page.keyboard.press('Enter');
      await list.getByRole('button', { name: '0:03 Marker' }).waitFor();
      assert.equal(await add.evaluate((it) => it === document.activeElement), true, 'the focus returns');
      // In the order of the timeline, which has a tick for each.
      assert.deepEqual(await list.locator('.marker-seek .digits').allTextContents(), ['0:03', '0:08']);
      assert.equal(await page.locator('.timeline-picture .timeline-tick').count(), 2);

      await page.locator('h1').focus();
      await page.keyboard.press('n');
      await untilAt(page, 8);
      await page.getByRole('status').getByText('Login fails').waitFor();
      await page.keyboard.press('n');
      await page.getByRole('status').getByText('No further marker').waitFor();
      await page.keyboard.press('p');
      await untilAt(page, 3);
      await first.click();
      await untilAt(page, 8);

      await list.getByRole('button', { name: 'Rename Login fails' }).click();
      const field = list.getByLabel('Text of the marker at 0:08');
      assert.equal(await field.inputValue(), 'Login fails');
      await field.fill('Login works');
      await page.keyboard.press('Enter');
      await list.getByRole('button', { name: '0:08 Login works' }).waitFor();
      assert.equal((await stored()).find((it) => it.time_ms === 8_000).text, 'Login works');

      await list.getByRole('button', { name: 'Delete Login works' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByText('at 0:08 will be deleted.').waitFor();
      await dialog.getByRole('button', { name: 'Delete' }).click();
      await list.getByText('Login works').waitFor({ state: 'detached' });
      assert.deepEqual((await stored()).map((it) => it.time_ms), [3_000]);
      assert.equal(await page.locator('.timeline-picture .timeline-tick').count(), 1);
    });
  });

  test('automatic markers have the name of their kind and cannot be changed', async () => {
    await withPage(context, 'automatic markers', async (page) => {
      const markers = [markerAt(3_000, '', { kind: 'pause' }), markerAt(6_000, '<b>bold</b>')];
      await routeMarkers(page, { [id]: markers });
      await openPlayer(page, server, id);
      const list = markersOf(page);
      await list.getByRole('button', { name: '0:03 Recording paused' }).waitFor();
      await list.getByRole('button', { name: '0:06 <b>bold</b>' }).waitFor();
      assert.equal(await list.getByRole('button', { name: /^(Rename|Delete)/ }).count(), 2);
    });
  });

  test('a refused marker stays in its form with the reason', async () => {
    await withPage(context, 'refused marker', async (page) => {
      await openPlayer(page, server, id);
      await page.route(/\/markers$/, (route) => route.fulfill({
        status: 403,
        json: { type: 'about:blank', title: 'Forbidden', status: 403, code: 'forbidden', detail: 'You cannot mark this recording.' },
      }));
      await page.keyboard.press('m');
      await page.getByLabel('Marker at 0:00').fill('Kept');
      await page.keyboard.press('Enter');
      await page.getByRole('alert').getByText('You cannot mark this recording.').waitFor();
      assert.equal(await page.getByLabel('Marker at 0:00').inputValue(), 'Kept');
      await assertAccessible(page, 'refused marker');
    });
  });

  test('a server without markers and activity has a player without them', async () => {
    await withPage(context, 'older server', async (page) => {
      await page.route(/\/(markers|activity)$/, (route) => route.fulfill({ status: 404, body: 'not found' }));
      await openPlayer(page, server, id);
      await page.keyboard.press('m');
      await page.keyboard.press('5');
      await untilAt(page, SECONDS / 2);
      assert.equal(await page.getByText('Markers').count(), 0);
      assert.equal(await page.getByRole('button', { name: 'Add a marker' }).count(), 0);
      assert.equal(await page.getByRole('button', { name: 'Skip idle' }).count(), 0);
      assert.equal(await page.getByRole('textbox').count(), 0);
    });
  });

  test('the panel has the facts, protects, and leads to the next recording of the list', async () => {
    const user = await api.newUser('panel');
    const ids = [];
    for (let i = 0; i < 3; i += 1) {
      ids.push(await user.upload(await sampleWebm(1)));
      await untilReady(user, ids[i], 20_000);
    }
    const own = await signedIn(fixture.browser, server.origin, user);
    await withPage(own, 'panel', async (page) => {
      await page.goto(`${server.origin}/recordings?sort=oldest`);
      await page.locator(`a[href="/recordings/${ids[1]}"]`).click();
      await page.getByText('640 × 360').waitFor();
      await page.locator('.panel-when').getByText('panel').waitFor();
      await page.getByText('Details', { exact: true }).click();
      await page.getByText(ids[1], { exact: true }).waitFor();

      const protect = page.getByRole('button', { name: 'Protect' });
      await protect.click();
      await page.locator('.button-lock[aria-pressed="true"]').waitFor();
      assert.equal((await user.recording(ids[1])).protected, true);
      await protect.click();
      await page.locator('.button-lock[aria-pressed="false"]').waitFor();

      await page.getByRole('link', { name: 'Next', exact: true }).click();
      await page.waitForURL(`${server.origin}/recordings/${ids[2]}`);
      await page.locator(`video[src*="${ids[2]}"]`).waitFor();
      assert.equal(await page.getByRole('link', { name: 'Next', exact: true }).count(), 0);
      await page.getByRole('link', { name: 'Previous', exact: true }).click();
      await page.getByRole('link', { name: 'Previous', exact: true }).click();
      await page.locator(`video[src*="${ids[0]}"]`).waitFor();
      await page.getByRole('link', { name: 'My Recordings' }).click();
      await page.waitForURL(`${server.origin}/recordings?sort=oldest`);
    });
    await own.close();
  });

  test('a recording that is deleted elsewhere says so and leads back', async () => {
    const doomed = await upload();
    await withPage(context, 'deleted elsewhere', async (page) => {
      const isOpen = page.waitForResponse(/\/api\/events/);
      await openPlayer(page, server, doomed);
      await isOpen;
      await api.fetch(`/api/recordings/${doomed}`, { method: 'DELETE' });
      await page.getByRole('heading', { name: 'This recording was deleted' }).waitFor();
      await assertAccessible(page, 'deleted recording');
      await page.getByRole('link', { name: 'My Recordings' }).click();
      await page.waitForURL(`${server.origin}/recordings`);
    });
  });

  test('the received bytes of a failed recording can be downloaded', async () => {
    const failed = await api.upload(Buffer.from('This is no video.\n'.repeat(100)), { filename: 'notes.txt' });
    await withPage(context, 'failed recording', async (page) => {
      await page.goto(`${server.origin}/recordings/${failed}`);
      const { failure } = await api.recording(failed);
      await page.locator('.stage').getByText(failure).waitFor();
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('link', { name: 'Download what arrived' }).click(),
      ]);
      assert.match(download.url(), /\/raw$/);
      await assertAccessible(page, 'player of a failed recording');
    });
  });
});

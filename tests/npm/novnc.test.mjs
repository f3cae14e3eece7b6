// A real noVNC connected to a real VNC server: its canvas appears late, and the server's policy starts and stops the
// recording.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { withPage } from '../browser/support/browser.mjs';
import { Desktop } from './support/desktop.mjs';
import { project, run } from './support/project.mjs';
import { savedRecording } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

describe('noVNC', { timeout: 600_000 }, () => {
  const stage = useSite();
  let desktop, site, server, browser, api;

  before(async () => {
    ({ site, server, browser, api } = stage);
    desktop = await Desktop.start();
  });
  after(() => desktop?.close());

  test('is recorded as soon as auto-record is turned on, until its session ends', async () => {
    const user = await api.newUser('operator');
    const session = await (await user.post('/api/sessions', { app_id: 'desktop' })).json();
    const url = site.add('novnc', await project({ example: 'novnc' }));
    const file = await withPage(await browser.newContext(), 'npm novnc', async (page) => {
      await page.goto(url);
      await page.getByLabel('Server').fill(server.origin);
      await page.getByLabel('Token').fill(user.tokens.access_token);
      await page.getByLabel('Session').fill(session.id);
      await page.getByLabel('Desktop').fill(desktop.url);
      await page.getByRole('button', { name: 'Watch' }).click();
      await page.locator('#screen canvas').waitFor();
      assert.deepEqual(await user.recordings(), [], 'it is recorded although nobody wants that');

      const turnedOn = await api.fetch('/api/admin/settings', {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ recording_auto_record: 'true' }),
      });
      assert.equal(turnedOn.status, 204);
      await page.locator('output', { hasText: /^Recording, [1-9]/ }).waitFor({ timeout: 30_000 });
      await wait(3_000);
      assert.equal((await user.post(`/api/sessions/${session.id}/stop`)).status, 200);
      return savedRecording(page, { api: user, title: 'npm novnc' });
    });
    assert.deepEqual([file.video.width, file.video.height], [800, 600]);
    // The desktop moves, so frames differ; their number depends on the machine.
    const { stdout } = await run('ffmpeg', ['-v', 'error', '-i', file.path, '-f', 'framemd5', '-']);
    const pictures = new Set(stdout.split('\n').filter((it) => /^\d/.test(it)).map((it) => it.split(',').at(-1)));
    assert.ok(pictures.size >= 5, `only ${pictures.size} different pictures`);
    assert.equal((await user.recordings()).length, 1);
  });
});

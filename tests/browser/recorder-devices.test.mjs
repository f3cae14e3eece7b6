// A microphone that is unplugged during a recording; the sound server is real.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { withPage } from './support/browser.mjs';
import { RecorderPage, assertKept, until } from './support/recorder.mjs';
import { Sound } from './support/sound.mjs';
import { useFixture } from './support/fixture.mjs';

describe('an unplugged microphone', { timeout: 180_000 }, () => {
  let sound;

  // Before the browser starts, which enumerates devices.
  before(async () => {
    sound = await Sound.start();
    process.env.PULSE_SERVER = sound.address;
  });
  const fixture = useFixture({ flags: ['--use-fake-ui-for-media-stream'] });
  after(() => sound?.close());

  test('a warning is raised and the recording continues without it', async (t) => {
    await withPage(fixture.visitor, 'unplugged', async (page) => {
      const recorder = await RecorderPage.open(page, fixture.api);
      const microphones = () => page.evaluate(async () =>
        (await navigator.mediaDevices.enumerateDevices()).filter((it) => it.kind === 'audioinput').length);
      await page.evaluate(() => {
        window.changes = 0;
        navigator.mediaDevices.addEventListener('devicechange', () => { window.changes += 1; });
      });
      const { id } = await recorder.record({ microphone: true });
      const { recordedMs: recorded } = await recorder.until('safe', (it) => it.safeBytes > 0 && it.recordedMs > 3_000);
      assert.deepEqual(await recorder.warnings(), []);
      assert.ok((await microphones()) > 0, 'the browser has not found it');
      await sound.unplug();
      // On a desktop udev notifies the browser; here it enumerates devices on request only.
      await until('gone', microphones, (it) => it === 0);
      await until('missed', recorder.warnings, (it) => it.length > 0);
      assert.deepEqual(await recorder.warnings(), ['audio_ended']);
      await until('told', () => page.evaluate(() => window.changes), (it) => it > 0);
      await recorder.until('further', (it) => it.safeMs > recorded + 3_000);
      const done = await recorder.stop();
      assert.deepEqual(await recorder.heard('stopped'), ['user']);
      const seconds = await assertKept(fixture, id, 'unplugged', done.recordedMs);
      t.diagnostic(`unplugged after ${recorded} ms of ${done.recordedMs}; file ${seconds} s`);
    });
  });
});

// The module that is fetched when it is needed: no recording needs it.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { withPage } from '../browser/support/browser.mjs';
import { project } from './support/project.mjs';
import { PATIENCE, finishedRecording } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

const FAULT_MS = 1_500;

describe('module that is fetched later', { timeout: 300_000 }, () => {
  const stage = useSite();

  test('recording works without it, and calls that need it fail and retry', async () => {
    const { site, server, context, api } = stage;
    const target = `{ server: ${JSON.stringify(server.origin)}, getToken: () => (window.onToken?.(), ${JSON.stringify(api.tokens.access_token)}) }`;
    const folder = await project({
      files: {
        'index.html': `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Record</title>
          <script type="module" src="./main.js"></script></head><body><canvas width="320" height="240"></canvas></body></html>`,
        'main.js': `
          import { Recorder, uploadFile } from './node_modules/sortie-recorder/index.js';
          import { injectFaults } from './node_modules/sortie-recorder/faults.js';
          const canvas = document.querySelector('canvas');
          const context = canvas.getContext('2d', { alpha: false });
          const draw = (now) => {
            context.fillStyle = 'hsl(' + now / 20 + ' 60% 45%)';
            context.fillRect(0, 0, canvas.width, canvas.height);
            requestAnimationFrame(draw);
          };
          requestAnimationFrame(draw);
          window.faults = injectFaults();
          window.recorder = new Recorder({ ...${target}, source: canvas });
          const code = (error) => error.code;
          window.recover = () => Recorder.recover(${target}).then((found) => found.length, code);
          window.upload = () => uploadFile(new Blob(['no recording']), ${target}).then(() => 'nothing', code);
        `,
      },
    });
    await withPage(context, 'npm later', async (page) => {
      let wanted = 0;
      const refuse = (route) => {
        wanted += 1;
        return route.abort();
      };
      await page.route('**/later_bg.wasm', refuse);
      await page.goto(site.add('later', folder));
      await page.waitForFunction(() => window.upload, null, PATIENCE);
      await page.evaluate(() => window.recorder.start());
      await page.waitForFunction(() => window.recorder.progress.safeMs > 0, null, PATIENCE);
      const goesOn = async () => {
        const safe = await page.evaluate(() => window.recorder.progress.safeBytes);
        await page.waitForFunction((it) => window.recorder.progress.safeBytes > it, safe, PATIENCE);
      };
      for (const fault of [{ drop: 1 }, { lose: 0.5 }, { fail: 1, storage: 'full' }]) {
        await page.evaluate((it) => window.faults.set(it), fault);
        await wait(FAULT_MS);
        await page.evaluate(() => window.faults.set({}));
        await goesOn();
      }
      // Refused until there is a new token.
      await page.evaluate(() => {
        window.onToken = () => window.faults.set({});
        window.faults.set({ unauthorized: 1 });
      });
      await page.waitForFunction(() => window.faults.counts.unauthorized > 0, null, PATIENCE);
      await goesOn();
      await page.evaluate(() => window.recorder.pause());
      await page.evaluate(() => window.recorder.resume());
      const done = await page.evaluate(() => window.recorder.stop());
      await finishedRecording({ api, title: 'npm later', id: done.recordingId, seconds: done.recordedMs / 1_000 });
      assert.equal(wanted, 0);

      assert.equal(await page.evaluate(() => window.recover()), 'unreachable');
      assert.equal(await page.evaluate(() => window.upload()), 'unreachable');
      assert.equal(wanted, 2);
      await page.unroute('**/later_bg.wasm', refuse);
      assert.equal(await page.evaluate(() => window.recover()), 0);
      // The server holds the file, and finds no recording in it.
      assert.equal(await page.evaluate(() => window.upload()), 'no_recording');
    });
  });
});

// A canvas of 7680×4320 pixels, which is too large for an encoder in software.

import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { withPage } from '../browser/support/browser.mjs';
import { artifactsDir } from '../browser/support/artifacts.mjs';
import { until } from '../browser/support/recorder.mjs';
import { project, run } from './support/project.mjs';
import { recordingDetail } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

/** Largest difference between the reported length and that of the stored file. */
const PROMISE_S = 1;
/** Time from the warning to the stop. */
const RECORD_MS = 5_000;
const PATIENCE = { timeout: 120_000 };

const MAIN = (options) => `
  import { Recorder } from './node_modules/sortie-recorder/index.js';
  const canvas = document.querySelector('canvas');
  const context = canvas.getContext('2d', { alpha: false });
  // Noise over the whole picture is the worst case for an encoder. It is painted beforehand and shown rarely, so that
  // the encoder starves and not the page.
  const tile = new OffscreenCanvas(1024, 1024);
  const pixels = new ImageData(1024, 1024);
  const pictures = [0, 1].map(() => {
    for (let i = 0; i < pixels.data.length; i += 4) {
      pixels.data.set([Math.random() * 256, Math.random() * 256, Math.random() * 256, 255], i);
    }
    tile.getContext('2d').putImageData(pixels, 0, 0);
    const picture = new OffscreenCanvas(canvas.width, canvas.height);
    const target = picture.getContext('2d', { alpha: false });
    target.fillStyle = target.createPattern(tile, 'repeat');
    target.fillRect(0, 0, canvas.width, canvas.height);
    return picture;
  });
  let shown = 0;
  setInterval(() => context.drawImage(pictures[shown++ % 2], 0, 0), 250);
  const { server, token } = ${options};
  window.warnings = [];
  window.recorder = new Recorder({ server, getToken: () => token, source: canvas });
  let begin;
  const { start } = MediaRecorder.prototype;
  MediaRecorder.prototype.start = function startAndNote(...given) {
    begin ??= performance.now();
    return start.apply(this, given);
  };
  window.recorder.on('warning', ({ code }) => window.warnings.push({ code, afterMs: performance.now() - begin }));
  window.recorder.start();
`;

/** Returns the length of a file by ffprobe. A full decode would complain about too few pictures. */
async function durationSeconds(bytes, id) {
  await mkdir(artifactsDir, { recursive: true });
  const path = join(artifactsDir, `starved-${id}.webm`);
  await writeFile(path, bytes);
  const { stdout } = await run('ffprobe', ['-v', 'error', '-show_entries', 'format=duration', '-of', 'csv=p=0', path]);
  return Number(stdout);
}

describe('a canvas that starves the encoder', { timeout: 400_000 }, () => {
  const stage = useSite();
  let site, server, context, api;

  before(() => ({ site, server, context, api } = stage));

  test('7680×4320 canvas is reported and recorded time is that of the stored file', async (t) => {
    const folder = await project({
      files: {
        'index.html': '<!doctype html><title>Record</title><canvas width="7680" height="4320" style="width: 320px"></canvas><script type="module" src="./main.js"></script>',
        'main.js': MAIN(JSON.stringify({ server: server.origin, token: api.tokens.access_token })),
      },
    });
    await withPage(context, 'npm starved', async (page) => {
      await page.goto(site.add('starved', folder));
      await page.waitForFunction(() => window.recorder?.progress.sizeBytes > 0, null, PATIENCE);
      // When an encoder in software is behind depends on the processors.
      await page.waitForFunction(() => window.warnings.length > 0, null, PATIENCE);
      await wait(RECORD_MS);
      const done = await page.evaluate(() => window.recorder.stop());
      const warnings = await page.evaluate(() => window.warnings);
      const [first] = warnings;
      assert.ok(['no_data', 'encoder_slow'].includes(first.code), first.code);
      let seconds = 0;
      for (const id of done.parts ?? [done.recordingId]) {
        await until('ready', () => recordingDetail(api, id), (it) => it.status === 'ready', PATIENCE.timeout);
        seconds += await durationSeconds(await api.download(id), id);
      }
      assert.ok(Math.abs(seconds - done.recordedMs / 1_000) <= PROMISE_S, `${done.recordedMs} ms were promised, ${seconds} s are there`);
      t.diagnostic(`${seconds} s of ${done.recordedMs} ms; ${warnings.map((it) => `${it.code} after ${Math.round(it.afterMs)} ms`).join(', ')}`);
    });
  });
});

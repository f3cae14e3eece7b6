// Interrupted recordings: a real <video> knows their duration, plays them and seeks.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { playOn, seekAndRead, videoDuration } from './pages/clock-picture.mjs';
import { Api } from './support/api.mjs';
import { launch, withPage } from './support/browser.mjs';
import { untilReady } from './support/assertions.mjs';
import { Server, serverBinary } from './support/server.mjs';
import { signedIn } from './support/sign-in.mjs';

const run = promisify(execFile);
const SECONDS = 12;
/** Shortest configurable silence. */
const SILENCE_SECONDS = 5;
/** Includes the interval of the reaper and a margin for a slow machine. */
const FINISHED_WITHIN_MS = 60_000;

/** Files as recorders stream them, without a duration at the beginning. */
const KINDS = {
  webm: ['-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-b:v', '300k', '-f', 'webm', '-live', '1'],
  mp4: ['-c:v', 'libx264', '-preset', 'ultrafast', '-f', 'mp4', '-movflags', 'frag_keyframe+empty_moov+default_base_moof'],
};

async function stream(kind) {
  const { stdout } = await run(
    'ffmpeg',
    [
      '-v', 'error', '-f', 'lavfi', '-i', `testsrc2=duration=${SECONDS}:size=320x180:rate=15`,
      '-g', '15', '-pix_fmt', 'yuv420p', ...KINDS[kind], 'pipe:1',
    ],
    { encoding: 'buffer', maxBuffer: 64 * 1024 * 1024 },
  );
  return stdout;
}

describe('interrupted recordings', { timeout: 240_000 }, () => {
  let server, browser, context;

  before(async () => {
    server = await Server.start({ SORTIE_RECORDING_SILENCE_SECONDS: String(SILENCE_SECONDS) });
    browser = await launch();
    context = await signedIn(browser, server.origin);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  /** Starts a recording and sends bytes without completing the upload. */
  async function send(api, bytes) {
    const session = await (await api.post('/api/sessions', { app_id: 'e2e' })).json();
    const { recording_id: id } = await (await api.post(`/api/sessions/${session.id}/recording/start`)).json();
    const answer = await api.fetch(`/api/uploads/${id}`, {
      method: 'PATCH',
      headers: { 'tus-resumable': '1.0.0', 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' },
      body: bytes,
    });
    assert.equal(answer.status, 204);
    return id;
  }

  async function assertSeeks(id, title, from, to) {
    await withPage(context, title, async (page) => {
      const selector = 'video';
      await page.goto(`${server.origin}/recordings/${id}`);
      await page.locator(selector).waitFor();
      const duration = await page.evaluate(videoDuration, { selector });
      assert.ok(duration >= from && duration <= to, `${title}: it lasts ${duration} s, not ${from} to ${to}`);
      assert.ok((await page.evaluate(playOn, { selector, seconds: 0.1 })) > 0, `${title}: it does not play`);
      await page.evaluate(seekAndRead, { selector, seconds: duration / 2 });
      const { at, ready } = await page.evaluate((it) => {
        const video = document.querySelector(it);
        return { at: video.currentTime, ready: video.readyState };
      }, selector);
      assert.ok(Math.abs(at - duration / 2) < 0.1 && ready >= 2, `${title}: at ${at} of ${duration} s, ${ready}`);
    });
  }

  for (const kind of Object.keys(KINDS)) {
    test(`${kind}: complete, killed halfway, repaired`, async () => {
      const api = await Api.signIn(server.origin);
      const bytes = await stream(kind);
      const cut = bytes.subarray(0, Math.floor(bytes.length * 0.6) + 7);

      const whole = await api.upload(bytes, { duration: SECONDS, filename: `whole.${kind}` });
      await untilReady(api, whole, FINISHED_WITHIN_MS);
      await assertSeeks(whole, `${kind}, whole`, SECONDS - 0.2, SECONDS + 0.2);

      // The server is killed, and the sender does not return.
      const killed = await send(api, cut);
      await server.kill();
      await wait(SILENCE_SECONDS * 1_000);
      await server.restart();
      await untilReady(api, killed, FINISHED_WITHIN_MS);
      assert.equal((await api.recording(killed)).interrupted, true);
      await assertSeeks(killed, `${kind}, killed`, SECONDS / 3, SECONDS - 2);

      const [broken, repaired] = [`broken.${kind}`, `repaired.${kind}`].map((name) => join(server.dataDir, name));
      await writeFile(broken, cut);
      await run(serverBinary, ['repair', broken, '-o', repaired]);
      const mended = await api.upload(await readFile(repaired), { duration: 1, filename: `repaired.${kind}` });
      await untilReady(api, mended, FINISHED_WITHIN_MS);
      await assertSeeks(mended, `${kind}, repaired`, SECONDS / 3, SECONDS - 2);
    });
  }
});

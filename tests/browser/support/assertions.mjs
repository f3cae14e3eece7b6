// Assertions about every finished recording.

import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { playOn, seekAndRead, videoDuration } from '../pages/clock-picture.mjs';
import { withPage } from './browser.mjs';
import { inspect } from './media.mjs';

/** Longest time from Stop until a recording is ready. */
export const READY_WITHIN_MS = 2_000;
/** Largest error of a duration. */
export const DURATION_TOLERANCE_S = 0.3;
/** A frame at 30 per second, and the queues of encoder and compositor. */
const PICTURE_TOLERANCE_MS = 200;

/** Waits until the list shows the recording as ready; returns the time in milliseconds. */
export async function untilReady(api, id, withinMs = READY_WITHIN_MS) {
  const asked = performance.now();
  let seen;
  do {
    seen = await api.recording(id);
    if (seen?.status === 'ready') return performance.now() - asked;
    assert.notEqual(seen?.status, 'failed', `the recording failed: ${seen?.failure}`);
    await wait(50);
  } while (performance.now() - asked < withinMs);
  assert.fail(`the recording was not ready after ${withinMs} ms but ${seen?.status ?? 'not in the list'}`);
}

/** Samples the stored bytes once a second and asserts that they keep growing. */
export async function assertGrowsOnDisk(server, seconds) {
  const samples = [];
  for (let i = 0; i <= seconds; i += 1) {
    samples.push(await server.storedBytes());
    if (i < seconds) await wait(1_000);
  }
  const steps = samples.slice(1).filter((bytes, i) => bytes > samples[i]).length;
  // The first chunk may arrive after the first second, and a chunk may coincide with a sample.
  assert.ok(steps >= seconds - 3, `stored bytes did not grow second by second: ${samples.join(', ')}`);
  return samples;
}

/** Opens the recording in the player and runs {@link assertVideo}. */
export function assertPlays(context, origin, id, { title, ...expected }) {
  return withPage(context, title, async (page) => {
    await page.goto(`${origin}/recordings/${id}`);
    await page.locator('video').waitFor();
    return assertVideo(page, expected);
  });
}

/**
 * Asserts that the page's `<video>` has a finite, correct duration, plays, and shows the right frame after a seek.
 *
 * `pictureAt(seconds)` returns the clock time of the frame at a position, relative to the first frame. Without `clock`
 * the content is arbitrary and only the position is checked.
 */
export async function assertVideo(page, {
  seconds, clock = true, pictureAt = (it) => it * 1_000, seekTo, toleranceMs = PICTURE_TOLERANCE_MS,
}) {
  const selector = 'video';
  const duration = await page.evaluate(videoDuration, { selector });
  assert.ok(Number.isFinite(duration), `the duration is ${duration}`);
  assert.ok(
    Math.abs(duration - seconds) <= DURATION_TOLERANCE_S,
    `the duration is ${duration} s instead of ${seconds.toFixed(2)} s`,
  );

  const played = await page.evaluate(playOn, { selector, seconds: 0.5 });
  assert.ok(played >= 0.5, `it plays no further than ${played} s`);

  const first = await page.evaluate(seekAndRead, { selector, seconds: 0 });
  if (clock) assert.notEqual(first.ms, null, 'the first picture is not one of ours');
  const seeks = [];
  for (const to of seekTo ?? [duration / 2, duration / 4, duration - 0.5]) {
    const shown = await page.evaluate(seekAndRead, { selector, seconds: to });
    const beside = Math.abs(shown.currentTime - to);
    assert.ok(beside < DURATION_TOLERANCE_S, `asked for ${to} s it went to ${shown.currentTime} s`);
    const seek = { to, seekMs: Math.round(shown.seekMs) };
    seeks.push(seek);
    if (!clock) continue;
    assert.notEqual(shown.ms, null, `the picture at ${to} s is not one of ours`);
    seek.offMs = Math.round(shown.ms - first.ms - pictureAt(to));
    assert.ok(Math.abs(seek.offMs) <= toleranceMs, `the picture at ${to.toFixed(2)} s is ${seek.offMs} ms off`);
  }
  return { duration, seeks };
}

/** Downloads the recording and checks it with independent programs; returns their results. */
export async function assertWholeFile(api, id, { title, seconds }) {
  const bytes = await api.download(id);
  const file = await inspect(bytes, title);
  assert.ok(
    Math.abs(file.durationSeconds - seconds) <= DURATION_TOLERANCE_S,
    `ffprobe says ${file.durationSeconds} s instead of ${seconds.toFixed(2)} s`,
  );
  for (const element of ['Seek head', 'Cues', 'Duration']) {
    assert.match(file.mkvinfo, new RegExp(element, 'i'), `the file has no ${element}`);
  }
  await assertRanges(api, id, bytes);
  return { ...file, bytes };
}

async function assertRanges(api, id, bytes) {
  const path = `/api/recordings/${id}/download`;
  const ask = (range) => api.fetch(path, { headers: { range } });

  const middle = await ask('bytes=100-299');
  assert.equal(middle.status, 206);
  assert.equal(middle.headers.get('content-range'), `bytes 100-299/${bytes.length}`);
  assert.deepEqual(Buffer.from(await middle.arrayBuffer()), bytes.subarray(100, 300));

  const end = await ask('bytes=-50');
  assert.equal(end.status, 206);
  assert.deepEqual(Buffer.from(await end.arrayBuffer()), bytes.subarray(-50));

  const beyond = await ask(`bytes=${bytes.length}-`);
  assert.equal(beyond.status, 416);
  assert.equal(beyond.headers.get('content-range'), `bytes */${bytes.length}`);
  await beyond.body?.cancel();
}

/** Asserts a problem+json response with a readable sentence. */
export async function assertProblem(response, status, sentence) {
  assert.equal(response.status, status);
  assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/);
  const problem = await response.json();
  assert.equal(problem.status, status);
  assert.match(problem.detail, /^[A-Z].*[.!]$/s, `no sentence: ${problem.detail}`);
  if (sentence) assert.match(problem.detail, sentence);
  return problem;
}

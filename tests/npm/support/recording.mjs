// Checks of every example: three seconds of it must become an ordinary file on the real server.

import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { inspect } from '../../browser/support/media.mjs';
import { untilReady } from '../../browser/support/assertions.mjs';

export const RECORD_MS = 3_000;
/** Largest difference by which a file may be shorter than the page says: a frame or two. */
const SHORTER_S = 0.5;
/** Largest difference by which a file may be longer than the page says. */
const LONGER_S = 1;
/** Loading and starting take long on a slow machine. */
export const PATIENCE = { timeout: 30_000 };
export const READY_WITHIN_MS = 10_000;

/** Fills in the target, records, and returns the saved recording's file. */
export async function recordWithExample(page, { server, api, title }) {
  await page.getByLabel('Server').fill(server.origin);
  await page.getByLabel('Token').fill(api.tokens.access_token);
  await page.getByRole('button', { name: 'Record' }).click();
  const stop = page.getByRole('button', { name: 'Stop' });
  await stop.or(page.locator('output', { hasText: /[.!]$/ })).first().waitFor(PATIENCE);
  await wait(RECORD_MS);
  // An example that failed says so in its output.
  if (await stop.isVisible()) await stop.click(PATIENCE);
  return savedRecording(page, { api, title });
}

/** Waits until the page says what was saved, and examines the file. */
export async function savedRecording(page, { api, title }) {
  const output = page.locator('output');
  await output.filter({ hasText: /Saved|[.!]$/ }).waitFor(PATIENCE);
  return finishedRecording({ api, title, ...readSaved(await output.textContent()) });
}

/** Parses the final message of an example. */
export function readSaved(text) {
  const [, seconds, id] = /^Saved ([\d.]+) s as (\S+)$/.exec(text) ?? assert.fail(`the page says: ${text}`);
  return { id, seconds: Number(seconds) };
}

/** Waits until a recording is ready, and examines it with independent programs. */
export async function finishedRecording({ api, title, id, seconds }) {
  await untilReady(api, id, READY_WITHIN_MS);
  const recording = await api.recording(id);
  assert.equal(recording.interrupted, false);
  const file = await inspect(await api.download(id), title);
  assert.ok(Math.abs(file.durationSeconds - recording.duration_seconds) < 0.1, `${file.durationSeconds} s, not ${recording.duration_seconds} s`);
  const longer = file.durationSeconds - seconds;
  assert.ok(longer >= -SHORTER_S && longer <= LONGER_S, `the file has ${file.durationSeconds} s, the page says ${seconds} s`);
  assert.ok(seconds > RECORD_MS / 1_000 - 1, `only ${seconds} s were recorded`);
  return { ...file, id };
}

/** Returns the server's description of a recording, which, unlike lists, contains further parts. */
export async function recordingDetail(api, id) {
  const headers = { authorization: `Bearer ${api.tokens.access_token}` };
  return (await fetch(`${api.origin}/api/recordings/${id}`, { headers })).json();
}

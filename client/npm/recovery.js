// Finds and uploads recoverable recordings, and uploads files. Imported when it is first needed.

import { RecorderError, inLater } from './loading.js';
import { check } from './options.js';
import { RecoverableRecording } from './recoverable-recording.js';
import { get, ownerOf, tokenOf, uploadAborted } from './requests.js';

/**
 * Returns the caller's recoverable recordings. One without an owner was left by an older version, or before its owner
 * was known: it is the caller's if the server lets the caller resume its upload.
 */
export async function recover(options) {
  check(options);
  const owner = await ownerOf(options);
  return inLater(async (later) => {
    const search = (whose) => later.recover({ ...options, owner: whose });
    const own = owner === undefined ? [] : await search(owner);
    // A page that names an owner wants the recordings of that owner only.
    const unowned = options.owner ? [] : await search(undefined);
    const found = [...own, ...unowned.filter((it) => {
      const isOurs = owner === undefined || it.onServer === 'resumable';
      if (!isOurs) it.free();
      return isOurs;
    })];
    return found.sort((a, b) => a.startedAt - b.startedAt).map((it) => new RecoverableRecording(it));
  });
}

/** Returns number, size and `remove()` of the unfinished recordings on this device. */
export async function deviceCopies({ owner, workerUrl } = {}) {
  const copies = await inLater((later) => later.deviceCopies({ owner, workerUrl }));
  const { count, sizeBytes } = copies;
  return { count, sizeBytes, remove: () => inLater(() => copies.remove()) };
}

export async function uploadFile(file, options) {
  check(options);
  const done = await inLater((later) => later.uploadFile(file, options));
  if (done.recordingId) await untilFinished(done.recordingId, options);
  return done;
}

/** Shortest and longest interval at which the server is asked whether it has finished a file. */
const ASK_MS = [200, 5_000];

/** Waits until the server has finished the recording. Rejects if it found none in the file. */
async function untilFinished(id, { server, getToken, signal }) {
  const ask = () => getToken && tokenOf(getToken);
  let token;
  try {
    token = await ask();
  } catch {
    // The server holds all bytes. The upload succeeded even if its outcome cannot be read.
    return;
  }
  for (let ms = ASK_MS[0], wasRefused = false; ; ms = Math.min(2 * ms, ASK_MS[1])) {
    if (signal?.aborted) throw uploadAborted();
    const answer = await get(server, `/api/recordings/${id}`, token, signal).catch((error) => {
      // The server holds all bytes; the outcome can be read later.
      if (error.code === 'unreachable') return undefined;
      throw error;
    });
    if (answer?.ok) {
      const { status, failure } = await answer.json().catch(() => ({}));
      if (status === 'ready') return;
      if (status === 'failed') throw new RecorderError('no_recording', failure ?? 'The server found no recording in this file.');
    } else if (answer?.status === 401 && getToken && !wasRefused) {
      wasRefused = true;
      token = await ask().catch(() => token);
      continue;
    } else if (answer && answer.status >= 400 && answer.status < 500 && answer.status !== 429) {
      // A sender without access to its recordings does not learn their outcome.
      if (answer.status === 401 || answer.status === 403) return;
      throw new RecorderError('gone', 'The recording was deleted on the server.', { status: answer.status });
    }
    await new Promise((resolve) => {
      setTimeout(resolve, ms);
      signal?.addEventListener('abort', resolve, { once: true });
    });
  }
}

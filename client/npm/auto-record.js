// Automatic recording of a session. Imported when it is first needed.

import { inSessionWatcher, typed } from './loading.js';
import { check } from './options.js';
import { Recorder } from './recorder.js';

/** States of a recorder that no longer records. */
const STOPPED = new Set(['stopping', 'uploading', 'done', 'failed', 'aborted']);

export async function autoRecord({ source, onRecorder, onError = reportError, signal, ...options }) {
  check({ source, onRecorder, onError, signal, ...options }, { needsSource: true });
  signal?.throwIfAborted();
  const over = new AbortController();
  let recorder;
  let busy = false;

  const record = async () => {
    // Auto-record was turned off and on again during the recording.
    if (busy) return;
    busy = true;
    // A failed start is both an event and a rejection.
    let isTold = false;
    const tell = (error) => {
      if (!isTold) onError(error);
      isTold = true;
    };
    try {
      const found = typeof source === 'function' ? await source({ signal: over.signal }) : source;
      over.signal.throwIfAborted();
      recorder = new Recorder({ ...options, source: found });
      const stopped = new Promise((resolve) => {
        recorder.on('statechange', (state) => STOPPED.has(state) && resolve());
      });
      recorder.on('error', tell);
      onRecorder?.(recorder);
      await recorder.start();
      await stopped;
    } catch (error) {
      if (!over.signal.aborted) tell(error);
    } finally {
      busy = false;
    }
  };

  await inSessionWatcher(async ({ SessionWatcher }) => {
    let watcher, refused;
    try {
      await new Promise((resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
        const ordered = (order) => (order === 'start' ? record() : resolve());
        const failed = (error) => {
          onError(typed(error));
          // The session is unknown or belongs to another user: the watch ends, and the recording with it.
          if (error.code === 'forbidden' || error.code === 'not_found') refused = error;
        };
        watcher = new SessionWatcher(options, ordered, failed);
      });
    } finally {
      watcher?.free();
      over.abort();
    }
    // The user may still be choosing what to share.
    if (recorder?.state === 'idle' || recorder?.state === 'loading') await recorder.abort();
    else if (recorder) {
      // Later failures are events of the recorder, which `onError` receives.
      if (!STOPPED.has(recorder.state)) recorder.stop({ sessionEnded: true });
      await recorder.finished.catch(() => {});
    }
    if (refused) throw refused;
  });
}

'use client';

import { useEffect, useState, useSyncExternalStore } from 'react';
import { Recorder } from './recorder.js';

const IDLE = Object.freeze({
  state: 'idle', progress: undefined, stopped: undefined, done: undefined, error: undefined, warnings: Object.freeze([]),
  recorder: undefined,
});

/** Recorders of a component, one after the other, and a snapshot of the current one. */
class Recordings {
  #snapshot = IDLE;
  #changed = new Set();
  #leaving;
  /** Whether the user may be choosing what to share. */
  #opening = false;
  options;

  subscribe = (changed) => {
    this.#changed.add(changed);
    return () => this.#changed.delete(changed);
  };

  snapshot = () => this.#snapshot;

  #show(change) {
    this.#snapshot = { ...this.#snapshot, ...change };
    for (const changed of this.#changed) changed();
  }

  /**
   * Called when the component is mounted; the returned function is called when it is unmounted. StrictMode and hot
   * reloading unmount every component and mount it again immediately, so only a component that stays away ends its
   * recording.
   */
  enter = () => {
    clearTimeout(this.#leaving);
    return () => {
      this.#leaving = setTimeout(() => {
        const { recorder, state } = this.#snapshot;
        // A recording that has not begun is aborted, even while the user is choosing what to share. A finished one
        // stays.
        const left = state === 'idle' ? recorder?.abort() : this.stop();
        left?.catch(() => {});
      });
    };
  };

  start = async (options) => {
    const { recorder: last, state } = this.#snapshot;
    // A recorder records once, and refuses a second start.
    let recorder = last;
    if (!last || !(this.#opening || isRunning(state))) {
      try {
        recorder = this.#make();
      } catch (error) {
        this.#show({ ...IDLE, error });
        throw error;
      }
    }
    if (recorder !== last) this.#opening = true;
    try {
      await recorder.start(options);
    } catch (error) {
      // No event reports a recording that could not begin.
      if (recorder !== last) this.#show({ error });
      throw error;
    } finally {
      if (recorder !== last) this.#opening = false;
    }
  };

  #make() {
    const recorder = new Recorder(this.options);
    const shows = (name, change) => {
      recorder.on(name, (value) => {
        if (this.#snapshot.recorder === recorder) this.#show(change(value));
      });
    };
    shows('statechange', (state) => (state === 'starting' ? { state, error: undefined } : { state }));
    shows('progress', (progress) => ({ progress }));
    shows('stopped', (stopped) => ({ stopped }));
    shows('done', (done) => ({ done }));
    shows('error', (error) => ({ error }));
    shows('warning', (warning) => ({ warnings: [...this.#snapshot.warnings, warning] }));
    this.#show({ ...IDLE, recorder });
    return recorder;
  }

  pause = async () => this.#snapshot.recorder?.pause();
  resume = async () => this.#snapshot.recorder?.resume();
  abort = async () => this.#snapshot.recorder?.abort();
  stop = async () => {
    const { recorder, state } = this.#snapshot;
    return isRunning(state) ? recorder.stop() : undefined;
  };
}

function isRunning(state) {
  return ['starting', 'recording', 'paused', 'stopping', 'uploading'].includes(state);
}

export function useRecorder(options) {
  const [recordings] = useState(() => new Recordings());
  // Options of the next recording; a running one keeps its own.
  useEffect(() => {
    recordings.options = options;
  });
  useEffect(recordings.enter, [recordings]);
  const snapshot = useSyncExternalStore(recordings.subscribe, recordings.snapshot, () => IDLE);
  const { start, pause, resume, stop, abort } = recordings;
  return { ...snapshot, start, pause, resume, stop, abort };
}

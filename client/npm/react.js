'use client';

import { useEffect, useState, useSyncExternalStore } from 'react';
import { Recorder } from './recorder.js';

const IDLE = Object.freeze({
  state: 'idle', progress: undefined, stopped: undefined, done: undefined, error: undefined, warnings: Object.freeze([]),
  recorder: undefined,
});

/** One recorder after the other, and the last snapshot of the one there is. */
class Recordings {
  #snapshot = IDLE;
  #changed = new Set();
  #leaving;
  /** Whether a person may be choosing what to share. */
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
   * The component is there; what this answers is called when it goes. StrictMode and hot reloading take every
   * component away and bring it back at once: only one that stays away ends its recording.
   */
  enter = () => {
    clearTimeout(this.#leaving);
    return () => {
      this.#leaving = setTimeout(() => {
        const { recorder, state } = this.#snapshot;
        // Not begun is not begun any more, even if somebody is just choosing what to share. What is done stays.
        const left = state === 'idle' ? recorder?.abort() : this.stop();
        left?.catch(() => {});
      });
    };
  };

  start = async (options) => {
    const { recorder: last, state } = this.#snapshot;
    // Asked to start twice, the recorder itself refuses; each one records once.
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
      // Nothing but this tells of a recording that did not begin.
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
  // What the next recording is made with; the one that runs keeps its own.
  useEffect(() => {
    recordings.options = options;
  });
  useEffect(recordings.enter, [recordings]);
  const snapshot = useSyncExternalStore(recordings.subscribe, recordings.snapshot, () => IDLE);
  const { start, pause, resume, stop, abort } = recordings;
  return { ...snapshot, start, pause, resume, stop, abort };
}

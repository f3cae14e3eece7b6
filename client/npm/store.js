// State of the recordings of a component, one after the other, for the bindings of frameworks. Its methods never reject, so
// that they can be handlers of events; `snapshot().error` has the reason of a failure.

import { Recorder } from './recorder.js';

export const IDLE = Object.freeze({
  state: 'idle', progress: undefined, stopped: undefined, done: undefined, error: undefined, warnings: Object.freeze([]),
  recorder: undefined,
});

const RUNNING = new Set(['starting', 'recording', 'paused', 'stopping', 'uploading']);

export class RecorderStore {
  #snapshot = IDLE;
  #listeners = new Set();
  #leaving;
  /** Returns the options of the next recording; a running one keeps its own. */
  readOptions;

  constructor(readOptions) {
    this.readOptions = readOptions;
  }

  subscribe = (listener) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  snapshot = () => this.#snapshot;

  #show(change) {
    this.#snapshot = { ...this.#snapshot, ...change };
    for (const listener of this.#listeners) listener();
  }

  /**
   * Called when the component is mounted; the returned function is called when it is unmounted. React's StrictMode and
   * hot reloading unmount every component and mount it again immediately, so only a component that stays away ends its
   * recording.
   */
  mount = () => {
    clearTimeout(this.#leaving);
    return () => { this.#leaving = setTimeout(() => this.stop()); };
  };

  /** `given` may be the event of a click. */
  start = async (given) => {
    const { state } = this.#snapshot;
    if (state === 'loading' || RUNNING.has(state)) return false;
    try {
      // With the latest options, also after a start that failed.
      await this.#make().start({ signal: given?.signal });
      return true;
    } catch (error) {
      if (error.code !== 'aborted') this.#show({ error });
      return false;
    }
  };

  #make() {
    this.#show(IDLE);
    const recorder = new Recorder(this.readOptions());
    const shows = (name, change) => {
      recorder.on(name, (value) => {
        if (this.#snapshot.recorder === recorder) this.#show(change(value));
      });
    };
    shows('statechange', (state) => ({ state }));
    shows('progress', (progress) => ({ progress }));
    shows('stopped', (stopped) => ({ stopped }));
    shows('done', (done) => ({ done }));
    shows('error', (error) => ({ error }));
    shows('warning', (warning) => ({ warnings: [...this.#snapshot.warnings, warning] }));
    this.#show({ recorder, state: 'loading' });
    return recorder;
  }

  async #try(method) {
    await this.#snapshot.recorder?.[method]().catch(() => {});
  }

  pause = () => this.#try('pause');
  resume = () => this.#try('resume');
  abort = () => this.#try('abort');

  /** While the user is choosing what to share, it cancels the start. */
  stop = async () => {
    const { recorder, state } = this.#snapshot;
    return state === 'loading' || RUNNING.has(state) ? recorder.stop().catch(() => undefined) : undefined;
  };
}

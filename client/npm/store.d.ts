import type {
  Recorder, RecorderDone, RecorderError, RecorderProgress, RecorderState, RecorderWarning, StopReason,
} from './index.js';

/** State of the recording of a component. */
export interface RecorderSnapshot {
  state: RecorderState;
  /** Progress; `undefined` before it records. */
  progress: RecorderProgress | undefined;
  /** Why the recording stopped, once it has. */
  stopped: StopReason | undefined;
  /** The recording, once the server holds all of it. */
  done: RecorderDone | undefined;
  /** Why the recording could not begin, or failed. */
  error: RecorderError | TypeError | undefined;
  /** Warnings, oldest first. */
  warnings: readonly RecorderWarning[];
  /** The recorder, for its `stream` and other members. */
  recorder: Recorder | undefined;
}

/**
 * Functions that control the recording of a component. They are stable and never reject, so they can be handlers of
 * events as they are; `error` has the reason of a failure.
 */
export interface RecorderControls {
  /**
   * Starts a recording with the current options. Returns whether it records. Does nothing while one runs. The argument
   * may be an event, or has a `signal` that aborts the recording.
   */
  start: (options?: { readonly signal?: AbortSignal | undefined; readonly type?: string }) => Promise<boolean>;
  pause: () => Promise<void>;
  resume: () => Promise<void>;
  /** Stops the recording. Returns the result when the server holds all of it; `undefined` without a result. */
  stop: () => Promise<RecorderDone | undefined>;
  /** Ends the recording and discards it. */
  abort: () => Promise<void>;
}

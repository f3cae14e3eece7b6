/**
 * A hook for React 18 and newer.
 *
 * @module
 */

import type {
  Recorder, RecorderDone, RecorderError, RecorderOptions, RecorderProgress, RecorderState, RecorderWarning,
  StartOptions, StopReason,
} from './index.js';

/** State of the recording and functions that control it. The functions are stable. */
export interface UseRecorder {
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
  /** Starts a recording with the options of the latest render. Rejects like {@link Recorder.start}. */
  start(options?: StartOptions): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Stops the recording. Resolves when the server holds all of it; immediately with `undefined` when none runs. */
  stop(): Promise<RecorderDone | undefined>;
  abort(): Promise<void>;
}

/**
 * Records one recording after the other.
 *
 * Works on a server, under StrictMode and with hot reloading. When the component is unmounted permanently, its
 * recording is stopped and uploaded to the end.
 */
export function useRecorder(options: RecorderOptions): UseRecorder;

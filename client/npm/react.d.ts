/**
 * A hook for React 18 and newer.
 *
 * @module
 */

import type {
  Recorder, RecorderDone, RecorderError, RecorderOptions, RecorderProgress, RecorderState, RecorderWarning,
  StartOptions, StopReason,
} from './index.js';

/** What {@link useRecorder} gives: how the recording is, and what can be done. The functions stay the same. */
export interface UseRecorder {
  state: RecorderState;
  /** How far it is; nothing before it records. */
  progress: RecorderProgress | undefined;
  /** Why it stopped, once it has. */
  stopped: StopReason | undefined;
  /** What became of it, once the server holds all of it. */
  done: RecorderDone | undefined;
  /** Why it could not begin, or failed. */
  error: RecorderError | TypeError | undefined;
  /** What is not as it should be, oldest first. */
  warnings: readonly RecorderWarning[];
  /** The recorder itself, for its `stream` and the rest. */
  recorder: Recorder | undefined;
  /** Begins a recording with the options of the last render. Rejects as {@link Recorder.start} does. */
  start(options?: StartOptions): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Ends it. Resolves when the server holds all of it; at once, with nothing, when nothing is recorded. */
  stop(): Promise<RecorderDone | undefined>;
  abort(): Promise<void>;
}

/**
 * Records, one recording after the other.
 *
 * Renders on a server, under StrictMode and through hot reloading. When the component goes for good, its recording
 * is stopped, and still uploaded to the end.
 */
export function useRecorder(options: RecorderOptions): UseRecorder;

/** State of a recorder. */
export type RecorderState =
  | 'idle' | 'starting' | 'recording' | 'paused' | 'stopping' | 'uploading' | 'done' | 'failed';

/** Reason why a recording stopped. */
export type StopReason =
  | 'user' | 'sharing_ended' | 'track_ended' | 'session_ended' | 'limit_reached' | 'device_lost'
  | 'encoder_failed' | 'upload_failed' | 'storage_full';

/** Identifier of an error; its `message` is a sentence that says what to do. */
export type RecorderErrorCode =
  | 'permission_denied' | 'no_device' | 'device_busy' | 'insecure_context' | 'unsupported'
  | 'tainted_canvas' | 'no_tracks' | 'encoder' | 'empty' | 'wrong_state' | 'aborted' | 'signed_out'
  | 'unreachable' | 'refused' | 'too_large' | 'gone' | 'upload' | 'in_use' | 'storage' | 'not_playable';

/** Identifier of a problem that does not end the recording. */
export type RecorderWarningCode =
  | 'no_microphone' | 'no_shared_audio' | 'audio_ended' | 'backlog' | 'stop_not_announced' | 'encoder'
  | 'not_durable' | 'storage_low' | 'storage_full' | 'no_data' | 'encoder_slow' | 'restarted' | 'slept'
  | 'tainted_canvas' | 'unreachable' | 'continued' | 'left_out' | 'video_ended';

/** Destination and credentials of the bytes. Exactly one of `server` and `endpoint` is needed. */
export interface TargetOptions {
  /** Sortie Recording server: scheme, host and path prefix if any, or `''` for the page's own origin. */
  server?: string;
  /** Session to record into. Without it the recorder creates a session. Only with `server`. */
  session?: string;
  /** URL at which another tus 1.0 server creates uploads. */
  endpoint?: string;
  /**
   * Returns a bearer token; called again when the token has expired. Without it cookies are sent. If it rejects, or the
   * token is refused, `start()` rejects with `signed_out` and the original error as `cause`; a running recording waits
   * (`waiting.reason` is `'sign_in'`) and calls it again with backoff.
   */
  getToken?: () => string | Promise<string>;
}

export interface SpoolOptions {
  /**
   * Keeps unacknowledged bytes on this device, so that `Recorder.recover()` finds them after a crash; `true` by default.
   * If `false`, and in browsers without storage, they are kept in memory.
   */
  durable?: boolean;
  /**
   * URL of this package's `worker.js`. Only for pages whose `Content-Security-Policy` does not have
   * `worker-src blob:`.
   */
  workerUrl?: string;
  /**
   * Owner of the recording, as an identifier that the page chooses: only `recover()` with the same `owner` finds it. By
   * default the subject of the token, or the user that our server names. Set it with `endpoint` where several people
   * share a browser.
   */
  owner?: string;
}

export type RecorderSource = HTMLCanvasElement | MediaStream | 'screen' | 'camera';

export interface RecorderOptions extends TargetOptions, SpoolOptions {
  /** Source, or (in the package) a function that returns it when recording starts. */
  source: RecorderSource | (() => RecorderSource | Promise<RecorderSource>);
  /** Records a microphone as well. */
  microphone?: boolean;
  /** Offers the sound of the shared tab or system. Only with `'screen'`. */
  audio?: boolean;
  /** Offers this tab first. Only with `'screen'`. */
  preferCurrentTab?: boolean;
  /** Maximum frame rate. Only with a canvas; 30 by default. */
  fps?: number;
  /** Interval at which the encoder is asked for bytes, in milliseconds; 1000 by default. */
  timeslice?: number;
  videoBitsPerSecond?: number;
  audioBitsPerSecond?: number;
  /** Longest time between keyframes, in milliseconds; 2000 by default. */
  keyFrameInterval?: number;
  /** Recording stops automatically at this length, in milliseconds. */
  maxDuration?: number;
  /** Recording stops automatically before this size, in bytes. */
  maxSize?: number;
  /** File name without extension, for a tus server; `'recording'` by default. */
  filename?: string;
  /** Keeps the screen on while recording; `true` by default. */
  keepAwake?: boolean;
}

export interface RecorderProgress {
  /**
   * Length in milliseconds, without pauses. If the encoder is silent (warnings `no_data` and `tainted_canvas`) or slower
   * than the source (`encoder_slow`), the length falls back to that of the recorded data.
   */
  recorded: number;
  /** Recorded time that the server holds durably, in milliseconds. */
  safeUntil: number;
  sizeBytes: number;
  safeBytes: number;
  pendingBytes: number;
  /** Average bit rate, in bits per second. */
  bitrate: number;
  /** Storage of the pending bytes: only `'memory'` does not survive a crash. */
  spool: 'opfs' | 'indexeddb' | 'memory';
  /** Reason why no bytes are being sent; none are lost meanwhile. */
  waiting:
    | null
    | { reason: 'offline' }
    | { reason: 'retry'; inMs: number }
    /** `cause` is the last exception of `getToken`, if any. */
    | { reason: 'sign_in'; cause?: unknown };
}

export interface RecorderDone {
  recordingId: string | undefined;
  uploadUrl: string;
  /** Length in milliseconds, without pauses; 0 for a file of unknown length. */
  recorded: number;
  sizeBytes: number;
  mimeType: string;
  /**
   * The parts in order, if there are several: their ids, or upload URLs with another server. `recorded` and `sizeBytes`
   * are of all of them, `recordingId` is that of the first part, `uploadUrl` that of the last one. A recording continues
   * in a further part when the server has ended the upload or takes no more bytes in one (warning `continued`), and when
   * a silent encoder was replaced (warning `restarted`).
   */
  parts?: string[];
}

export interface RecorderWarning {
  code: RecorderWarningCode;
  message: string;
}

/** Error of a recorder; its `name` is `RecorderError`. */
export interface RecorderError extends Error {
  code: RecorderErrorCode;
}

export interface RecorderEvents {
  statechange: RecorderState;
  progress: RecorderProgress;
  warning: RecorderWarning;
  stopped: StopReason;
  done: RecorderDone;
  error: RecorderError;
}

export interface StartOptions {
  /** Aborting it aborts the recording, like `abort()`. */
  signal?: AbortSignal;
}

export interface Recorder {
  on<Name extends keyof RecorderEvents>(
    name: Name, listener: (event: RecorderEvents[Name]) => void): void;
}

export interface UploadOptions {
  /** Called when the server has acknowledged bytes, and when sending pauses or resumes. */
  onProgress?: (progress: UploadProgress) => void;
  /** Aborting it stops sending; acknowledged bytes stay on the server. */
  signal?: AbortSignal;
}

export interface UploadProgress {
  sizeBytes: number;
  safeBytes: number;
  waiting: RecorderProgress['waiting'];
}

export interface UploadFileOptions extends TargetOptions, UploadOptions {
  /** The file's own name by default. */
  filename?: string;
}

/** State of a recoverable recording on the server. */
export type OnServer =
  /** The upload waits for the remaining bytes. */
  | 'resumable'
  /** The server has finished the recording without the remaining bytes, or has deleted it. */
  | 'closed'
  /** The upload was never created. */
  | 'unknown'
  /** The server does not answer. */
  | 'unreachable';

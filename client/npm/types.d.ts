/** Where a recorder is in its life. */
export type RecorderState =
  | 'idle' | 'starting' | 'recording' | 'paused' | 'stopping' | 'uploading' | 'done' | 'failed';

/** Why a recording stopped. */
export type StopReason =
  | 'user' | 'sharing_ended' | 'track_ended' | 'session_ended' | 'limit_reached' | 'device_lost'
  | 'encoder_failed' | 'upload_failed' | 'storage_full';

/** What can go wrong; the `message` is a sentence that says what to do. */
export type RecorderErrorCode =
  | 'permission_denied' | 'no_device' | 'device_busy' | 'insecure_context' | 'unsupported'
  | 'tainted_canvas' | 'no_tracks' | 'encoder' | 'empty' | 'wrong_state' | 'aborted' | 'signed_out'
  | 'unreachable' | 'refused' | 'too_large' | 'gone' | 'upload' | 'in_use' | 'storage' | 'not_playable';

/** What is not as it should be while recording goes on. */
export type RecorderWarningCode =
  | 'no_microphone' | 'no_shared_audio' | 'audio_ended' | 'backlog' | 'stop_not_announced' | 'encoder'
  | 'not_durable' | 'storage_low' | 'storage_full' | 'no_data' | 'encoder_slow' | 'restarted' | 'slept'
  | 'tainted_canvas' | 'unreachable' | 'continued' | 'left_out' | 'video_ended';

/** Where bytes go and who sends them. Exactly one of `server` and `endpoint` is needed. */
export interface TargetOptions {
  /** Sortie Recording's server: scheme and host, or `''` for the page's own origin. */
  server?: string;
  /** The session to record into; without one a session is made. Only with `server`. */
  session?: string;
  /** The URL where any other tus 1.0 server creates uploads. */
  endpoint?: string;
  /**
   * Gives a bearer token; called again when it has expired. Without it cookies are sent. When it rejects, or the token
   * is refused, `start()` rejects with `signed_out` and the original error as `cause`; a recording that runs waits
   * (`waiting.reason` is `'sign_in'`) and asks again with backoff.
   */
  getToken?: () => string | Promise<string>;
}

export interface SpoolOptions {
  /**
   * Keep what is not acknowledged yet on this device, so that `Recorder.recover()` finds it after a crash; `true`
   * by default. Without it, and where the browser has no storage, it is kept in memory.
   */
  durable?: boolean;
  /**
   * Where `worker.js` of this package is served. Only for pages whose `Content-Security-Policy` does not have
   * `worker-src blob:`.
   */
  workerUrl?: string;
  /**
   * The owner of the recording, in the page's own words: only `recover()` with the same `owner` finds it. Without it the
   * package takes the subject of the token, or the user that our server names. To be given with `endpoint` where several
   * people use one browser.
   */
  owner?: string;
}

export type RecorderSource = HTMLCanvasElement | MediaStream | 'screen' | 'camera';

export interface RecorderOptions extends TargetOptions, SpoolOptions {
  /** The source, or (in the package) a function that returns it when recording starts. */
  source: RecorderSource | (() => RecorderSource | Promise<RecorderSource>);
  /** Record a microphone as well. */
  microphone?: boolean;
  /** Offer the sound of the shared tab or system. Only with `'screen'`. */
  audio?: boolean;
  /** Offer this tab first. Only with `'screen'`. */
  preferCurrentTab?: boolean;
  /** Pictures per second at most. Only with a canvas; 30 by default. */
  fps?: number;
  /** How often the encoder is asked for bytes, in milliseconds; 1000 by default. */
  timeslice?: number;
  videoBitsPerSecond?: number;
  audioBitsPerSecond?: number;
  /** The longest time between keyframes, in milliseconds; 2000 by default. */
  keyFrameInterval?: number;
  /** Stop by itself at this length, in milliseconds. */
  maxDuration?: number;
  /** Stop by itself before this many bytes. */
  maxSize?: number;
  /** File name without extension, for a tus server; `'recording'` by default. */
  filename?: string;
  /** Keep the screen on while recording; `true` by default. */
  keepAwake?: boolean;
}

export interface RecorderProgress {
  /**
   * Length so far in milliseconds, without pauses. It falls back to what is recorded when the encoder turns out to be
   * silent (warnings `no_data` and `tainted_canvas`) or slower than the source (`encoder_slow`).
   */
  recorded: number;
  /** Up to where the server holds it durably, in milliseconds. */
  safeUntil: number;
  sizeBytes: number;
  safeBytes: number;
  pendingBytes: number;
  /** Of the recording so far, in bits per second. */
  bitrate: number;
  /** What keeps the pending bytes: only `'memory'` does not survive a crash. */
  spool: 'opfs' | 'indexeddb' | 'memory';
  /** Why nothing is being sent just now; nothing is lost meanwhile. */
  waiting:
    | null
    | { reason: 'offline' }
    | { reason: 'retry'; inMs: number }
    /** `cause` is what `getToken` threw last, if it did. */
    | { reason: 'sign_in'; cause?: unknown };
}

export interface RecorderDone {
  recordingId: string | undefined;
  uploadUrl: string;
  /** Length in milliseconds, without pauses; 0 for a file whose length is not known here. */
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

/** What a recorder throws and reports; `name` is `RecorderError`. */
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
  /** Aborting it is `abort()`. */
  signal?: AbortSignal;
}

export interface Recorder {
  on<Name extends keyof RecorderEvents>(
    name: Name, listener: (event: RecorderEvents[Name]) => void): void;
}

export interface UploadOptions {
  /** Called when the server has acknowledged something, and when sending pauses or goes on. */
  onProgress?: (progress: UploadProgress) => void;
  /** Aborting it stops sending; what the server holds stays there. */
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

/** What the server knows of a recording that was left behind. */
export type OnServer =
  /** It waits for the rest. */
  | 'resumable'
  /** It has finished the recording without the rest, or has deleted it. */
  | 'closed'
  /** It was never told. */
  | 'unknown'
  /** It could not be asked just now. */
  | 'unreachable';

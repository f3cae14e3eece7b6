/** Where a recorder is in its life. */
export type RecorderState =
  | 'idle' | 'starting' | 'recording' | 'paused' | 'stopping' | 'uploading' | 'done' | 'failed';

/** Why a recording stopped. */
export type StopReason =
  | 'user' | 'sharing_ended' | 'track_ended' | 'session_ended' | 'limit_reached' | 'device_lost'
  | 'encoder_failed' | 'upload_failed';

/** Exactly one of `server` and `endpoint` is needed. */
export interface RecorderOptions {
  /** Sortie Recording's server: scheme and host, or `''` for the page's own origin. */
  server?: string;
  /** The session to record into; without one the recorder creates its own. Only with `server`. */
  session?: string;
  /** The URL where any other tus 1.0 server creates uploads. */
  endpoint?: string;
  /** Gives a bearer token; called again when it has expired. Without it cookies are sent. */
  getToken?: () => string | Promise<string>;
  source: HTMLCanvasElement | MediaStream | 'screen' | 'camera';
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
}

export interface RecorderProgress {
  /** Length so far in milliseconds, without pauses. */
  recorded: number;
  /** Up to where the server holds it durably, in milliseconds. */
  safeUntil: number;
  sizeBytes: number;
  safeBytes: number;
  pendingBytes: number;
  /** Why nothing is being sent just now; nothing is lost meanwhile. */
  waiting: null | { reason: 'offline' } | { reason: 'retry'; inMs: number } | { reason: 'sign_in' };
}

export interface RecorderDone {
  recordingId: string | undefined;
  uploadUrl: string;
  /** Length in milliseconds, without pauses. */
  recorded: number;
  sizeBytes: number;
  mimeType: string;
}

/** What a recorder throws and reports; `name` is `RecorderError`. */
export interface RecorderError extends Error {
  code:
    | 'permission_denied' | 'no_device' | 'device_busy' | 'insecure_context' | 'unsupported'
    | 'tainted_canvas' | 'no_tracks' | 'encoder' | 'wrong_state' | 'aborted' | 'signed_out'
    | 'unreachable' | 'refused' | 'upload';
}

export interface RecorderEvents {
  statechange: RecorderState;
  progress: RecorderProgress;
  warning: { code: string; message: string };
  stopped: StopReason;
  done: RecorderDone;
  error: RecorderError;
}

export interface Recorder {
  on<Name extends keyof RecorderEvents>(
    name: Name, listener: (event: RecorderEvents[Name]) => void): void;
}

import type { RecorderError } from './index.js';

/** State of a recorder. `done`, `failed` and `aborted` are final. */
export type RecorderState =
  /** Not started yet, or the start failed and can be repeated. */
  | 'idle'
  /** The recorder is being fetched and the source opened; the user may be choosing what to share. */
  | 'loading'
  /** The server begins the recording and the encoder starts. */
  | 'starting'
  /** The source is being recorded. */
  | 'recording'
  /** Paused; paused time does not count. */
  | 'paused'
  /** The encoder is emitting its last bytes. */
  | 'stopping'
  /** The remaining bytes are being uploaded. */
  | 'uploading'
  /** The server holds all bytes. */
  | 'done'
  /** Not all bytes have arrived. `unsent()` returns the others. */
  | 'failed'
  /** The recording was discarded by `abort()`, by its signal, or by `stop()` before it had begun. */
  | 'aborted';

/** Reason why a recording stopped. */
export type StopReason =
  /** `stop()` was called. */
  | 'user'
  /** The user ended screen sharing in the browser's own controls, or closed the shared window. */
  | 'sharing_ended'
  /** The tracks of the stream or canvas ended. */
  | 'track_ended'
  /** The session has ended, or another client stopped the recording. */
  | 'session_ended'
  /** `maxDuration`, `maxSize` or the server's size limit was reached. */
  | 'limit_reached'
  /** Camera or microphone were disconnected, or permission was withdrawn. */
  | 'device_lost'
  /** The browser's encoder failed; the bytes that it emitted are kept. */
  | 'encoder_failed'
  /** The upload failed; the event `error` has the reason. */
  | 'upload_failed'
  /** The device's storage is full and the network did not catch up; all recorded bytes are kept. */
  | 'storage_full';

/**
 * Identifier of an error; its `message` is a sentence that says what to do. New codes may be added: treat an unknown code
 * like an error that is not `retryable`.
 */
export type RecorderErrorCode =
  /** The user, the browser or `Permissions-Policy` refused permission; for a screen also: nothing was chosen. */
  | 'permission_denied'
  /** There is no such camera or microphone. */
  | 'no_device'
  /** The device cannot be read; usually another program uses it. */
  | 'device_busy'
  /** The page has no secure connection (HTTPS or `localhost`), so there is no screen or camera. */
  | 'insecure_context'
  /** The browser lacks a feature, or the page's `Content-Security-Policy` forbids WebAssembly. */
  | 'unsupported'
  /** The canvas shows images of another origin. Load them with `crossorigin`. */
  | 'tainted_canvas'
  /** The stream has no live track. */
  | 'no_tracks'
  /** A mask cannot be applied, for example because the user chose another tab. Nothing is recorded. */
  | 'mask_failed'
  /** The element of `cropTo` or `restrictTo` is missing, has no size, or is not in the shared tab. */
  | 'region_failed'
  /** The browser's encoder failed. */
  | 'encoder'
  /** The encoder emitted no byte, or the file is empty. */
  | 'empty'
  /** The call is not possible in the recorder's state. */
  | 'wrong_state'
  /** `abort()`, the signal, or a `stop()` before the recording had begun. */
  | 'aborted'
  /** The sign-in has expired, the token was refused, or `getToken` rejected (`cause`). Sign in and call again. */
  | 'signed_out'
  /** The server does not answer, or does not allow the page's origin (CORS); or the recorder could not be fetched. */
  | 'unreachable'
  /** The server does not accept the request, for example an id of a wrong form. */
  | 'bad_request'
  /** The caller may not do this: the session belongs to another user, or the token lacks the scope. */
  | 'forbidden'
  /** The session or the recording does not exist. */
  | 'not_found'
  /** The session has ended or is not running yet. */
  | 'session_not_running'
  /** The state of the session or recording does not allow this. */
  | 'conflict'
  /** The recording is larger than the server accepts. Received bytes are kept there. */
  | 'too_large'
  /** A quota of the user is exhausted; `message` names it. Delete recordings, or ask the administrator. */
  | 'quota_exceeded'
  /** Too many requests or open uploads; `retryAfter` says when to call again. */
  | 'rate_limited'
  /** The server's storage is full. */
  | 'insufficient_storage'
  /** The server, its database or its storage is temporarily unavailable. */
  | 'unavailable'
  /** The server failed. `problem.request_id` identifies the request in its log. */
  | 'server_error'
  /** The address is not that of a Sortie Recording server or a tus server, or its version is too old. */
  | 'unsupported_server'
  /** The server found no recording in the file. */
  | 'no_recording'
  /** The recording was deleted or closed on the server. */
  | 'gone'
  /** The upload on the server has other bytes than this recording, or the server lost bytes. */
  | 'upload'
  /** Another tab uses this recoverable recording. */
  | 'in_use'
  /** The copy on this device cannot be read. */
  | 'storage'
  /** The copy on this device contains no whole picture. */
  | 'not_playable';

/** Identifier of a problem that does not end the recording. New codes may be added. */
export type RecorderWarningCode =
  /** The microphone could not be opened; recording continues without it. */
  | 'no_microphone'
  /** `audio` was requested and the user shared none. */
  | 'no_shared_audio'
  /** Microphone or shared audio ended; recording continues without it. */
  | 'audio_ended'
  /** The camera over the picture could not be opened; recording continues without it. */
  | 'no_camera'
  /** The camera over the picture ended; recording continues without it. */
  | 'camera_ended'
  /** The picture is black because the masks cannot be applied just now. It returns when they can. */
  | 'mask_blocked'
  /** Many bytes wait: the network is slower than the recording. They are kept and sent later. */
  | 'backlog'
  /** The server could not be told that recording has stopped; it learns that from the upload. */
  | 'stop_not_announced'
  /** A marker could not be added on the server; the message says why. */
  | 'marker'
  /** The encoder reported a fault; the bytes that it emitted are kept. */
  | 'encoder'
  /** Nothing can be stored on this device: unsent bytes do not survive a crash. */
  | 'not_durable'
  /** The browser refuses the recorder's worker; `message` says why. The page itself uploads, and nothing is stored. */
  | 'no_worker'
  /** The worker that stores and uploads crashed and was replaced; nothing is lost. */
  | 'worker_restarted'
  /** Little storage is left on this device. */
  | 'storage_low'
  /** The storage of this device is full: new bytes stay in memory until the server holds them. */
  | 'storage_full'
  /** The encoder emits no bytes. */
  | 'no_data'
  /** The encoder is slower than the source and drops pictures. */
  | 'encoder_slow'
  /** A silent encoder was replaced; recording continues in a further part. */
  | 'restarted'
  /** The device slept; that time is not in the recording. */
  | 'slept'
  /** The canvas now shows images of another origin and is not recorded any more. */
  | 'tainted_canvas'
  /** The server has not answered since recording began. It is retried; `message` says what to check. */
  | 'unreachable'
  /** The server has ended the upload; recording continues in a further part. */
  | 'continued'
  /** The last picture of a part was left out, because it cannot be decoded alone. */
  | 'left_out'
  /** A script stopped the video track. */
  | 'video_ended';

/** Problem details of a Sortie Recording server (RFC 9457). */
export interface ProblemDetails {
  /** Stable code of the problem. */
  code: string;
  /** `urn:sortie:problem:` and the code. */
  type: string;
  title: string;
  /** HTTP status. */
  status: number;
  /** Sentence for the user. */
  detail: string;
  /** Identifies the request in the server's log. */
  request_id?: string;
}

/** Credentials of the requests. */
export interface AuthorizationOptions {
  /**
   * Returns a bearer token; called again when the token has expired. Without it cookies are sent. If it rejects, or the
   * token is refused, `start()` rejects with `signed_out` and the original error as `cause`, and can be called again; a
   * running recording waits (`waiting.reason` is `'sign_in'`) and calls it again with backoff.
   */
  getToken?: (() => string | Promise<string>) | undefined;
}

/** A Sortie Recording server as the destination. */
export interface ServerTarget extends AuthorizationOptions {
  /** Scheme, host and path prefix if any, or `''` for the page's own origin. */
  server: string;
  /** Session to record into. Without it the recorder creates a session. */
  session?: string | undefined;
  endpoint?: undefined;
}

/** Another tus 1.0 server as the destination. */
export interface EndpointTarget extends AuthorizationOptions {
  /** URL at which the server creates uploads. */
  endpoint: string;
  server?: undefined;
  session?: undefined;
}

/** Destination and credentials of the bytes: either `server`, with or without `session`, or `endpoint`. */
export type TargetOptions = ServerTarget | EndpointTarget;

/** Labels of a recording on a Sortie Recording server, by which its API finds the recording. */
export interface LabelOptions {
  /** ID of the recording in your application: 1–200 characters. Several recordings may have the same. */
  externalId?: string | undefined;
  /**
   * Data of your application: a JSON object of at most 4 KiB, 50 keys and 4 levels. Lists filter by keys of the first
   * level. Further parts of a recording belong to its first part, which has the labels.
   */
  metadata?: Record<string, unknown> | undefined;
}

/** Options of a recorder that name its destination: labels need `server`. */
export type RecorderTargetOptions =
  | (ServerTarget & LabelOptions)
  | (EndpointTarget & { externalId?: undefined; metadata?: undefined });

/** Options of the copy on this device. */
export interface SpoolOptions {
  /**
   * Keeps unacknowledged bytes on this device, so that `Recorder.recover()` finds them after a crash; `true` by default.
   * If `false`, and in browsers without storage, they are kept in memory.
   */
  durable?: boolean | undefined;
  /**
   * URL of this package's `worker.js`. Only for pages whose `Content-Security-Policy` does not have
   * `worker-src blob:`.
   */
  workerUrl?: string | undefined;
  /**
   * Owner of the recording, as an identifier that the page chooses: only `recover()` with the same `owner` finds it. By
   * default the subject of the token, or the user that our server names. Set it with `endpoint` where several people
   * share a browser.
   */
  owner?: string | undefined;
}

/** Source of a recording. */
export type RecorderSource = HTMLCanvasElement | MediaStream | 'screen' | 'camera';

/** Function that returns the source when recording starts. */
export type SourceFunction = () => RecorderSource | Promise<RecorderSource>;

/** Rectangle that is painted over, in pixels of a canvas, camera or stream, or in CSS pixels of the tab or region. */
export interface MaskRectangle {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Selector of elements over a canvas, or a rectangle. */
export type Mask = string | MaskRectangle;

/** A microphone or camera. */
export interface DeviceChoice {
  /** `deviceId` of `navigator.mediaDevices.enumerateDevices()`; the browser's choice by default. */
  deviceId?: string | undefined;
}

/** Camera over the picture. */
export interface CameraOverlay extends DeviceChoice {
  /** `'bottom-right'` by default. */
  corner?: 'top-left' | 'top-right' | 'bottom-left' | 'bottom-right' | undefined;
  /** Height as a part of the shorter side of the picture, at most 1; 0.25 by default. */
  size?: number | undefined;
  /** `'circle'` by default. */
  shape?: 'circle' | 'rectangle' | undefined;
}

/** Part of the page's own tab that is recorded, or all of it. Chromium only. */
export type RegionOptions =
  | {
    /** Records what the tab shows in the box of this element, an element or its selector. */
    cropTo?: Element | string | undefined;
    restrictTo?: undefined;
  }
  | {
    /** Records this element without what is in front of it, an element or its selector. It needs `isolation: isolate`. */
    restrictTo?: Element | string | undefined;
    cropTo?: undefined;
  };

/** Options of the encoder and of limits. */
export interface CaptureOptions {
  /** Records a microphone as well. An object chooses one, and allows {@link Recorder.switchDevices}. */
  microphone?: boolean | DeviceChoice | undefined;
  /**
   * Shows a camera in a corner of the picture. With the source `'camera'`, chooses the camera. Allows
   * {@link Recorder.switchDevices}.
   */
  camera?: boolean | CameraOverlay | undefined;
  /**
   * MIME type, with or without `codecs`, or several of which the first that the browser supports is used; see
   * {@link supportedFormats}. By default MP4 on WebKit and WebM elsewhere. Without support `start()` rejects with
   * `unsupported`.
   */
  mimeType?: string | string[] | undefined;
  /** Largest width in pixels: a screen, canvas or stream is scaled down; a camera is asked for it. */
  width?: number | undefined;
  /** Largest height in pixels, likewise. */
  height?: number | undefined;
  /** `'detail'` and `'text'` make the encoder preserve sharpness, `'motion'` smoothness. A screen has `'detail'`. */
  contentHint?: '' | 'detail' | 'text' | 'motion' | undefined;
  /** Offers the sound of the shared tab or system. Only with `'screen'`. */
  audio?: boolean | undefined;
  /** Offers this tab first. Only with `'screen'`. */
  preferCurrentTab?: boolean | undefined;
  /** Maximum frame rate. 30 by default with a canvas, otherwise the browser's choice. */
  fps?: number | undefined;
  /** Interval at which the encoder is asked for bytes, in milliseconds; 1000 by default. */
  timeslice?: number | undefined;
  videoBitsPerSecond?: number | undefined;
  audioBitsPerSecond?: number | undefined;
  /**
   * Longest time between keyframes, in milliseconds; 10000 by default, and at most 2000 for MP4, of which Chromium emits
   * no byte between keyframes. A short time makes seeking fast, a long one idle screens small.
   */
  keyFrameInterval?: number | undefined;
  /** Recording stops automatically at this length, in milliseconds. */
  maxDuration?: number | undefined;
  /** Recording stops automatically before this size, in bytes. */
  maxSize?: number | undefined;
  /** File name without extension, for a tus server; `'recording'` by default. */
  filename?: string | undefined;
  /** Keeps the screen on while recording; `true` by default. */
  keepAwake?: boolean | undefined;
  /**
   * Sends our server a small picture of the recorded stream every 10 s, for lists and timelines; `true` by default. It shows
   * what the recording shows: masks are painted over.
   */
  pictures?: boolean | undefined;
}

/** Source of a recording, and what is painted over. */
export type SourceOptions =
  | {
    source: 'screen' | SourceFunction;
    /**
     * Painted black before encoding. A screen must be the page's own tab, which Chromium can tell. A mask that cannot be
     * applied makes `start()` reject with `mask_failed`.
     */
    masks?: MaskRectangle[] | undefined;
  } & RegionOptions
  | { source: HTMLCanvasElement | SourceFunction; masks?: Mask[] | undefined; cropTo?: undefined; restrictTo?: undefined }
  | {
    /** Source, or a function that returns it when recording starts. */
    source: RecorderSource | SourceFunction;
    /** Selectors need a canvas of the page. */
    masks?: MaskRectangle[] | undefined;
    cropTo?: undefined;
    restrictTo?: undefined;
  };

/** Options of a recorder. */
export type RecorderOptions = RecorderTargetOptions & SourceOptions & CaptureOptions & SpoolOptions;

/** Progress of recording and upload. */
export interface RecorderProgress {
  /**
   * Length in milliseconds, without pauses. If the encoder is silent (warnings `no_data` and `tainted_canvas`) or slower
   * than the source (`encoder_slow`), the length falls back to that of the recorded data.
   */
  recordedMs: number;
  /** Recorded time that the server holds durably, in milliseconds. */
  safeMs: number;
  sizeBytes: number;
  /** Bytes that the server holds durably. Never falls. */
  safeBytes: number;
  /** Bytes that the server has not acknowledged. */
  pendingBytes: number;
  /** Average bit rate, in bits per second. */
  bitrate: number;
  /** Storage of the pending bytes: only `'memory'` does not survive a crash. */
  spool: 'opfs' | 'indexeddb' | 'memory';
  /** Reason why no bytes are being sent; none are lost meanwhile. */
  waiting:
    | null
    /** The browser reports that there is no network. */
    | { reason: 'offline' }
    /** The last attempt failed, or the server asked for a later one; milliseconds until the next attempt. */
    | { reason: 'retry'; inMs: number }
    /** The sign-in is being renewed. `cause` is the last exception of `getToken`, if any. */
    | { reason: 'sign_in'; cause?: unknown };
}

/** A recording or file that the server holds completely. */
export interface RecorderDone {
  /** Recording id on a Sortie Recording server. */
  recordingId: string | undefined;
  uploadUrl: string;
  /** Length in milliseconds, without pauses; 0 for a file of unknown length. */
  recordedMs: number;
  sizeBytes: number;
  mimeType: string;
  /**
   * The parts in order, if there are several: their ids, or upload URLs with another server. `recordedMs` and `sizeBytes`
   * are of all of them, `recordingId` is that of the first part, `uploadUrl` that of the last one. A recording continues
   * in a further part when the server has ended the upload or takes no more bytes in one (warning `continued`), and when
   * a silent encoder was replaced (warning `restarted`).
   */
  parts?: string[];
}

/** A problem that does not end the recording. */
export interface RecorderWarning {
  code: RecorderWarningCode;
  /** Sentence for the user. */
  message: string;
}

/** Origin of a marker. The recorder itself makes those of pauses, gaps and restarts of the encoder, the server those of parts. */
export type MarkKind = 'note' | 'pause' | 'gap' | 'part' | 'encoder_restart';

/** Events of a recorder and their values. */
export interface RecorderEvents {
  /** The recorder has entered this state. */
  statechange: RecorderState;
  /** After every chunk and acknowledgement, and at least twice a second while recording. */
  progress: RecorderProgress;
  /** A problem that does not end the recording. */
  warning: RecorderWarning;
  /** Recording has ended; the remaining bytes are being uploaded. */
  stopped: StopReason;
  /** The server holds all bytes. The last event. */
  done: RecorderDone;
  /** Not all bytes have arrived. The last event. The rejection of `start()` reports a start that failed. */
  error: RecorderError;
}

/** Devices to use from now on. */
export interface DeviceSwitch {
  /** `false` removes it. */
  microphone?: boolean | DeviceChoice | undefined;
  /** `false` removes a camera over the picture. */
  camera?: boolean | DeviceChoice | undefined;
}

/** Use of a format that is asked about. */
export interface FormatQuery {
  /** Whether there is sound; `false` by default. */
  audio?: boolean | undefined;
  /** Size and rate for `smooth` and `powerEfficient`; 1280 × 720 at 30 by default. */
  width?: number | undefined;
  height?: number | undefined;
  fps?: number | undefined;
  videoBitsPerSecond?: number | undefined;
}

/** A format that the browser can record. */
export interface SupportedFormat {
  /** Value for the option `mimeType`. */
  mimeType: string;
  container: 'webm' | 'mp4' | 'matroska';
  videoCodec: string;
  /** `undefined` without sound. */
  audioCodec: string | undefined;
  /** Whether the encoder keeps up with the size and rate; `undefined` if the browser does not know. */
  smooth: boolean | undefined;
  /** Whether the encoder saves power, usually in hardware; `undefined` if the browser does not know. */
  powerEfficient: boolean | undefined;
}

/** Options of a wait. */
export interface WaitOptions {
  /** Aborting it rejects the promise with its reason. */
  signal?: AbortSignal | undefined;
}

export interface StartOptions {
  /** Aborting it aborts the recording, like `abort()`. */
  signal?: AbortSignal | undefined;
}

export interface UploadOptions {
  /** Called when the server has acknowledged bytes, and when sending pauses or resumes. */
  onProgress?: ((progress: UploadProgress) => void) | undefined;
  /** Aborting it stops sending; acknowledged bytes stay on the server. */
  signal?: AbortSignal | undefined;
}

export interface UploadProgress {
  sizeBytes: number;
  safeBytes: number;
  waiting: RecorderProgress['waiting'];
}

export type UploadFileOptions = TargetOptions & UploadOptions & {
  /** The file's own name by default. */
  filename?: string | undefined;
};

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

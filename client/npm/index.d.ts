/**
 * Records a canvas, a screen, a camera or any `MediaStream`, and uploads while recording.
 *
 * Importing this module has no effect, on a server either. The recorder is WebAssembly; it is fetched once, when the
 * first {@link Recorder} is created or {@link load} is called. The module for recoverable recordings, files and
 * sessions is fetched with the first of them.
 *
 * @module
 */

import type {
  CaptureOptions, DeviceSwitch, FormatQuery, LabelOptions, MarkKind, Mask, OnServer, ProblemDetails, RecorderDone, RecorderErrorCode, RecorderEvents,
  RecorderOptions, RecorderProgress, RecorderSource, RecorderState, ServerTarget, SpoolOptions, StartOptions, SupportedFormat, TargetOptions,
  UploadFileOptions, UploadOptions, WaitOptions,
} from './types.js';

export type * from './types.js';

export interface LoadOptions {
  /** URL or contents of `core_bg.wasm`; beside this module by default. Only for pages that serve it elsewhere. */
  wasm?: string | URL | Request | Response | BufferSource | WebAssembly.Module;
  /**
   * The same for `later_bg.wasm`, which is fetched with the first call of {@link Recorder.recover} or {@link uploadFile}.
   * Recorders do not need it.
   */
  laterWasm?: LoadOptions['wasm'];
  /**
   * URL of the folder with the package's `.wasm` files, relative to the page; beside this module by default. For pages
   * whose bundler does not copy them. `wasm` and `laterWasm` override it.
   */
  baseUrl?: string | URL;
}

/**
 * Fetches and prepares the recorder, so that the first click finds it ready. Later calls share the result.
 *
 * @throws {@link RecorderError} `unreachable`: it could not be fetched; the next call retries. `unsupported`: the
 * browser or the page's Content-Security-Policy does not allow WebAssembly, or this is no browser.
 */
export function load(options?: LoadOptions): Promise<void>;

/** Additional information of a {@link RecorderError}. */
export interface RecorderErrorDetails {
  cause?: unknown;
  status?: number | undefined;
  problem?: ProblemDetails | undefined;
  retryAfter?: number | undefined;
  retryable?: boolean;
}

/** Error of a recorder. `message` is a sentence for the user that says what to do. */
export class RecorderError extends Error {
  constructor(code: RecorderErrorCode, message: string, details?: RecorderErrorDetails);
  readonly name: 'RecorderError';
  /** Stable identifier for programs. */
  readonly code: RecorderErrorCode;
  /** Exception behind it, if there is one: that of `getToken`, or of a request. */
  readonly cause?: unknown;
  /** HTTP status, if the server refused. */
  readonly status: number | undefined;
  /** The server's explanation, if it is a Sortie Recording server that refused. */
  readonly problem: ProblemDetails | undefined;
  /** Seconds after which the server accepts another attempt, if it named a time. */
  readonly retryAfter: number | undefined;
  /** Whether the cause is temporary: the same call may succeed later, without a change by the page or its user. */
  readonly retryable: boolean;
}

/** Events of a {@link Recorder} for `addEventListener`: the value is their `detail`. */
export type RecorderEventMap = { [Name in keyof RecorderEvents]: CustomEvent<RecorderEvents[Name]> };

/**
 * Records one source once and uploads while recording.
 *
 * `idle → loading → starting → recording ⇄ paused → stopping → uploading → done`. A start that fails returns to `idle`;
 * later `failed` may follow, and `aborted` at any time. A recorder that has been started continues until it is stopped,
 * aborted or done, even without references to it.
 *
 * ```js
 * const recorder = new Recorder({ server: '', source: 'screen' });
 * recorder.on('progress', ({ recordedMs, safeMs }) => console.log(recordedMs, safeMs));
 * button.onclick = () => recorder.start();
 * // …
 * const { recordingId } = await recorder.stop();
 * ```
 */
export class Recorder extends EventTarget {
  /**
   * Creates a recorder in state `idle`. Unknown options are reported on the console once.
   *
   * @throws `TypeError` that names the option which is missing or wrong.
   */
  constructor(options: RecorderOptions);

  /**
   * Returns recoverable recordings, oldest first: their page crashed or was closed, or the computer did not wake up.
   * Recordings that another tab uses are left out. Call it once, when the page is loaded, and offer the result.
   *
   * Only recordings of the caller are found: of `owner`; without it of the token's subject, or of the user that the
   * server names for the token or the cookies. With `endpoint`, a token that is no JSON Web Token finds recordings made
   * with the same token, and without `getToken` all recordings have one owner: set `owner` where several people share a
   * browser. A recording without an owner (of an older version) is found if the server lets the caller resume it.
   *
   * @throws {@link RecorderError} `signed_out` or `unreachable`: the owner could not be determined.
   */
  static recover(options: TargetOptions & SpoolOptions): Promise<RecoverableRecording[]>;

  /**
   * Returns number, size and `remove()` of the unfinished recordings on this device: those of `owner`, or all. For a
   * sign-out on a shared computer: ask the user, then remove them. Recordings in other tabs are not counted. Not while
   * this page records.
   */
  static deviceCopies(options?: Pick<SpoolOptions, 'owner' | 'workerUrl'>): Promise<DeviceCopies>;

  /**
   * Asks for permission where needed, and starts. Resolves when it records. For `'screen'` call it in the handler of a
   * click. A `source` that is a function is called first; its exceptions are passed on.
   *
   * When it rejects, nothing was recorded and the recorder is `idle` again: for example after `signed_out`, sign the user
   * in and call it again. Only an aborted recorder stays `aborted`.
   *
   * @throws {@link RecorderError}, and `TypeError` when that function returns no source.
   */
  start(options?: StartOptions): Promise<void>;
  /** Pauses the recording; paused time does not count. */
  pause(): Promise<void>;
  /** Resumes after a pause. */
  resume(): Promise<void>;
  /**
   * Uses other devices while recording. A device that cannot be opened rejects, and the former one continues. The
   * recording must have been started with the option of that device, the microphone with an object.
   */
  switchDevices(devices: DeviceSwitch): Promise<void>;
  /**
   * Stops the recording. Resolves when the server holds all of it. Every call settles in the same way: with the same
   * result, or with the error that ended the recording. While the recorder is starting it cancels the start; then, and
   * after {@link abort}, it rejects with `aborted`. An unhandled rejection is not reported.
   *
   * `sessionEnded`: the reason is the end of the session, not the user. A recorder of our server also learns that from
   * the server.
   */
  stop(options?: { sessionEnded?: boolean }): Promise<RecorderDone>;
  /**
   * Marks the current moment of the recording, for the player's timeline, its list and the search, and returns its time in
   * milliseconds of recorded time. Only with `server`. Markers are kept on the device and sent like the recording: after an
   * outage, or by {@link RecoverableRecording.upload} after a crash. A recording has at most 1,000. `stop()` resolves when the
   * server has them, too.
   *
   * @param text At most 500 characters; empty by default.
   * @param kind `'note'` by default.
   * @throws {@link RecorderError} `wrong_state`: nothing is being recorded. `bad_request`: the text is too long or has control
   * characters. `conflict`: too many markers. `unsupported_server`: with `endpoint`.
   */
  mark(text?: string, kind?: MarkKind): Promise<number>;
  /** Ends the recording and discards it, on the server too. This is no error: there is no `error` event. */
  abort(): Promise<void>;
  /**
   * Settles when the recording has ended: with the result of {@link stop}, with `null` after an abort or a cancelled
   * start, or with the error that ended it.
   */
  readonly finished: Promise<RecorderDone | null>;

  /** Calls `listener` for every event. The returned function removes it, and so does {@link off}. */
  on<Name extends keyof RecorderEvents>(name: Name, listener: (value: RecorderEvents[Name]) => void): () => void;
  /** Removes a listener of {@link on} or {@link once}. */
  off<Name extends keyof RecorderEvents>(name: Name, listener: (value: RecorderEvents[Name]) => void): void;
  /** Calls `listener` for the next event. The returned function removes it. */
  once<Name extends keyof RecorderEvents>(name: Name, listener: (value: RecorderEvents[Name]) => void): () => void;
  /**
   * Returns the value of the next event.
   *
   * @throws The reason of `signal`; the error that ended the recording, or `wrong_state` when it ended without this event.
   */
  once<Name extends keyof RecorderEvents>(name: Name, options?: WaitOptions): Promise<RecorderEvents[Name]>;
  /**
   * Waits until the recorder enters the state, or one of the states, and returns it; immediately if it is in one. A start
   * that fails does not end the wait, because it can be repeated.
   *
   * ```js
   * await recorder.waitForState('recording', { signal: AbortSignal.timeout(30_000) });
   * ```
   *
   * @throws The reason of `signal`; the error that ended the recording, or `wrong_state` when it ended otherwise.
   */
  waitForState<State extends RecorderState>(state: State | readonly State[], options?: WaitOptions): Promise<State>;
  addEventListener<Name extends keyof RecorderEventMap>(
    name: Name, listener: (event: RecorderEventMap[Name]) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(
    name: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<Name extends keyof RecorderEventMap>(
    name: Name, listener: (event: RecorderEventMap[Name]) => void, options?: boolean | EventListenerOptions): void;
  removeEventListener(
    name: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | EventListenerOptions): void;

  get state(): RecorderState;
  /** Progress of recording and upload. */
  get progress(): RecorderProgress;
  /** MIME type that the browser records; known once it records. */
  get mimeType(): string | undefined;
  /** Recording id on our server, of the first part if there are several; known once the recording exists. */
  get recordingId(): string | undefined;
  /** Stream being recorded, for a preview. */
  get stream(): MediaStream | undefined;
  /** Whether the server does not hold all bytes yet. */
  get hasUnsent(): boolean;
  /** Bytes that the server has not acknowledged, to save after a failure. */
  unsent(): Promise<Blob | undefined>;
}

/** Unfinished recordings on this device. */
export interface DeviceCopies {
  /** Number of recordings. */
  readonly count: number;
  /** Bytes on this device. */
  readonly sizeBytes: number;
  /** Removes them from this device. What the server holds stays there. */
  remove(): Promise<void>;
}

/**
 * Recording that a crashed or closed page has left on this device. It is locked for other tabs until it is uploaded,
 * discarded or freed.
 */
export interface RecoverableRecording {
  /** Identifier of the copy on this device. */
  readonly id: string;
  /** Recording id on our server. */
  readonly recordingId: string | undefined;
  readonly uploadUrl: string | undefined;
  /** Label that the page gave the recording. If {@link upload} makes a new recording, that has it, too. */
  readonly externalId: string | undefined;
  /** Like {@link externalId}. */
  readonly metadata: Record<string, unknown> | undefined;
  /** MIME type; may be empty. */
  readonly mimeType: string;
  /** Unix time of the start in milliseconds. */
  readonly startedAt: number;
  /** Length in milliseconds. */
  readonly recordedMs: number;
  /** Size in bytes. */
  readonly sizeBytes: number;
  /** Bytes that are on this device. */
  readonly keptBytes: number;
  /**
   * Bytes at the beginning of the recording that only the server has; 0 if all bytes are on this device. A file from
   * {@link download} begins after them.
   */
  readonly missingBytes: number;
  /** State on the server when the recording was found. */
  readonly onServer: OnServer;
  /**
   * Uploads the remaining bytes from the server's offset on and removes the copy. Resolves when the server holds all of
   * it.
   *
   * @throws {@link RecorderError} `unreachable`: the server has not answered for some seconds. The copy stays.
   */
  upload(options?: UploadOptions): Promise<RecorderDone>;
  /**
   * Returns the bytes on this device as a file that plays and seeks. It has no gap: if {@link missingBytes} is not 0, it
   * begins later than the recording. The module for this is fetched with the first call.
   */
  download(): Promise<Blob>;
  /** Removes the copy, and the upload on the server if it waits for the remaining bytes. */
  discard(): Promise<void>;
  /** Releases the lock, so that another tab can recover the recording. */
  free(): void;
}

/**
 * Uploads a file under its own name or `filename`. Resolves when the server holds all of it; our server has then
 * finished it, too, if the caller has access to recordings. After its first answer the server is waited for, and so is
 * the network while the browser reports that there is none.
 *
 * @throws {@link RecorderError} `unreachable`: the server has not answered for some seconds. `not_found`,
 * `session_not_running`: the session is unknown, or has ended. `no_recording`: our server found no recording in the file.
 * `TypeError` for a wrong option.
 */
export function uploadFile(file: Blob, options: UploadFileOptions): Promise<RecorderDone>;

/**
 * Returns the formats that the browser can record, best first for screens.
 *
 * ```js
 * const [format] = (await supportedFormats({ audio: true })).filter((it) => it.container === 'mp4');
 * ```
 *
 * @throws {@link RecorderError} `unsupported`: the browser has no `MediaRecorder`.
 */
export function supportedFormats(query?: FormatQuery): Promise<SupportedFormat[]>;

export interface AutoRecordOptions extends ServerTarget, LabelOptions, CaptureOptions, SpoolOptions {
  /** Session to watch and to record into. */
  session: string;
  /**
   * Source, or a function that returns it when it is needed; its `signal` is aborted when the session ends meanwhile.
   */
  source: RecorderSource | ((wanted: { signal: AbortSignal }) => RecorderSource | Promise<RecorderSource>);
  /** Painted black before encoding, as in {@link RecorderOptions}. */
  masks?: Mask[] | undefined;
  /** Called with every recorder before it starts, to add listeners. */
  onRecorder?: ((recorder: Recorder) => void) | undefined;
  /**
   * Called with every failure: a recording could not begin or failed, the sign-in was refused (`signed_out`), the
   * server does not answer (`unreachable`), the session is unknown (`not_found`) or another user's (`forbidden`). The
   * watch continues after all but the last two. By default the page's `error` event reports it.
   */
  onError?: ((error: unknown) => void) | undefined;
  /** Aborting it ends the watch. A running recording continues until it is stopped. */
  signal?: AbortSignal | undefined;
}

/**
 * Records a session whenever the server says so: as soon as auto-record is on for it, and not again when its user has
 * stopped a recording. When the session ends, its recording is stopped and uploaded.
 *
 * Resolves when the session has ended and the server holds its recording; rejects with the reason of `signal`, when the
 * recorder cannot be loaded, with `not_found` or `forbidden` when the session is unknown or another user's, and with a `TypeError` for a
 * wrong option. After a server failure and a refused token it retries.
 *
 * ```js
 * await autoRecord({ server, session, getToken, source: ({ signal }) => whenPresent('#screen canvas', { signal }) });
 * ```
 */
export function autoRecord(options: AutoRecordOptions): Promise<void>;

/**
 * Waits for the element that `selector` names, for example the canvas that a remote desktop creates once it is
 * connected.
 */
export function whenPresent(selector: string, options?: PresentOptions): Promise<HTMLCanvasElement>;
export function whenPresent<Found extends Element>(selector: string, options?: PresentOptions): Promise<Found>;

export interface PresentOptions {
  /** Node whose descendants are searched; the document by default. */
  root?: Document | Element | ShadowRoot | undefined;
  /** Aborting it rejects the promise with its reason. */
  signal?: AbortSignal | undefined;
}

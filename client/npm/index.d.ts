/**
 * Records a canvas, a screen, a camera or any `MediaStream`, and uploads while recording.
 *
 * Importing this module does nothing, on a server too. What records is WebAssembly; it is fetched once, when the
 * first {@link Recorder} is made or {@link load} is called. What leftovers, files and sessions need besides is fetched
 * with the first of them.
 *
 * @module
 */

import type {
  OnServer, RecorderDone, RecorderErrorCode, RecorderEvents, RecorderOptions, RecorderProgress,
  RecorderSource, RecorderState, SpoolOptions, StartOptions, TargetOptions, UploadFileOptions, UploadOptions,
} from './types.js';

export type * from './types.js';

export interface LoadOptions {
  /**
   * Where `core_bg.wasm` is, or what is in it; beside this module by default. Only for pages that serve it from
   * somewhere else.
   */
  wasm?: string | URL | Request | Response | BufferSource | WebAssembly.Module;
  /**
   * The same for `later_bg.wasm`, which is fetched when {@link Recorder.recover}, {@link uploadFile} or
   * {@link autoRecord} is first called. No running recording needs it.
   */
  laterWasm?: LoadOptions['wasm'];
  /**
   * The folder that the package's `.wasm` files are served from, relative to the page; beside this module by default.
   * For pages whose bundler does not copy them. `wasm` and `laterWasm` win over it.
   */
  baseUrl?: string | URL;
}

/**
 * Fetches and prepares what records, so that the first click finds it ready. Calls after the first share it.
 *
 * @throws {@link RecorderError} `unreachable`: it could not be fetched; the next call tries again. `unsupported`:
 * the browser or the page's Content-Security-Policy does not allow WebAssembly, or this is no browser.
 */
export function load(options?: LoadOptions): Promise<void>;

/** What a recorder throws and reports. The `message` is a sentence for a person and says what to do. */
export class RecorderError extends Error {
  constructor(code: RecorderErrorCode, message: string);
  readonly name: 'RecorderError';
  /** For programs. */
  readonly code: RecorderErrorCode;
}

/** The events of a {@link Recorder}, as `addEventListener` sees them: the value is their `detail`. */
export type RecorderEventMap = { [Name in keyof RecorderEvents]: CustomEvent<RecorderEvents[Name]> };

/**
 * Records one source once and uploads while recording.
 *
 * `idle → starting → recording ⇄ paused → stopping → uploading → done`, and `failed` from anywhere. A recorder that
 * has been started goes on until it is stopped, aborted or done, even if nothing refers to it any more.
 *
 * ```js
 * const recorder = new Recorder({ server: '', source: 'screen' });
 * recorder.on('progress', ({ recorded, safeUntil }) => console.log(recorded, safeUntil));
 * button.onclick = () => recorder.start();
 * // …
 * const { recordingId } = await recorder.stop();
 * ```
 */
export class Recorder extends EventTarget {
  /**
   * A recorder in state `idle`. Unknown options are named on the console, once each.
   *
   * @throws `TypeError` that names the option which is missing or wrong.
   */
  constructor(options: RecorderOptions);

  /**
   * Recordings that a page has left behind on this device, oldest first: it crashed, was closed, or the computer slept
   * for good. Not those that another tab has in its hands. Ask once, when the page is loaded, and offer what is found.
   *
   * Only the caller's own: `owner`; without it the subject of the token, or the user that the server names for the
   * token or the cookies. Another user's recordings are not found. With `endpoint`, a token that is no JSON Web Token
   * finds what was recorded with the same token, and without `getToken` there is one owner for all: where several
   * people use one browser, give `owner`. A recording without an owner (of an older version) is found if the server
   * lets the caller go on with it.
   *
   * @throws {@link RecorderError} `signed_out` or `unreachable`: the owner could not be determined.
   */
  static recover(options: TargetOptions & SpoolOptions): Promise<RecoverableRecording[]>;

  /**
   * Asks for permission where that is needed, and begins. Resolves when it records. For `'screen'` call it in the
   * handler of a click. When the source could not be opened, it may be called again. A `source` that is a function is
   * called first; what it throws is thrown.
   *
   * @throws {@link RecorderError}, and `TypeError` when that function returns no source.
   */
  start(options?: StartOptions): Promise<void>;
  /** Makes recorded time stand still. */
  pause(): Promise<void>;
  /** Goes on after a pause. */
  resume(): Promise<void>;
  /**
   * Ends the recording. Resolves when the server holds all of it. Every call settles in the same way: with the same
   * result, or with the error that ended the recording. While it is starting it cancels the start; then, and after
   * {@link abort}, it rejects with `aborted`. A rejection that nothing waits for is not reported as unhandled.
   *
   * `sessionEnded`: it is not the person who stops, but the session that was watched is over. A recorder of our server
   * learns that from the server, too.
   */
  stop(options?: { sessionEnded?: boolean }): Promise<RecorderDone>;
  /** Ends the recording and discards it, on the server too. That is no error: there is no `error` event. */
  abort(): Promise<void>;
  /**
   * Settles when the recording has ended: with what {@link stop} resolves to, with `null` when it was aborted or its
   * start was cancelled, or with the error that ended it.
   */
  readonly finished: Promise<RecorderDone | null>;

  /** Calls `listener` whenever the event happens; what it answers takes the listener off again. */
  on<Name extends keyof RecorderEvents>(name: Name, listener: (value: RecorderEvents[Name]) => void): () => void;
  addEventListener<Name extends keyof RecorderEventMap>(
    name: Name, listener: (event: RecorderEventMap[Name]) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(
    name: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<Name extends keyof RecorderEventMap>(
    name: Name, listener: (event: RecorderEventMap[Name]) => void, options?: boolean | EventListenerOptions): void;
  removeEventListener(
    name: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | EventListenerOptions): void;

  get state(): RecorderState;
  /** How far recording and uploading are. */
  get progress(): RecorderProgress;
  /** What is really recorded, once it records. */
  get mimeType(): string | undefined;
  /** The recording's id on our server, once it exists. */
  get recordingId(): string | undefined;
  /** The stream being recorded, for a preview. */
  get stream(): MediaStream | undefined;
  /** Whether the server does not hold everything yet. */
  get hasUnsent(): boolean;
  /** What the server has not acknowledged, to save by hand after a failure. */
  get unsent(): Blob | undefined;
}

/** A recording whose page is gone. No other tab can have it until it is sent, discarded or freed. */
export class RecoverableRecording {
  private constructor();
  /** Names the copy on this device. */
  get id(): string;
  /** The recording's id on our server. */
  get recordingId(): string | undefined;
  get uploadUrl(): string | undefined;
  /** What was recorded; may be empty. */
  get mimeType(): string;
  /** When it began, in milliseconds since 1970. */
  get startedAt(): number;
  /** How long it is, in milliseconds. */
  get recorded(): number;
  /** How large it is, in bytes. */
  get sizeBytes(): number;
  /** How much of it is on this device, in bytes. */
  get keptBytes(): number;
  /**
   * Bytes at the beginning of the recording that only the server has; 0 if all bytes are on this device. A file from
   * {@link download} begins after them.
   */
  get missingBytes(): number;
  /** What the server knew of it when it was found. */
  get onServer(): OnServer;
  /**
   * Sends the rest, from where the server is, and forgets it here. Resolves when the server holds all of it.
   *
   * @throws {@link RecorderError} `unreachable`: the server has not answered once, for some seconds. It stays here.
   */
  upload(options?: UploadOptions): Promise<RecorderDone>;
  /**
   * Returns the bytes on this device as a file that plays and seeks. It has no gap: if {@link missingBytes} is not 0, it
   * begins later than the recording. The module for this is fetched with the first call.
   */
  download(): Promise<Blob>;
  /** Forgets it here, and on the server if that waits for the rest. */
  discard(): Promise<void>;
  /** Releases the lock, so that another tab can recover the recording. */
  free(): void;
}

/** @deprecated Renamed: use {@link RecoverableRecording}. The next release removes this name. */
export { RecoverableRecording as Leftover };

/**
 * Uploads a file that is there already, under its own name or `filename`. Resolves when the server holds all of it; our
 * server has then finished it, too, if the caller may ask for it. Once the server has answered it is waited for, and so
 * is the network while the browser says that there is none.
 *
 * @throws {@link RecorderError} `unreachable`: the server has not answered once, for some seconds. `refused`: the
 * session is unknown or has ended, or our server found no recording in the file. `TypeError` for a wrong option.
 */
export function uploadFile(file: Blob, options: UploadFileOptions): Promise<RecorderDone>;

export interface AutoRecordOptions extends Omit<RecorderOptions, 'source' | 'endpoint'> {
  server: string;
  session: string;
  /** What to record, or what gives it when it is wanted; its `signal` is aborted when the session ends meanwhile. */
  source: RecorderSource | ((wanted: { signal: AbortSignal }) => RecorderSource | Promise<RecorderSource>);
  /** Called with every recorder before it starts: the place to listen to it. */
  onRecorder?: (recorder: Recorder) => void;
  /**
   * Called with every failure: a recording could not begin or failed, the sign-in was refused (`signed_out`), the server
   * does not answer (`unreachable`), the session is unknown or another user's (`refused`). The watch goes on after all
   * but the last. By default the page's `error` event tells of it.
   */
  onError?: (error: unknown) => void;
  /** Aborting it ends the watch. What is being recorded goes on until it is stopped. */
  signal?: AbortSignal;
}

/**
 * Records a session whenever the server says so: as soon as auto-record is on for it, and not again when its user has
 * stopped by hand. When the session ends, its recording is stopped and sent.
 *
 * Resolves when the session has ended and the server holds its recording; rejects with the reason of `signal`, when the
 * recorder cannot be loaded, with `refused` when the session is unknown or another user's, and with a `TypeError` for a
 * wrong option. A server that cannot be reached and a token that is refused are tried again.
 *
 * ```js
 * await autoRecord({ server, session, getToken, source: ({ signal }) => whenPresent('#screen canvas', { signal }) });
 * ```
 */
export function autoRecord(options: AutoRecordOptions): Promise<void>;

/**
 * Waits for the element that `selector` names, for example the canvas that a remote desktop makes once it is
 * connected.
 *
 * `root` is where to look, the document by default. Aborting `signal` rejects with its reason.
 */
export function whenPresent<Found extends Element = HTMLCanvasElement>(
  selector: string, options?: { root?: Document | Element | ShadowRoot; signal?: AbortSignal }): Promise<Found>;

/**
 * `<sortie-recorder>`: a ready-made button that records, with the running time and a spoken status. Importing this
 * module defines the element; on a server it does nothing.
 *
 * ```html
 * <sortie-recorder server="https://recordings.example.org" source="screen" microphone></sortie-recorder>
 * ```
 *
 * Attributes: `server`, `session`, `endpoint`, `filename`, `microphone`, `audio`, `camera`, `prefer-current-tab`, `crop-to`,
 * `restrict-to`, `masks`, `mime-type`, `width`, `height`, `fps`, `content-hint`, `max-duration`, `max-size` as in
 * `RecorderOptions`; `source`: `screen` (by default), `camera`, or the selector of a
 * canvas; `text-start`, `text-stop`, `text-recording`, `text-saving`, `text-offline`, `text-saved`, `text-mark`,
 * `text-marked` for other words; `markers` for a second button that marks a moment, and the key M.
 *
 * Parts for CSS: `button`, `mark`, `icon`, `label`, `time`, `status`. It follows the page's `color-scheme`.
 *
 * @module
 */

import type { MarkKind, Recorder, RecorderDone, RecorderEventMap, RecorderOptions } from './index.js';

/** Attributes of `<sortie-recorder>`, with the meaning of the options of the same name. */
export interface SortieRecorderAttributes {
  server?: string | undefined;
  session?: string | undefined;
  endpoint?: string | undefined;
  filename?: string | undefined;
  /** `screen` (by default), `camera`, or the selector of a canvas. */
  source?: string | undefined;
  /** Present: records a microphone as well. */
  microphone?: boolean | '' | undefined;
  /** Present: offers the sound of the shared tab or system. */
  audio?: boolean | '' | undefined;
  /** Present: shows a camera in a corner of the picture. */
  camera?: boolean | '' | undefined;
  /** Selectors of elements over a canvas that are painted black. */
  masks?: string | undefined;
  /** Selector of an element; only its box in this tab is recorded. */
  'crop-to'?: string | undefined;
  /** Selector of an element; only the element is recorded. */
  'restrict-to'?: string | undefined;
  'mime-type'?: string | undefined;
  width?: number | string | undefined;
  height?: number | string | undefined;
  'content-hint'?: string | undefined;
  /** Present: offers this tab first. */
  'prefer-current-tab'?: boolean | '' | undefined;
  fps?: number | string | undefined;
  'max-duration'?: number | string | undefined;
  'max-size'?: number | string | undefined;
  /** Present: shows a second button, and takes the key M while the focus is here, to mark a moment. Only with `server`. */
  markers?: boolean | '' | undefined;
  'text-start'?: string | undefined;
  'text-stop'?: string | undefined;
  'text-recording'?: string | undefined;
  'text-saving'?: string | undefined;
  'text-offline'?: string | undefined;
  'text-saved'?: string | undefined;
  'text-mark'?: string | undefined;
  'text-marked'?: string | undefined;
}

/**
 * Button that records. It dispatches the events of its recorder; all but `error` bubble. Removed from the page it
 * continues to record until it is stopped.
 */
export class SortieRecorderElement extends HTMLElement {
  /** Options that attributes cannot express (`getToken`, a stream). They override attributes. */
  options: Partial<RecorderOptions>;
  /** Recorder of the latest recording, if any. */
  readonly recorder: Recorder | undefined;
  /** Starts a recording, like a click while none runs. */
  start(): Promise<void>;
  /** Stops the recording, like a click while one runs. Resolves when the server holds all of it. */
  stop(): Promise<RecorderDone | undefined>;
  /** Marks the current moment, like a click on the second button. Returns the recorded time in milliseconds. */
  mark(text?: string, kind?: MarkKind): Promise<number | undefined>;
  addEventListener<Name extends keyof RecorderEventMap>(
    name: Name, listener: (event: RecorderEventMap[Name]) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(
    name: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void;
}

declare global {
  interface HTMLElementTagNameMap {
    'sortie-recorder': SortieRecorderElement;
  }
}

// `<sortie-recorder>`: a button that records and shows the state. Importing this module defines the element where
// custom elements exist.

import { Recorder } from './recorder.js';

const STYLE = `
:host { display: inline-flex; flex-wrap: wrap; align-items: center; gap: .5em .75em; font: inherit; color-scheme: light dark }
:host([hidden]) { display: none }
button {
  display: inline-flex; align-items: center; gap: .5em; min-height: 2.75em; padding: .5em 1em; font: inherit; cursor: pointer;
  color: light-dark(#1c2430, #f2f4f7); background: light-dark(#fff, #232a35);
  border: 1px solid light-dark(#6b7686, #9aa5b5); border-radius: .5em;
}
button:focus-visible { outline: 3px solid light-dark(#1a5fb4, #8ab4f8); outline-offset: 2px }
button:disabled { cursor: default; opacity: .65 }
button[hidden] { display: none }
[part=icon] { width: .8em; height: .8em; border-radius: 50%; background: light-dark(#c01c28, #ff7b7b) }
.running [part=icon] { border-radius: .1em }
[part=time] { font-variant-numeric: tabular-nums }
[part=time]:empty, [part=status]:empty { display: none }
@media (forced-colors: active) { [part=icon] { background: CanvasText; forced-color-adjust: none } }`;

const TEXTS = {
  start: 'Start recording', stop: 'Stop recording', recording: 'Recording', saving: 'Saving the last seconds…',
  offline: 'Recording; there is no network, and nothing is lost.', saved: 'Saved', mark: 'Add marker', marked: 'Marker added',
};
/** Attributes that are options of the same meaning, and how their values are read. */
const OPTIONS = {
  server: String, session: String, endpoint: String, filename: String, microphone: Boolean, audio: Boolean, camera: Boolean,
  'prefer-current-tab': Boolean, 'crop-to': String, 'restrict-to': String, masks: (selectors) => [selectors], 'mime-type': String,
  width: Number, height: Number, fps: Number, 'content-hint': String, 'max-duration': Number, 'max-size': Number,
};
const EVENTS = ['statechange', 'progress', 'warning', 'stopped', 'done', 'error'];
/** Time for which the status says that a marker was added. */
const MARKED_MS = 2_000;

/** Base class; on a server there is none. */
const HTMLElement = globalThis.HTMLElement ?? class {};

/**
 * Button that records, with the running time and a spoken status.
 *
 * @element sortie-recorder
 * @attr {string} server - Sortie Recording server; empty for the page's own origin.
 * @attr {string} session - Session to record into. Only with `server`.
 * @attr {string} endpoint - URL at which another tus server creates uploads, instead of `server`.
 * @attr {string} filename - File name without extension, for another tus server.
 * @attr {string} source - `screen` (by default), `camera`, or the selector of a canvas.
 * @attr {boolean} microphone - Records a microphone as well.
 * @attr {boolean} audio - Offers the sound of the shared tab or system.
 * @attr {boolean} camera - Shows a camera in a corner of the picture.
 * @attr {string} masks - Selectors of elements over a canvas that are painted black.
 * @attr {string} crop-to - Selector of an element; only its box in this tab is recorded.
 * @attr {string} restrict-to - Selector of an element; only the element is recorded.
 * @attr {string} mime-type - MIME type to record.
 * @attr {number} width - Largest width in pixels.
 * @attr {number} height - Largest height in pixels.
 * @attr {string} content-hint - What the encoder preserves: `detail`, `text` or `motion`.
 * @attr {boolean} prefer-current-tab - Offers this tab first.
 * @attr {number} fps - Maximum frame rate.
 * @attr {number} max-duration - Recording stops at this length, in milliseconds.
 * @attr {number} max-size - Recording stops before this size, in bytes.
 * @attr {boolean} markers - Shows a second button, and takes the key M while the focus is here, to mark a moment. Only with `server`.
 * @attr {string} text-start - Label of the button while nothing is recorded.
 * @attr {string} text-stop - Label of the button while it records.
 * @attr {string} text-recording - Status while it records.
 * @attr {string} text-saving - Status while the remaining bytes are uploaded.
 * @attr {string} text-offline - Status while there is no network.
 * @attr {string} text-saved - Status when the server holds all of the recording.
 * @attr {string} text-mark - Label of the button that adds a marker.
 * @attr {string} text-marked - Status when a marker was added; its time follows.
 *
 * @fires {CustomEvent<RecorderState>} statechange - The recorder has entered this state.
 * @fires {CustomEvent<RecorderProgress>} progress - Progress of recording and upload.
 * @fires {CustomEvent<RecorderWarning>} warning - A problem that does not end the recording.
 * @fires {CustomEvent<StopReason>} stopped - Recording has ended; the remaining bytes are being uploaded.
 * @fires {CustomEvent<RecorderDone>} done - The server holds all bytes.
 * @fires {CustomEvent<RecorderError>} error - The recording could not begin, or not all bytes have arrived. Does not bubble.
 *
 * @csspart button - The button.
 * @csspart mark - The button that adds a marker.
 * @csspart icon - Icon in the button.
 * @csspart label - Text in the button.
 * @csspart time - Running time.
 * @csspart status - Status, a live region.
 */
export class SortieRecorderElement extends HTMLElement {
  #parts;
  #recorder;
  #options = {};
  /** Time at which the last marker was added. */
  #markedAt = -Infinity;

  /**
   * Options that attributes cannot express; they override attributes.
   * @type {Partial<RecorderOptions>}
   */
  get options() { return this.#options; }
  set options(options) { this.#options = options ?? {}; }

  /**
   * Recorder of the latest recording.
   * @type {Recorder | undefined}
   * @readonly
   */
  get recorder() { return this.#recorder; }

  constructor() {
    super();
    const shadow = this.attachShadow({ mode: 'open', delegatesFocus: true });
    // Strict policies forbid style elements and HTML from strings.
    const style = new CSSStyleSheet();
    style.replaceSync(STYLE);
    shadow.adoptedStyleSheets = [style];
    const part = (tag, name, attributes) => {
      const element = document.createElement(tag);
      Object.entries({ part: name, ...attributes }).forEach((it) => element.setAttribute(...it));
      return element;
    };
    this.#parts = {
      button: part('button', 'button', { type: 'button' }),
      label: part('span', 'label'),
      mark: part('button', 'mark', { type: 'button', 'aria-keyshortcuts': 'M' }),
      time: part('span', 'time', { role: 'timer' }),
      status: part('span', 'status', { role: 'status' }),
    };
    const { button, label, mark, time, status } = this.#parts;
    button.append(part('span', 'icon', { 'aria-hidden': 'true' }), label);
    shadow.append(button, mark, time, status);
    mark.addEventListener('click', () => this.mark().catch(({ message }) => this.#say(message)));
    this.addEventListener('keydown', (event) => {
      const isM = event.key.toLowerCase() === 'm' && !(event.ctrlKey || event.altKey || event.metaKey || event.repeat);
      if (isM && !mark.hidden) mark.click();
    });
    button.addEventListener('click', () => {
      (this.#isRunning() ? this.stop() : this.start()).catch(() => {});
    });
  }

  connectedCallback() {
    // The attributes that contain the texts are set by now.
    this.#show();
  }

  /**
   * Starts a recording, like a click while none runs.
   * @returns {Promise<void>}
   */
  async start() {
    if (this.#recorder?.state === 'loading' || this.#isRunning()) return;
    try {
      const recorder = new Recorder({ ...this.#fromAttributes(), ...this.#options });
      this.#recorder = recorder;
      for (const name of EVENTS) {
        recorder.on(name, (detail) => {
          this.#show();
          if (name === 'error') this.#say(detail.message);
          this.#send(name, detail);
        });
      }
      await recorder.start();
    } catch (error) {
      // The recorder reports only failures after the start.
      if (error.code !== 'aborted') {
        this.#say(error.message);
        this.#send('error', error);
      }
      throw error;
    }
  }

  /** `error` does not bubble: the page would mistake it for the error of a script. */
  #send(name, detail) {
    const rises = name !== 'error';
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: rises, composed: rises }));
  }

  /**
   * Stops the recording, like a click while one runs.
   * @returns {Promise<RecorderDone | undefined>}
   */
  async stop() {
    return this.#isRunning() ? this.#recorder.stop() : undefined;
  }

  /**
   * Marks the current moment, like a click on the second button. Returns the recorded time in milliseconds.
   * @param {string} [text]
   * @param {MarkKind} [kind]
   * @returns {Promise<number | undefined>}
   */
  async mark(text, kind) {
    const ms = await this.#recorder?.mark(text, kind);
    if (ms !== undefined) {
      this.#markedAt = performance.now();
      this.#say(`${this.#text('marked')} ${clock(ms)}`);
    }
    return ms;
  }

  #isRunning() {
    return ['starting', 'recording', 'paused', 'stopping', 'uploading'].includes(this.#recorder?.state);
  }

  #fromAttributes() {
    const options = {};
    for (const [attribute, read] of Object.entries(OPTIONS)) {
      const value = this.getAttribute(attribute);
      const name = attribute.replace(/-(.)/g, (_, letter) => letter.toUpperCase());
      if (value !== null) options[name] = read === Boolean ? true : read(value);
    }
    const source = this.getAttribute('source') ?? 'screen';
    // Any other value is the selector of a canvas in the page.
    options.source = source === 'screen' || source === 'camera' ? source : this.ownerDocument.querySelector(source);
    if (options.source === null) throw new TypeError(`source="${source}" names no element of this page.`);
    return options;
  }

  #text(name) {
    return this.getAttribute(`text-${name}`) ?? TEXTS[name];
  }

  #show() {
    const recorder = this.#recorder;
    const state = recorder?.state ?? 'idle';
    const running = this.#isRunning();
    const stopping = state === 'stopping' || state === 'uploading';
    const { button, label, mark, time } = this.#parts;
    button.classList.toggle('running', running);
    button.disabled = stopping;
    label.textContent = this.#text(running ? 'stop' : 'start');
    mark.textContent = this.#text('mark');
    mark.hidden = !(this.hasAttribute('markers') && (state === 'recording' || state === 'paused'));
    time.textContent = state === 'idle' || state === 'loading' ? '' : clock(recorder.progress.recordedMs);
    if (stopping) this.#say(this.#text('saving'));
    else if (state === 'done') this.#say(this.#text('saved'));
    else if (state === 'recording' && performance.now() - this.#markedAt > MARKED_MS) this.#say(this.#text(recorder.progress.waiting?.reason === 'offline' ? 'offline' : 'recording'));
  }

  /** Sets the text of the status, a live region: screen readers must not announce an unchanged text again. */
  #say(text) {
    const { status } = this.#parts;
    if (status.textContent !== text) status.textContent = text;
  }
}

/** Formats a length as 1:02:03 or 2:03. */
function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  const two = (number) => String(number).padStart(2, '0');
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

if (globalThis.customElements && !customElements.get('sortie-recorder')) {
  customElements.define('sortie-recorder', SortieRecorderElement);
}

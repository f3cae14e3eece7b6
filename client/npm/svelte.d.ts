/**
 * Reactive state of a recording for Svelte 5.7 and newer, and the type of `<sortie-recorder>` in templates.
 *
 * @module
 */

import type { HTMLAttributes } from 'svelte/elements';
import type { SortieRecorderAttributes, SortieRecorderElement } from './element.js';
import type { RecorderOptions } from './index.js';
import type { RecorderControls, RecorderSnapshot } from './store.js';

export type { RecorderControls, RecorderSnapshot } from './store.js';

/** State of the recording as reactive properties, and functions that control it. */
export interface ReactiveRecorder extends Readonly<RecorderSnapshot>, RecorderControls {}

/**
 * Records one recording after the other. Call it while a component is initialised. `options` may be a function, which is
 * called when a recording starts. When the component is destroyed, its recording is stopped and uploaded to the end.
 *
 * Read the state as `recorder.state`: destructured properties do not change.
 */
export function createRecorder(options: RecorderOptions | (() => RecorderOptions)): ReactiveRecorder;

declare module 'svelte/elements' {
  interface SvelteHTMLElements {
    'sortie-recorder': HTMLAttributes<SortieRecorderElement> & SortieRecorderAttributes;
  }
}

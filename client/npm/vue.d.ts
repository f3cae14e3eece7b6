/**
 * A composable for Vue 3.3 and newer, and the type of `<sortie-recorder>` in templates.
 *
 * @module
 */

import type { ComputedRef, DefineComponent, MaybeRefOrGetter } from 'vue';
import type { SortieRecorderAttributes } from './element.js';
import type { RecorderOptions } from './index.js';
import type { RecorderControls, RecorderSnapshot } from './store.js';

export type { RecorderControls, RecorderSnapshot } from './store.js';

/** State of the recording as read-only refs, and functions that control it. */
export type UseRecorder =
  & { readonly [Name in keyof RecorderSnapshot]: ComputedRef<RecorderSnapshot[Name]> }
  & RecorderControls;

/**
 * Records one recording after the other. `options` may be a ref or a getter; it is read when a recording starts. When the
 * component's scope is disposed, its recording is stopped and uploaded to the end.
 *
 * ```js
 * const { state, start, stop } = useRecorder(() => ({ server, getToken, source: canvas.value }));
 * ```
 */
export function useRecorder(options: MaybeRefOrGetter<RecorderOptions>): UseRecorder;

declare module 'vue' {
  interface GlobalComponents {
    'sortie-recorder': DefineComponent<SortieRecorderAttributes>;
  }
}

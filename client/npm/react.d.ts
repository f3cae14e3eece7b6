/**
 * A hook for React 18 and newer, and the JSX type of `<sortie-recorder>`.
 *
 * @module
 */

import type { DetailedHTMLProps, HTMLAttributes } from 'react';
import type { SortieRecorderAttributes, SortieRecorderElement } from './element.js';
import type { RecorderOptions } from './index.js';
import type { RecorderControls, RecorderSnapshot } from './store.js';

export type { RecorderControls, RecorderSnapshot } from './store.js';

/** State of the recording and functions that control it. */
export interface UseRecorder extends RecorderSnapshot, RecorderControls {}

/**
 * Records one recording after the other, each with the options of the latest render.
 *
 * Works on a server, under StrictMode and with hot reloading. When the component is unmounted permanently, its
 * recording is stopped and uploaded to the end.
 *
 * ```tsx
 * const { state, start, stop } = useRecorder({ server, getToken, source: 'screen' });
 * return <button onClick={state === 'recording' ? stop : start}>{state}</button>;
 * ```
 */
export function useRecorder(options: RecorderOptions): UseRecorder;

declare module 'react' {
  namespace JSX {
    interface IntrinsicElements {
      'sortie-recorder': DetailedHTMLProps<HTMLAttributes<SortieRecorderElement>, SortieRecorderElement> & SortieRecorderAttributes;
    }
  }
}

/**
 * `<sortie-recorder>` with its JSX type for Preact. The hook is that of `sortie-recorder/react`, with `preact/compat`.
 *
 * @module
 */

import type { HTMLAttributes } from 'preact';
import type { SortieRecorderAttributes, SortieRecorderElement } from './element.js';

export { SortieRecorderElement } from './element.js';

declare module 'preact' {
  namespace JSX {
    interface IntrinsicElements {
      'sortie-recorder': HTMLAttributes<SortieRecorderElement> & SortieRecorderAttributes;
    }
  }
}

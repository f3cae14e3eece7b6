/**
 * `<sortie-recorder>` with its JSX type for Solid.
 *
 * @module
 */

import type { JSX } from 'solid-js';
import type { SortieRecorderAttributes, SortieRecorderElement } from './element.js';

export { SortieRecorderElement } from './element.js';

declare module 'solid-js' {
  namespace JSX {
    interface IntrinsicElements {
      'sortie-recorder': JSX.HTMLAttributes<SortieRecorderElement> & SortieRecorderAttributes;
    }
  }
}

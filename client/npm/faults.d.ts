/**
 * Makes the network and the storage of this page fail, to test how a recorder reacts. For development and tests only.
 *
 * ```js
 * import { injectFaults } from 'sortie-recorder/faults';
 * const faults = injectFaults({ drop: 0.2, lose: 0.1, delay: 300 });
 * // … record, and check `progress.safeMs`
 * faults.set({ storage: 'full' });
 * faults.restore();
 * ```
 *
 * @module
 */

/** Faults to inject. Shares are between 0 (never, the default) and 1 (always). */
export interface Faults {
  /** Share of requests that never reach the server. */
  drop?: number;
  /** Share of requests whose response is lost after the server has executed them. */
  lose?: number;
  /** Share of requests answered with 500. */
  fail?: number;
  /** Share of requests answered with 401. */
  unauthorized?: number;
  /** Milliseconds that every request waits before it is sent. */
  delay?: number;
  /** State of the device's storage: working, full, or not answering. */
  storage?: 'ok' | 'full' | 'dead';
}

/** Number of faults so far. */
export interface FaultCounts {
  readonly requests: number;
  readonly dropped: number;
  readonly lost: number;
  readonly failed: number;
  readonly unauthorized: number;
  /** Writes that were refused or not answered. */
  readonly storage: number;
}

export interface InjectedFaults {
  readonly counts: FaultCounts;
  /** Replaces all faults; omitted ones are switched off. */
  set(faults: Faults): void;
  /** Removes all faults. */
  restore(): void;
}

/**
 * `matches` selects the requests that faults apply to: by default all that are not `GET`. `random` returns numbers from
 * 0 to 1.
 */
export function injectFaults(
  faults?: Faults,
  options?: { random?: () => number; matches?: (request: { url: string; method: string }) => boolean },
): InjectedFaults;

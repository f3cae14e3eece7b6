// Where a failed test leaves what helps to understand it.

import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Server logs, screenshots and files that did not pass. */
export const artifactsDir = process.env.SORTIE_E2E_ARTIFACTS ?? join(tmpdir(), 'sortie-e2e-artifacts');

/** A test's name as a file name. */
export function fileName(title) {
  return title.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '').slice(0, 80);
}

// Files for the analysis of a failed test.

import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Server logs, screenshots and files that failed. */
export const artifactsDir = process.env.SORTIE_E2E_ARTIFACTS ?? join(tmpdir(), 'sortie-e2e-artifacts');

/** Converts a test title to a file name. */
export function fileName(title) {
  return title.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '').slice(0, 80);
}

// Wall clock of a server under test, set by libfaketime. Monotonic clocks are not affected.

import { existsSync, readdirSync, writeFileSync } from 'node:fs';

function library() {
  const folders = ['/usr/lib', '/usr/lib64', '/usr/local/lib'].filter(existsSync);
  const inner = folders.flatMap((folder) => readdirSync(folder).map((name) => `${folder}/${name}`));
  const found = [...folders, ...inner].map((it) => `${it}/faketime/libfaketimeMT.so.1`).find(existsSync);
  if (!found) throw new Error('libfaketimeMT.so.1 is missing: install the package libfaketime (scripts/setup.sh does)');
  return found;
}

/** Environment of a process that reads its wall clock offset from `file`; see `setClock`. */
export const fakeClock = (file) => ({
  LD_PRELOAD: library(),
  FAKETIME_TIMESTAMP_FILE: file,
  FAKETIME_NO_CACHE: '1',
  FAKETIME_DONT_FAKE_MONOTONIC: '1',
  NO_FAKE_STAT: '1',
});

/** Sets the offset in `file`: `+400d`, `-20y`, `+0`. */
export const setClock = (file, offset) => writeFileSync(file, offset);

// Importing this module has no effect, on a server either. The recorder is loaded with the first instance.

import { inSetup, lazily } from './loading.js';

export { RecorderError, load } from './loading.js';
export { whenPresent } from './present.js';
export { Recorder } from './recorder.js';

export async function autoRecord(options) {
  return (await lazily(() => import('./auto-record.js'))).autoRecord(options);
}

export const supportedFormats = (options) => inSetup((setup) => setup.supportedFormats(options));

export async function uploadFile(file, options) {
  return (await lazily(() => import('./recovery.js'))).uploadFile(file, options);
}

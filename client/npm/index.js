// Importing this does nothing, on a server too: what records is loaded when the first recorder is made.

export { Leftover, uploadFile } from './leftover.js';
export { RecorderError, load } from './loading.js';
export { whenPresent } from './present.js';
export { Recorder, autoRecord } from './recorder.js';

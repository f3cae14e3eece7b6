// Importing this does nothing, on a server too: what records is loaded when the first recorder is made.

export { RecoverableRecording, RecoverableRecording as Leftover, uploadFile } from './recoverable-recording.js';
export { RecorderError, load } from './loading.js';
export { whenPresent } from './present.js';
export { Recorder, autoRecord } from './recorder.js';

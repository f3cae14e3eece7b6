// Importing this module has no effect, on a server either. The recorder is loaded with the first instance.

export { RecoverableRecording, RecoverableRecording as Leftover, uploadFile } from './recoverable-recording.js';
export { RecorderError, load } from './loading.js';
export { whenPresent } from './present.js';
export { Recorder, autoRecord } from './recorder.js';

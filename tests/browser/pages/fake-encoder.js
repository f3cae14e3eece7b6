// Replaces the browser's encoder: emits prepared bytes as a recording.

window.encoder = {
  running: undefined,
  give(bytes) {
    this.running.dispatchEvent(new BlobEvent('dataavailable', { data: new Blob([bytes]) }));
  },
};

window.MediaRecorder = class extends EventTarget {
  static isTypeSupported = (type) => type === 'video/webm;codecs=vp8';
  state = 'inactive';
  constructor(stream, { mimeType }) {
    super();
    Object.assign(this, { stream, mimeType });
  }
  start() {
    this.state = 'recording';
    window.encoder.running = this;
    queueMicrotask(() => this.dispatchEvent(new Event('start')));
  }
  requestData() {}
  stop() {
    this.state = 'inactive';
    queueMicrotask(() => this.dispatchEvent(new Event('stop')));
  }
};

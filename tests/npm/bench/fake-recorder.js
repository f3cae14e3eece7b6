// Replaces MediaRecorder in the long run: hours of chunks, as fast as they are taken. Runs in the page before anything
// else.

window.MediaRecorder = class extends EventTarget {
  static isTypeSupported = (type) => type.startsWith('video/webm');
  state = 'inactive';
  videoBitsPerSecond = 2_500_000;
  audioBitsPerSecond = 0;
  #emitted = 0;

  constructor(stream, { mimeType } = {}) {
    super();
    Object.assign(this, { stream, mimeType });
    window.fakeRecorder = this;
  }
  #emit(type, init = {}) {
    const event = type === 'dataavailable' ? new BlobEvent(type, init) : new Event(type);
    this.dispatchEvent(event);
    this[`on${type}`]?.(event);
  }
  start() {
    this.state = 'recording';
    queueMicrotask(() => this.#emit('start'));
  }
  pause() {}
  resume() {}
  requestData() {}
  /** Emits one chunk of `bytes`. */
  chunk(bytes) {
    this.#emitted += 1;
    this.#emit('dataavailable', { data: new Blob([new Uint8Array(bytes).fill(this.#emitted)], { type: this.mimeType }) });
  }
  stop() {
    if (this.state === 'inactive') return;
    this.state = 'inactive';
    queueMicrotask(() => {
      this.chunk(1);
      this.#emit('stop');
    });
  }
};

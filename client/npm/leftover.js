// What a page that is gone has left behind, and files that are there already.

import { inLater, playable } from './loading.js';

export class Leftover {
  #inner;

  constructor(inner) {
    this.#inner = inner;
  }

  get id() { return this.#inner.id; }
  get recordingId() { return this.#inner.recordingId; }
  get uploadUrl() { return this.#inner.uploadUrl; }
  get mimeType() { return this.#inner.mimeType; }
  get startedAt() { return this.#inner.startedAt; }
  get recorded() { return this.#inner.recorded; }
  get sizeBytes() { return this.#inner.sizeBytes; }
  get keptBytes() { return this.#inner.keptBytes; }
  get onServer() { return this.#inner.onServer; }

  upload(options) { return inLater(() => this.#inner.upload(options)); }
  async download() { return playable(await inLater(() => this.#inner.parts())); }
  discard() { return inLater(() => this.#inner.discard()); }
  free() { this.#inner.free(); }
}

export function recover(options) {
  return inLater(async ({ Recorder }) => {
    const found = await Recorder.recover(options);
    return found.map((it) => new Leftover(it));
  });
}

export function uploadFile(file, options) {
  return inLater((core) => core.uploadFile(file, options));
}

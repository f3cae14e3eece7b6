// A recording that a closed or crashed page has left on this device.

import { inLater, playable } from './loading.js';

export class RecoverableRecording {
  #inner;

  constructor(inner) {
    this.#inner = inner;
  }

  get id() { return this.#inner.id; }
  get recordingId() { return this.#inner.recordingId; }
  get uploadUrl() { return this.#inner.uploadUrl; }
  get mimeType() { return this.#inner.mimeType; }
  get externalId() { return this.#inner.externalId; }
  get metadata() {
    const json = this.#inner.metadata;
    return json && JSON.parse(json);
  }
  get startedAt() { return this.#inner.startedAt; }
  get recordedMs() { return this.#inner.recordedMs; }
  get sizeBytes() { return this.#inner.sizeBytes; }
  get keptBytes() { return this.#inner.keptBytes; }
  get missingBytes() { return this.#inner.missingBytes; }
  get onServer() { return this.#inner.onServer; }

  upload(options) { return inLater(() => this.#inner.upload(options)); }
  async download() { return playable(await inLater(() => this.#inner.parts())); }
  discard() { return inLater(() => this.#inner.discard()); }
  free() { this.#inner.free(); }
}

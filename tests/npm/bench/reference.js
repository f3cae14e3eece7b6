// Contestant: MediaRecorder and tus-js-client, combined as their guides describe. It uploads while recording, retries
// and resumes. It does not keep bytes on the device, watch the encoder, know sessions, renew tokens, mix audio or
// report the safe position.

await window.rested;
const began = performance.now();
const { Upload } = await import('tus-js-client');
const readyMs = performance.now() - began;

/** Minimum of bytes before tus-js-client sends a request. */
const CHUNK_BYTES = 64 * 1024;

let recorder;
let uploaded;
let produced = 0;
let accepted = 0;
window.bench = {
  readyMs,
  async start(endpoint) {
    // The guides set a token once, as a header.
    const headers = window.benchToken ? { Authorization: `Bearer ${await window.benchToken()}` } : {};
    const source = await window.source();
    const stream = source.captureStream?.(30) ?? source;
    // Gives the encoder the same work.
    const options = { mimeType: 'video/webm;codecs=vp9', videoBitsPerSecond: 2_500_000, videoKeyFrameIntervalDuration: 2_000 };
    recorder = new MediaRecorder(stream, options);
    const chunks = new ReadableStream({
      start(controller) {
        // Sends chunks one after the other, and the end after the last one.
        let read = Promise.resolve();
        recorder.addEventListener('dataavailable', ({ data }) => {
          produced += data.size;
          read = read.then(async () => controller.enqueue(new Uint8Array(await data.arrayBuffer())));
        });
        recorder.addEventListener('stop', () => { read = read.then(() => controller.close()); });
      },
    });
    uploaded = new Promise((resolve, reject) => {
      new Upload(chunks.getReader(), {
        endpoint,
        headers,
        chunkSize: CHUNK_BYTES,
        uploadLengthDeferred: true,
        retryDelays: [0, 1_000, 3_000, 5_000, 10_000],
        onChunkComplete: (_, all) => { accepted = all; },
        onSuccess: resolve,
        onError: reject,
      }).start();
    });
    recorder.start(1_000);
  },
  stop() {
    recorder.stop();
    return uploaded;
  },
  // tus-js-client resumes a file that the user chooses again, which is impossible for a recording.
  recover: async () => 0,
  pendingBytes: () => produced - accepted,
};

// Contestant: api.video's recorder, as its guide describes. It uploads parts of at least 5 MiB while recording. Its service
// joins them when the last one has arrived.

import { ApiVideoMediaRecorder } from '@api.video/media-recorder';

let recorder;
window.bench = {
  async start(apiHost) {
    const stream = (await window.source()).captureStream(30);
    recorder = new ApiVideoMediaRecorder(stream, { apiHost, uploadToken: await window.benchToken(), mimeType: 'video/webm;codecs=vp9' });
    // The default is a chunk every 5 s; the other contestants get one each second.
    recorder.start({ timeslice: 1_000 });
  },
  async stop() {
    try {
      return await recorder.stop();
    } catch (error) {
      throw new Error(error.message ?? error.title ?? error.reason);
    }
  },
  // The package has no recovery.
  recover: async () => 0,
};

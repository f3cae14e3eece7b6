// Contestant: Uppy with its screen recorder, its tus plugin and Golden Retriever, as their guides describe. It uploads the
// recording after the stop, and restores files that were added to it.

import Uppy from '@uppy/core';
import GoldenRetriever from '@uppy/golden-retriever';
import ScreenCapture from '@uppy/screen-capture';
import Tus from '@uppy/tus';

// The plugin records what the user chooses; here that is the canvas.
navigator.mediaDevices.getDisplayMedia = async () => (await window.source()).captureStream(30);

const uppy = new Uppy();
/** Files that were added and not uploaded by an earlier page. */
const restored = new Promise((resolve) => { uppy.once('restored', resolve); });
uppy.use(ScreenCapture, { target: document.body, preferredVideoMimeType: 'video/webm;codecs=vp9' }).use(GoldenRetriever);
const capture = uppy.getPlugin('ScreenCapture');

/** Renews the token as the guide of the tus plugin describes. */
function useTus(endpoint) {
  uppy.use(Tus, {
    endpoint,
    async onBeforeRequest(request) {
      request.setHeader('Authorization', `Bearer ${await window.benchToken()}`);
    },
    onShouldRetry: (error, attempt, options, next) => error.originalResponse?.getStatus() === 401 || next(error),
  });
}

/** Settles when all files are uploaded. */
const uploaded = () => new Promise((resolve, reject) => {
  uppy.once('complete', ({ successful, failed }) => {
    if (failed.length > 0) reject(new Error(failed[0].error));
    else resolve(successful.length);
  });
});

window.bench = {
  async start(endpoint) {
    useTus(endpoint);
    capture.startRecording();
    await new Promise((resolve) => {
      uppy.on('state-update', () => { if (capture.getPluginState().recording) resolve(); });
    });
  },
  async stop() {
    await capture.stopRecording();
    capture.submit();
    const all = uploaded();
    await uppy.upload();
    return all;
  },
  async recover(endpoint) {
    useTus(endpoint);
    const isRestored = await Promise.race([restored.then(() => true), new Promise((resolve) => { setTimeout(resolve, 3_000, false); })]);
    if (!isRestored || uppy.getFiles().length === 0) return 0;
    const all = uploaded();
    // The dashboard does so when the user confirms.
    uppy.emit('restore-confirmed');
    return all;
  },
};

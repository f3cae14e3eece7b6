// What is measured: the recorder as an app has it.

const began = performance.now();
const { Recorder, load } = await import('sortie-recorder');
await load();
const readyMs = performance.now() - began;

let recorder;
window.bench = {
  readyMs,
  async start(endpoint) {
    recorder = new Recorder({ endpoint, source: document.querySelector('canvas') });
    await recorder.start();
  },
  stop: () => recorder.stop(),
  pendingBytes: () => recorder.progress.pendingBytes,
};

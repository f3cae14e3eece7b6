// Contestant: the recorder as an app uses it.

await window.rested;
const began = performance.now();
const { Recorder, load } = await import('sortie-recorder');
await load();
const readyMs = performance.now() - began;

let recorder;
window.bench = {
  readyMs,
  async start(endpoint) {
    recorder = new Recorder({ endpoint, getToken: window.benchToken, source: await window.source() });
    await recorder.start();
  },
  stop: () => recorder.stop(),
  /** Uploads recoverable recordings and returns their number. */
  async recover(endpoint) {
    const all = await Recorder.recover({ endpoint, getToken: window.benchToken });
    for (const left of all) await left.upload();
    return all.length;
  },
  pendingBytes: () => recorder.progress.pendingBytes,
};

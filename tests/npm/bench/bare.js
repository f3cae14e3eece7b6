// Baseline: the browser's encoder alone, with each chunk sent by one `fetch`.

await window.rested;
let recorder;
window.bench = {
  async start(endpoint, sends) {
    const options = { mimeType: 'video/webm;codecs=vp9', videoBitsPerSecond: 2_500_000, videoKeyFrameIntervalDuration: 2_000 };
    recorder = new MediaRecorder(await window.source(), options);
    if (sends) {
      const headers = { 'tus-resumable': '1.0.0' };
      const url = (await fetch(endpoint, { method: 'POST', headers })).headers.get('location');
      recorder.ondataavailable = ({ data: body }) => fetch(url, { method: 'PATCH', headers, body });
    }
    recorder.start(1_000);
  },
  stop: () => recorder.stop(),
};

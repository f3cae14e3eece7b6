// Shows a remote desktop and records it while the server's policy asks for it. Your platform creates the session and
// reports its start and end; this page starts and stops no recording.
import RFB from './node_modules/@novnc/novnc/core/rfb.js';
import { autoRecord, whenPresent } from './node_modules/sortie-recorder/index.js';

const form = document.querySelector('form');
const output = document.querySelector('output');
const screen = document.querySelector('#screen');
const say = (text) => { output.textContent = text; };

form.onsubmit = (event) => {
  event.preventDefault();
  const { server, token, session, desktop } = Object.fromEntries(new FormData(form));

  autoRecord({
    server,
    session,
    getToken: () => token,
    // noVNC creates its canvas when it connects.
    source: ({ signal }) => whenPresent('#screen canvas', { signal }),
    onRecorder: (recorder) => {
      recorder.on('progress', ({ recordedMs }) => say(`Recording, ${(recordedMs / 1000).toFixed(1)} s`));
      recorder.on('done', ({ recordedMs, recordingId }) => say(`Saved ${(recordedMs / 1000).toFixed(1)} s as ${recordingId}`));
    },
    onError: (error) => say(error.message),
  }).catch((error) => say(error.message));

  const rfb = new RFB(screen, desktop);
  rfb.scaleViewport = true;
};

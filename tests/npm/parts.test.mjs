// The button, the React hook, and recovery, in a browser.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { assertAccessible } from '../browser/support/axe.mjs';
import { withPage } from '../browser/support/browser.mjs';
import { inspect } from '../browser/support/media.mjs';
import { untilReady } from '../browser/support/assertions.mjs';
import { until } from '../browser/support/recorder.mjs';
import { Relay } from '../browser/support/relay.mjs';
import { program, project, run } from './support/project.mjs';
import { PATIENCE, READY_WITHIN_MS, RECORD_MS, finishedRecording, recordingDetail } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

const CANVAS = `
  const canvas = document.querySelector('canvas');
  const context = canvas.getContext('2d', { alpha: false });
  const draw = (now) => {
    context.fillStyle = 'hsl(' + now / 20 + ' 60% 45%)';
    context.fillRect(0, 0, canvas.width, canvas.height);
    requestAnimationFrame(draw);
  };
  requestAnimationFrame(draw);
`;
const page = (body) => `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Record</title>
  <script type="module" src="./main.js"></script></head>
  <body><main><h1>Record</h1><canvas width="320" height="240"></canvas>${body}</main></body></html>`;

// Tests wait more than they compute.
describe('button, hook and recovery', { timeout: 600_000, concurrency: 3 }, () => {
  const stage = useSite();
  let site, server, browser, context, api;

  before(() => ({ site, server, browser, context, api } = stage));

  const options = () => JSON.stringify({ server: server.origin, token: api.tokens.access_token });

  test('button records, shows the state and is accessible', async () => {
    const folder = await project({
      files: {
        'index.html': page('<sortie-recorder source="canvas"></sortie-recorder>'),
        'main.js': `
          import './node_modules/sortie-recorder/element.js';
          ${CANVAS}
          const { server, token } = ${options()};
          const workerUrl = './node_modules/sortie-recorder/worker.js';
          document.querySelector('sortie-recorder').options = { server, getToken: () => token, workerUrl };
          window.heard = [];
          document.body.addEventListener('done', ({ detail }) => { window.done = detail; });
          document.body.addEventListener('statechange', ({ detail }) => window.heard.push(detail));
        `,
      },
    });
    // A policy that forbids inline styles and workers from blobs.
    const policy = `default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' ${server.origin}; worker-src 'self'`;
    const url = site.add('element', folder, { 'content-security-policy': policy });
    await withPage(context, 'npm element', async (page) => {
      await page.goto(url);
      const status = page.getByRole('status');
      await assertAccessible(page, 'the button before');
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      const stop = page.getByRole('button', { name: 'Stop recording' });
      await stop.waitFor(PATIENCE);
      await status.filter({ hasText: 'Recording' }).waitFor(PATIENCE);
      await page.getByRole('timer').filter({ hasText: /^0:0[1-9]$/ }).waitFor(PATIENCE);
      await assertAccessible(page, 'the button while recording');
      assert.equal(await page.evaluate(() => document.querySelector('sortie-recorder').recorder.progress.spool), 'opfs');
      await wait(RECORD_MS);
      await stop.click();
      await status.filter({ hasText: 'Saved' }).waitFor(PATIENCE);
      await page.getByRole('button', { name: 'Start recording' }).waitFor(PATIENCE);
      const { done, heard } = await page.evaluate(() => ({ done: window.done, heard: window.heard }));
      assert.deepEqual([...heard.slice(0, 3), heard.at(-1)], ['loading', 'starting', 'recording', 'done']);
      await finishedRecording({ api, title: 'npm element', id: done.recordingId, seconds: done.recordedMs / 1_000 });
    });
  });

  test('button shows errors', async () => {
    const folder = await project({
      files: {
        'index.html': page('<sortie-recorder server="" source="#nothing"></sortie-recorder>'),
        'main.js': "import './node_modules/sortie-recorder/element.js';",
      },
    });
    await withPage(context, 'npm element wrong', async (page) => {
      await page.goto(site.add('wrong', folder));
      await page.getByRole('button', { name: 'Start recording' }).click();
      await page.getByRole('status').filter({ hasText: '#nothing' }).waitFor(PATIENCE);
      await page.getByRole('button', { name: 'Start recording' }).waitFor();
    });
  });

  test('recoverable recording is found, saved as a playable file and uploaded', async () => {
    const folder = await project({
      files: {
        'index.html': page(''),
        'main.js': `
          import { Recorder } from 'sortie-recorder';
          ${CANVAS}
          const { server, token } = ${options()};
          const target = { server, getToken: () => token };
          window.page = {
            record: async () => {
              window.recorder = new Recorder({ ...target, source: canvas });
              await window.recorder.start();
            },
            recover: async () => { [window.left] = await Recorder.recover(target); return window.left.recordedMs; },
            download: async () => Array.from(new Uint8Array(await (await window.left.download()).arrayBuffer())),
            upload: () => window.left.upload(),
          };
        `,
      },
    });
    await run(program('vite'), ['build', '--logLevel', 'warn', '--base', './'], { cwd: folder });
    const url = site.add('recover', join(folder, 'dist'));
    const ready = (page) => page.waitForFunction(() => window.page, null, PATIENCE);
    // A separate context, whose storage the crashed page and the next one share.
    const own = await browser.newContext();
    await withPage(own, 'npm left behind', async (page) => {
      await page.goto(url);
      await ready(page);
      await page.evaluate(() => window.page.record());
      // The server is unreachable from here on.
      await own.setOffline(true);
      await wait(RECORD_MS);
    });
    await own.setOffline(false);
    await withPage(own, 'npm recovered', async (page) => {
      await page.goto(url);
      await ready(page);
      const recorded = await page.evaluate(() => window.page.recover());
      assert.ok(recorded > 1_000, `${recorded} ms were found`);
      const file = await inspect(Buffer.from(await page.evaluate(() => window.page.download())), 'npm saved');
      assert.ok(file.durationSeconds > recorded / 1_000 - 1.1, `the saved file has ${file.durationSeconds} s of ${recorded} ms`);
      const done = await page.evaluate(() => window.page.upload());
      await untilReady(api, done.recordingId, READY_WITHIN_MS);
      const sent = await inspect(await api.download(done.recordingId), 'npm sent');
      assert.ok(Math.abs(sent.durationSeconds - file.durationSeconds) < 0.2, `${sent.durationSeconds} s were sent`);
    });
  });

  test('recording on another tus server that is recovered continues its upload', async () => {
    const folder = await project({
      files: {
        'index.html': page(''),
        'main.js': `
          import { Recorder } from './node_modules/sortie-recorder/index.js';
          ${CANVAS}
          const { server, token } = ${options()};
          const target = { endpoint: server + '/api/uploads', getToken: () => token };
          window.recorder = new Recorder({ ...target, source: canvas });
          window.recover = async () => {
            const [left] = await Recorder.recover(target);
            const { uploadUrl, onServer } = left;
            return { uploadUrl, onServer, done: await left.upload() };
          };
        `,
      },
    });
    const url = site.add('recover-endpoint', folder);
    const own = await browser.newContext();
    try {
      await withPage(own, 'npm endpoint left behind', async (page) => {
        await page.goto(url);
        await page.waitForFunction(() => window.recorder, null, PATIENCE);
        await page.evaluate(() => window.recorder.start());
        await page.waitForFunction(() => window.recorder.progress.safeBytes > 0, null, PATIENCE);
        await own.setOffline(true);
        await wait(RECORD_MS);
      });
      await own.setOffline(false);
      await withPage(own, 'npm endpoint recovered', async (page) => {
        await page.goto(url);
        await page.waitForFunction(() => window.recover, null, PATIENCE);
        const { uploadUrl, onServer, done } = await page.evaluate(() => window.recover());
        assert.equal(onServer, 'resumable');
        assert.equal(done.uploadUrl, uploadUrl);
        await untilReady(api, uploadUrl.split('/').at(-1), READY_WITHIN_MS);
      });
    } finally {
      await own.close();
    }
  });

  for (const [kind, source] of [['canvas', 'canvas'], ['stream', 'canvas.captureStream(30)']]) test(`silent encoder is replaced and the recording continues in a further part: ${kind}`, async (t) => {
    const folder = await project({
      files: {
        'index.html': page(''),
        'main.js': `
          import { Recorder } from './node_modules/sortie-recorder/index.js';
          ${CANVAS}
          const { server, token } = ${options()};
          // The first encoder emits bytes for three seconds and then none, like a driver that hangs.
          let silent = false;
          const Real = MediaRecorder;
          let first = true;
          window.streams = [];
          window.MediaRecorder = class extends Real {
            constructor(...given) {
              super(...given);
              window.streams.push(given[0]);
              if (first) this.addEventListener('dataavailable', (event) => silent && event.stopImmediatePropagation());
              first = false;
            }
          };
          window.recorder = new Recorder({ server, getToken: () => token, source: ${source} });
          window.warnings = [];
          window.recorder.on('warning', ({ code }) => window.warnings.push(code));
          window.recorder.on('done', (done) => { window.done = done; });
          await window.recorder.start();
          setTimeout(() => { silent = true; }, 3_500);
        `,
      },
    });
    await withPage(context, `npm silent ${kind}`, async (page) => {
      await page.goto(site.add(`silent-${kind}`, folder));
      await page.waitForFunction(() => window.warnings?.includes('restarted'), null, { timeout: 60_000 });
      const before = await page.evaluate(() => window.recorder.progress);
      assert.ok(before.recordedMs > 2_000 && before.recordedMs < 12_000, `${before.recordedMs} ms are told`);
      await wait(RECORD_MS);
      const done = await page.evaluate(() => window.recorder.stop());
      assert.deepEqual(await page.evaluate(() => window.done), done);
      assert.deepEqual(await page.evaluate(() => window.warnings), ['no_data', 'restarted']);
      assert.equal(new Set(done.parts).size, 2);
      // One recording with two parts, for the server and its pages, too.
      assert.equal(done.recordingId, done.parts[0]);
      assert.deepEqual((await api.recording(done.recordingId)).parts.map((it) => it.id), done.parts);
      // The source that was opened again is released.
      assert.equal(await page.evaluate(() => window.streams[1].getTracks().some((it) => it.readyState === 'live')), false);
      let seconds = 0;
      let bytes = 0;
      for (const id of done.parts) {
        const recording = await until('ready', () => recordingDetail(api, id), (it) => it.status === 'ready');
        const file = await inspect(await api.download(id), `npm silent ${id}`);
        assert.ok(file.durationSeconds > 1.5, `a part of ${file.durationSeconds} s`);
        seconds += file.durationSeconds;
        bytes += recording.size_bytes;
      }
      assert.ok(Math.abs(seconds - done.recordedMs / 1_000) < 2, `${done.recordedMs} ms were promised, ${seconds} s are there`);
      t.diagnostic(`${done.parts.length} parts, ${seconds.toFixed(1)} s of ${done.recordedMs} ms, ${bytes} bytes`);
    });
  });

  // Stopped long after the warning, or before the watchdog could react.
  for (const [kind, stopAfterMs] of [['noticed', undefined], ['at once', 1_000]]) test(`canvas tainted by another site is reported and recorded time is that of the file: ${kind}`, async (t) => {
    const stranger = await Relay.start();
    const folder = await project({
      files: {
        'index.html': page(''),
        'main.js': `
          import { Recorder } from './node_modules/sortie-recorder/index.js';
          ${CANVAS}
          const { server, token } = ${options()};
          const image = new Image();
          image.src = '${stranger.origin}/e2e/picture.svg';
          await image.decode();
          window.recorder = new Recorder({ server, getToken: () => token, source: canvas });
          window.warnings = [];
          window.recorder.on('warning', (it) => window.warnings.push(it));
          await window.recorder.start();
          setTimeout(() => { context.drawImage(image, 0, 0); window.tainted = true; }, 3_500);
        `,
      },
    });
    try {
      await withPage(context, `npm tainted ${kind}`, async (page) => {
        await page.goto(site.add(`tainted ${kind}`.replaceAll(' ', '-'), folder));
        const when = (what) => page.waitForFunction(what, null, { timeout: 60_000 });
        if (stopAfterMs) {
          await when(() => window.tainted);
          await wait(stopAfterMs);
        } else {
          await when(() => window.warnings?.length);
          // The timestamps of the last chunk are read meanwhile.
          await wait(1_000);
          const { recordedMs } = await page.evaluate(() => window.recorder.progress);
          await wait(RECORD_MS);
          assert.equal((await page.evaluate(() => window.recorder.progress)).recordedMs, recordedMs);
        }
        const done = await page.evaluate(() => window.recorder.stop());
        const [warning, ...others] = await page.evaluate(() => window.warnings);
        assert.equal(warning.code, 'tainted_canvas');
        assert.match(warning.message, /pictures from another site\. Load them with CORS/);
        assert.deepEqual(others, []);
        await untilReady(api, done.recordingId, READY_WITHIN_MS);
        const { durationSeconds } = await inspect(await api.download(done.recordingId), `npm tainted ${kind}`);
        t.diagnostic(`${durationSeconds} s of ${done.recordedMs} ms`);
        assert.ok(durationSeconds > 2, `${durationSeconds} s were kept`);
        assert.ok(Math.abs(durationSeconds - done.recordedMs / 1_000) <= 1, `${done.recordedMs} ms were promised, ${durationSeconds} s are there`);
      });
    } finally {
      await stranger.close();
    }
  });

  test('server that never answers: the error names the origin to allow', async () => {
    const folder = await project({
      files: {
        'index.html': page(''),
        'main.js': `
          import { Recorder, uploadFile } from './node_modules/sortie-recorder/index.js';
          ${CANVAS}
          const endpoint = 'http://127.0.0.1:9/files';
          const message = (error) => error.message;
          const sent = uploadFile(new Blob(['x']), { endpoint }).catch(message);
          const begun = new Recorder({ server: 'http://127.0.0.1:9', source: canvas }).start().catch(message);
          const recorder = new Recorder({ endpoint, source: canvas });
          const warned = new Promise((resolve) => { recorder.on('warning', resolve); }).then(message);
          await recorder.start();
          window.said = await Promise.all([sent, begun, warned]);
          window.state = recorder.state;
        `,
      },
    });
    await withPage(context, 'npm unreachable', async (page) => {
      await page.goto(site.add('unreachable', folder));
      await page.waitForFunction(() => window.said, null, { timeout: 60_000 });
      const { said, state } = await page.evaluate(() => ({ said: window.said, state: window.state }));
      for (const sentence of said) assert.ok(sentence.includes(`SORTIE_CORS_ORIGINS=${site.origin})`), sentence);
      assert.equal(state, 'recording');
    });
  });

  test('unmounted component ends its recording without loss', async () => {
    const folder = await project({
      others: ['react', 'react-dom'],
      files: {
        'index.html': page('<div id="root"></div>'),
        'main.js': `
          import { StrictMode, createElement as h, useState } from 'react';
          import { createRoot } from 'react-dom/client';
          import { useRecorder } from 'sortie-recorder/react';
          ${CANVAS}
          const { server, token } = ${options()};
          function Recording() {
            const { state, recorder, start } = useRecorder({ server, getToken: () => token, source: canvas });
            window.recorder = recorder;
            return h('button', { onClick: start }, state);
          }
          function App() {
            const [there, setThere] = useState(true);
            return h('div', null, there && h(Recording), h('button', { onClick: () => setThere(false) }, 'Leave'));
          }
          createRoot(document.getElementById('root')).render(h(StrictMode, null, h(App)));
        `,
      },
    });
    // Requires React's development build: only that unmounts and mounts every component to test it.
    await run(program('vite'), ['build', '--logLevel', 'warn', '--base', './', '--mode', 'development'], {
      cwd: folder, env: { ...process.env, NODE_ENV: 'development' },
    });
    await withPage(context, 'npm react', async (page) => {
      await page.goto(site.add('react', join(folder, 'dist')));
      await page.getByRole('button', { name: 'idle' }).click();
      await page.getByRole('button', { name: 'recording' }).waitFor(PATIENCE);
      await wait(RECORD_MS);
      await page.getByRole('button', { name: 'Leave' }).click();
      await page.waitForFunction(() => window.recorder.state === 'done', null, PATIENCE);
      const { id, recorded } = await page.evaluate(() => ({ id: window.recorder.recordingId, recorded: window.recorder.progress.recordedMs }));
      await finishedRecording({ api, title: 'npm react', id, seconds: recorded / 1_000 });
    });
  });
});

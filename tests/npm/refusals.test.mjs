// Errors of the package: a failing source, an unknown session, a file without a recording.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { withPage } from '../browser/support/browser.mjs';
import { project } from './support/project.mjs';
import { PATIENCE, RECORD_MS, finishedRecording } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

describe('errors are reported', { timeout: 300_000 }, () => {
  const stage = useSite();
  let site, server, context, api, url;

  before(async () => {
    ({ site, server, context, api } = stage);
    const folder = await project({
      files: {
        'index.html': `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Record</title>
          <script type="module" src="./main.js"></script></head><body><canvas width="320" height="240"></canvas>
          <sortie-recorder server="" source="#nothing"></sortie-recorder></body></html>`,
        'main.js': `
          import { Recorder, RecorderError, autoRecord, uploadFile } from './node_modules/sortie-recorder/index.js';
          import './node_modules/sortie-recorder/element.js';
          window.atWindow = [];
          window.onerror = (...heard) => { window.atWindow.push(String(heard[0]?.type ?? heard[0])); };
          const canvas = document.querySelector('canvas');
          const context = canvas.getContext('2d', { alpha: false });
          const draw = (now) => {
            context.fillStyle = 'hsl(' + now / 20 + ' 60% 45%)';
            context.fillRect(0, 0, canvas.width, canvas.height);
            requestAnimationFrame(draw);
          };
          requestAnimationFrame(draw);
          const server = ${JSON.stringify(server.origin)};
          const token = ${JSON.stringify(api.tokens.access_token)};
          const code = (error) => error.code ?? error.name;
          window.page = { Recorder, RecorderError, autoRecord, uploadFile, canvas, server, token, code };
        `,
      },
    });
    url = site.add('refusals', folder);
  });

  const onPage = (title, work) =>
    withPage(context, title, async (page) => {
      await page.goto(url);
      await page.waitForFunction(() => window.page, null, PATIENCE);
      await work(page);
    });
  const newSession = async () => (await (await api.post('/api/sessions', { app_id: 'e2e' })).json()).id;

  test('source may be a function, and `finished` settles', async () => {
    await onPage('npm source function', async (page) => {
      const before = await page.evaluate(async () => {
        const { Recorder, canvas, server, token, code } = window.page;
        const make = (source) => new Recorder({ server, getToken: () => token, source });
        window.asked = 0;
        window.recorder = make(async () => { window.asked += 1; return canvas; });
        window.finished = window.recorder.finished.then((done) => { window.done = done; });
        await window.recorder.start();
        const refused = await make(() => { throw new RangeError('no canvas yet'); }).start().catch(code);
        const wrong = await make(() => 'window').start().catch(({ message }) => message);
        // The source function has not returned when the recorder is stopped.
        const slow = make(() => new Promise(() => {}));
        slow.start().catch(() => {});
        const stopped = await slow.stop().catch(code);
        const aborted = make(() => canvas);
        await aborted.abort();
        return { asked: window.asked, refused, wrong, stopped, finished: [await slow.finished, await aborted.finished], done: window.done };
      });
      assert.deepEqual({ ...before, wrong: before.wrong.split(' ')[0] }, {
        asked: 1, refused: 'RangeError', wrong: 'source', stopped: 'aborted', finished: [null, null], done: undefined,
      });
      await wait(RECORD_MS);
      const { stopped, done } = await page.evaluate(async () => {
        const result = await window.recorder.stop();
        await window.finished;
        return { stopped: result, done: window.done };
      });
      assert.deepEqual(done, stopped);
      await finishedRecording({ api, title: 'npm source function', id: done.recordingId, seconds: done.recorded / 1_000 });
    });
  });

  test('`finished` rejects with the error that ended the recording', async () => {
    await onPage('npm finished rejects', async (page) => {
      const ends = await page.evaluate(async () => {
        const { Recorder, RecorderError, canvas, server } = window.page;
        const recorder = new Recorder({ server, getToken: () => { throw new RangeError('no sign-in'); }, source: canvas });
        const [start, finished] = await Promise.all([recorder.start().catch((it) => it), recorder.finished.catch((it) => it)]);
        return [start, finished].map((it) => [it instanceof RecorderError, it.code, it.cause?.name]);
      });
      assert.deepEqual(ends, [[true, 'signed_out', 'RangeError'], [true, 'signed_out', 'RangeError']]);
      assert.deepEqual(await page.evaluate(() => window.atWindow), []);
    });
  });

  test('unknown session ends the watch with an error', async () => {
    await onPage('npm unknown session', async (page) => {
      const told = await page.evaluate(async () => {
        const { autoRecord, canvas, server, token, code } = window.page;
        const heard = [];
        const watch = autoRecord({ server, session: 'no-such-session', getToken: () => token, source: canvas, onError: (it) => heard.push(code(it)) });
        return { end: await watch.catch(code), heard };
      });
      assert.deepEqual(told, { end: 'refused', heard: ['refused'] });
    });
  });

  test('refused token is reported once, and the watch continues with a valid one', async () => {
    const session = await newSession();
    await onPage('npm bad token', async (page) => {
      await page.evaluate((id) => {
        const { autoRecord, canvas, server, code } = window.page;
        window.heard = [];
        window.current = 'a token that no server knows';
        window.watch = autoRecord({
          server, session: id, getToken: () => window.current, source: canvas, onError: (it) => window.heard.push(code(it)),
        }).then(() => { window.over = true; });
      }, session);
      await page.waitForFunction(() => window.heard.length > 0, null, PATIENCE);
      await page.evaluate(() => { window.current = window.page.token; });
      assert.ok((await api.post(`/api/sessions/${session}/stop`)).ok);
      await page.waitForFunction(() => window.over, null, PATIENCE);
      assert.deepEqual(await page.evaluate(() => window.heard), ['signed_out']);
    });
  });

  test('a server that does not answer the watch is reported once', async () => {
    await onPage('npm watch unreachable', async (page) => {
      await page.evaluate(() => {
        const { autoRecord, canvas, token, code } = window.page;
        window.heard = [];
        const over = new AbortController();
        window.end = () => over.abort(new RangeError('enough'));
        window.watch = autoRecord({
          server: 'http://127.0.0.1:9', session: 's', getToken: () => token, source: canvas, signal: over.signal,
          onError: (it) => window.heard.push(code(it)),
        }).catch(code);
      });
      await page.waitForFunction(() => window.heard.length > 0, null, PATIENCE);
      const end = await page.evaluate(() => { window.end(); return window.watch; });
      assert.deepEqual([end, await page.evaluate(() => window.heard)], ['RangeError', ['unreachable']]);
    });
  });

  test('recording of a session that cannot begin is reported', async () => {
    const session = await newSession();
    const turn = (value) => api.fetch('/api/admin/settings', {
      method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ recording_auto_record: value }),
    });
    assert.equal((await turn('true')).status, 204);
    try {
      await onPage('npm auto record fails', async (page) => {
        await page.evaluate((id) => {
          const { autoRecord, server, token, code } = window.page;
          window.heard = [];
          const source = () => { throw new RangeError('no canvas yet'); };
          window.watch = autoRecord({ server, session: id, getToken: () => token, source, onError: (it) => window.heard.push(code(it)) })
            .then(() => { window.over = true; });
        }, session);
        await page.waitForFunction(() => window.heard.length > 0, null, PATIENCE);
        assert.ok((await api.post(`/api/sessions/${session}/stop`)).ok);
        await page.waitForFunction(() => window.over, null, PATIENCE);
        assert.deepEqual(await page.evaluate(() => window.heard), ['RangeError']);
      });
    } finally {
      await turn('false');
    }
  });

  test('file keeps its name, and one without a recording is refused', async () => {
    await onPage('npm upload file', async (page) => {
      // A recording made by the browser.
      const uploaded = await page.evaluate(async () => {
        const { canvas, server, token, uploadFile } = window.page;
        const recorder = new MediaRecorder(canvas.captureStream(30), { mimeType: 'video/webm' });
        const chunks = [];
        recorder.ondataavailable = ({ data }) => chunks.push(data);
        const stopped = new Promise((resolve) => { recorder.onstop = resolve; });
        recorder.start();
        await new Promise((resolve) => setTimeout(resolve, 2_000));
        recorder.stop();
        await stopped;
        const file = new File(chunks, 'Lecture 7 – Grüße.webm', { type: 'video/webm' });
        return uploadFile(file, { server, getToken: () => token });
      });
      const recording = await api.recording(uploaded.recordingId);
      assert.deepEqual([recording.filename, recording.status], ['Lecture 7 – Grüße.webm', 'ready']);
      const refused = await page.evaluate(async () => {
        const { server, token, uploadFile } = window.page;
        const file = new File(['no recording'], 'notes.webm', { type: 'video/webm' });
        const target = { server, getToken: () => token };
        const told = ({ code, message }) => [code, message];
        return [await uploadFile(file, target).catch(told), await uploadFile(file, { ...target, session: 'no-such-session' }).catch(told)];
      });
      assert.deepEqual(refused.map((it) => it[0]), ['refused', 'refused']);
      assert.ok(refused.every((it) => /[.]$/.test(it[1])), refused.join());
    });
  });

  test('error of the button does not bubble', async () => {
    await onPage('npm element error', async (page) => {
      await page.evaluate(() => {
        window.heard = [];
        document.querySelector('sortie-recorder').addEventListener('error', ({ detail }) => window.heard.push(detail.name));
      });
      await page.getByRole('button', { name: 'Start recording' }).click();
      await page.waitForFunction(() => window.heard.length > 0, null, PATIENCE);
      assert.deepEqual(await page.evaluate(() => [window.heard, window.atWindow]), [['TypeError'], []]);
    });
  });
});

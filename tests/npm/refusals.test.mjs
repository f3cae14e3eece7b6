// Errors of the package: a failing source, an unknown session, a file without a recording.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { withPage } from '../browser/support/browser.mjs';
import { project } from './support/project.mjs';
import { PATIENCE, RECORD_MS, finishedRecording } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

// Tests wait more than they compute.
describe('errors are reported', { timeout: 300_000, concurrency: 3 }, () => {
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
  const newSession = async (options) => (await (await api.post('/api/sessions', { app_id: 'e2e', ...options })).json()).id;

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
      await finishedRecording({ api, title: 'npm source function', id: done.recordingId, seconds: done.recordedMs / 1_000 });
    });
  });

  test('start that failed with signed_out succeeds on the same recorder after a sign-in', async () => {
    await onPage('npm start again', async (page) => {
      const seen = await page.evaluate(async () => {
        const { Recorder, RecorderError, canvas, server, token } = window.page;
        const signIn = { token: undefined };
        const getToken = () => {
          if (!signIn.token) throw new RangeError('no sign-in');
          return signIn.token;
        };
        const recorder = new Recorder({ server, getToken, source: () => canvas });
        const states = [];
        const errors = [];
        recorder.on('statechange', (state) => states.push(state));
        recorder.on('error', (error) => errors.push(error));
        const recording = recorder.waitForState('recording');
        const refusal = async () => {
          const error = await recorder.start().catch((it) => it);
          return [error instanceof RecorderError, error.code, error.cause?.name, error.retryable, recorder.state];
        };
        const refusals = [await refusal()];
        signIn.token = 'a token that no server knows';
        refusals.push(await refusal());
        signIn.token = token;
        await recorder.start();
        window.recorder = recorder;
        return { refusals, states, errors: errors.length, waited: await recording };
      });
      assert.deepEqual(seen, {
        refusals: [[true, 'signed_out', 'RangeError', false, 'idle'], [true, 'signed_out', undefined, false, 'idle']],
        states: ['loading', 'starting', 'idle', 'loading', 'starting', 'idle', 'loading', 'starting', 'recording'],
        errors: 0, waited: 'recording',
      });
      await wait(RECORD_MS);
      const done = await page.evaluate(() => window.recorder.stop());
      await finishedRecording({ api, title: 'npm start again', id: done.recordingId, seconds: done.recordedMs / 1_000 });
      assert.deepEqual(await page.evaluate(() => window.atWindow), []);
    });
  });

  test('running recording continues when a token arrives', async () => {
    await onPage('npm token arrives', async (page) => {
      await page.evaluate(async () => {
        const { Recorder, canvas, server, token } = window.page;
        window.current = token;
        window.recorder = new Recorder({ server, getToken: () => window.current, source: canvas });
        await window.recorder.start();
      });
      const fail = (route) => route.fulfill({ status: 401, headers: { 'tus-resumable': '1.0.0', 'access-control-allow-origin': '*' } });
      await page.evaluate(() => { window.current = 'expired'; });
      await page.route('**/api/uploads/**', (route) => (route.request().method() === 'PATCH' ? fail(route) : route.fallback()));
      await page.waitForFunction(() => window.recorder.progress.waiting?.reason === 'sign_in', null, PATIENCE);
      await page.unroute('**/api/uploads/**');
      const safeMs = await page.evaluate(() => {
        window.current = window.page.token;
        return window.recorder.progress.safeMs;
      });
      await page.waitForFunction((before) => window.recorder.progress.safeMs > before + 2_500, safeMs, { timeout: 60_000 });
      const done = await page.evaluate(() => window.recorder.stop());
      await finishedRecording({ api, title: 'npm token arrives', id: done.recordingId, seconds: done.recordedMs / 1_000 });
    });
  });

  test('refusals of the server have a code, the status and its problem', async () => {
    const over = await newSession();
    assert.ok((await api.post(`/api/sessions/${over}/stop`)).ok);
    await onPage('npm codes', async (page) => {
      const seen = await page.evaluate(async ([ended, elsewhere]) => {
        const { Recorder, canvas, server, token } = window.page;
        const refusal = async (options) => {
          const recorder = new Recorder({ getToken: () => token, source: canvas, ...options });
          const { code, status, problem, retryAfter, retryable } = await recorder.start().catch((it) => it);
          await recorder.abort();
          return { code, status, problem: problem?.code, detail: typeof problem?.detail, retryAfter, retryable, end: await recorder.finished };
        };
        return Promise.all([
          refusal({ server, session: 'no-such-session' }), refusal({ server, session: ended }),
          refusal({ server: elsewhere }), refusal({ server: 'http://127.0.0.1:9' }),
        ]);
      }, [over, site.origin]);
      const rest = { end: null, retryAfter: undefined, retryable: false };
      assert.deepEqual(seen, [
        { code: 'not_found', status: 404, problem: 'not_found', detail: 'string', ...rest },
        { code: 'session_not_running', status: 409, problem: 'session_not_running', detail: 'string', ...rest },
        { code: 'unsupported_server', status: 404, problem: undefined, detail: 'undefined', ...rest },
        { code: 'unreachable', status: undefined, problem: undefined, detail: 'undefined', ...rest, retryable: true },
      ]);
    });
  });

  test('exhausted quota and full server are told apart', async () => {
    // The answers of a server with these problems; a relay would need a full disk.
    const answers = {
      quota_exceeded: [413, {}, false], insufficient_storage: [507, { 'retry-after': '30' }, true], forbidden: [403, {}, false],
    };
    await onPage('npm quota', async (page) => {
      for (const [code, [status, headers, retryable]] of Object.entries(answers)) {
        const body = JSON.stringify({ code, type: `urn:sortie:problem:${code}`, title: code, status, detail: 'The reason.', request_id: 'r' });
        await page.route('**/recording/start', (route) => route.fulfill({
          status, body, headers: { 'content-type': 'application/problem+json', 'access-control-allow-origin': '*', 'access-control-expose-headers': 'retry-after', ...headers },
        }));
        const seen = await page.evaluate(async () => {
          const { Recorder, canvas, server, token } = window.page;
          const error = await new Recorder({ server, getToken: () => token, source: canvas }).start().catch((it) => it);
          return { code: error.code, message: error.message, status: error.status, id: error.problem?.request_id, after: error.retryAfter, retryable: error.retryable };
        });
        const after = headers['retry-after'] && Number(headers['retry-after']);
        assert.deepEqual(seen, { code, message: 'The reason.', status, id: 'r', after, retryable });
        await page.unroute('**/recording/start');
      }
    });
  });

  test('`once`, `off` and `waitForState` follow one recording', async () => {
    await onPage('npm waits', async (page) => {
      const seen = await page.evaluate(async () => {
        const { Recorder, canvas, server, token, code } = window.page;
        const recorder = new Recorder({ server, getToken: () => token, source: canvas });
        const calls = [];
        const counted = (state) => calls.push(state);
        const removed = () => calls.push('a removed listener');
        recorder.once('statechange', counted);
        recorder.on('statechange', removed);
        recorder.off('statechange', removed);
        recorder.once('progress', removed)();
        const over = new AbortController();
        const cancelled = recorder.waitForState('paused', { signal: over.signal }).catch(code);
        over.abort(new RangeError('enough'));
        const never = recorder.waitForState('failed').catch(code);
        const first = recorder.waitForState(['paused', 'recording']);
        const progress = recorder.once('progress');
        await recorder.start();
        const stopped = recorder.once('stopped');
        const { recordedMs } = await progress;
        await recorder.waitForState('recording');
        await new Promise((resolve) => { setTimeout(resolve, 1_500); });
        recorder.stop();
        const done = await recorder.once('done');
        const ended = await recorder.once('warning').catch(code);
        return {
          calls, cancelled: await cancelled, never: await never, first: await first, recordedMs: typeof recordedMs,
          stopped: await stopped, same: (await recorder.finished).recordingId === done.recordingId, ended, state: recorder.state,
        };
      });
      assert.deepEqual(seen, {
        calls: ['loading'], cancelled: 'RangeError', never: 'wrong_state', first: 'recording', recordedMs: 'number',
        stopped: 'user', same: true, ended: 'wrong_state', state: 'done',
      });
    });
  });

  test('aborted recorder is `aborted`, and `finished` is null', async () => {
    await onPage('npm aborted', async (page) => {
      const seen = await page.evaluate(async () => {
        const { Recorder, canvas, server, token, code } = window.page;
        const recorder = new Recorder({ server, getToken: () => token, source: canvas });
        const heard = [];
        for (const name of ['statechange', 'error', 'stopped', 'done']) recorder.on(name, (value) => heard.push(value));
        await recorder.start();
        await recorder.abort();
        await recorder.waitForState('aborted');
        return {
          heard, finished: await recorder.finished, stop: await recorder.stop().catch(code), start: await recorder.start().catch(code),
          hasUnsent: recorder.hasUnsent, progress: await recorder.waitForState('done').catch(code),
        };
      });
      assert.deepEqual(seen, {
        heard: ['loading', 'starting', 'recording', 'aborted'], finished: null, stop: 'aborted', start: 'wrong_state',
        hasUnsent: false, progress: 'wrong_state',
      });
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
      assert.deepEqual(told, { end: 'not_found', heard: ['not_found'] });
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
    const session = await newSession({ auto_record: true });
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
      assert.deepEqual(refused.map((it) => it[0]), ['no_recording', 'not_found']);
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

// What cannot be recorded, or not there: for each a typed error whose sentence says what to do, and nothing is left
// over on the server.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch, withPage } from './support/browser.mjs';
import { Relay } from './support/relay.mjs';
import { RecorderPage, assertKept, until } from './support/recorder.mjs';
import { useStage } from './support/stage.mjs';

/** A name that is no `localhost`, so that pages from there are not secure. */
const INSECURE_HOST = 'insecure.test';

describe('what cannot be recorded', { timeout: 300_000 }, () => {
  const stage = useStage({
    flags: [
      // A machine without a camera and without a microphone.
      '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream=device-count=0',
      `--host-resolver-rules=MAP ${INSECURE_HOST} 127.0.0.1`,
    ],
  });
  /** Somebody else's web server, where nothing can be uploaded; and our own, where its pages are. */
  let stranger, relay;

  before(async () => {
    stranger = await Relay.start();
    relay = await Relay.start(stage.server.origin);
  });
  after(async () => {
    await stranger?.close();
    await relay?.close();
  });

  /** `ask(page)` must be refused with this code and this sentence. */
  async function refused({ title, code, sentence, context = stage.visitor, ...options }, ask) {
    const before = (await stage.api.recordings()).length;
    await withPage(context, title, async (page) => {
      await RecorderPage.open(page, stage.api, { origin: relay.origin, ...options });
      const error = await ask(page);
      assert.deepEqual({ name: error.name, code: error.code }, { name: 'RecorderError', code }, JSON.stringify(error));
      assert.match(error.message, sentence);
      // What was begun before it became clear is taken back.
      await until('gone from the server', () => stage.api.recordings(), (it) => it.length === before);
    });
  }

  /** Starts with these options, which are data. */
  const startingWith = (options) => (page) => page.evaluate((it) => window.e2e.refusal(it), options);

  test('a server where nobody listens', async () => {
    // The port of "discard": browsers do not even ask there, which is the same to them.
    const expected = { code: 'unreachable', sentence: /cannot be reached.*Check its address.*SORTIE_CORS_ORIGINS/ };
    await refused({ title: 'refused nobody', ...expected }, startingWith({ server: 'http://127.0.0.1:9' }));
  });

  test('a server that is another one', async () => {
    const expected = { code: 'refused', sentence: /status 404.*Check the server's address/ };
    await refused({ title: 'refused stranger', ...expected }, startingWith({ server: stranger.origin }));
  });

  /** Begins to record to that endpoint, in a page of `origin`. */
  const recordTo = (endpoint, title, ask, { context = stage.visitor, origin = relay.origin } = {}) =>
    withPage(context, title, async (page) => {
      const recorder = await RecorderPage.open(page, stage.api, { origin });
      await page.evaluate((it) => window.e2e.start({ server: undefined, session: undefined, endpoint: it }), endpoint);
      return ask(recorder, page);
    });

  /** What sending a file there comes to. */
  const sendingTo = (page, endpoint) => page.evaluate((it) => window.e2e.uploadSample([1, 2, 3], { endpoint: it }).then(
    () => ({ message: 'it is there' }),
    ({ code, message }) => ({ code, message }),
  ), endpoint);

  for (const status of [404, 405]) test(`an endpoint that is none: ${status}`, async () => {
    const endpoint = `${stranger.origin}/files`;
    const sentence = new RegExp(`status ${status}.*Check the address.*A tus server is expected at ${endpoint}`);
    stranger.status = status;
    await recordTo(endpoint, `refused endpoint ${status}`, async (recorder, page) => {
      const [error] = await until('failed', () => recorder.heard('error'), (it) => it.length > 0);
      assert.equal(error.code, 'upload');
      assert.match(error.message, sentence);
      const refused = await sendingTo(page, endpoint);
      assert.equal(refused.code, 'upload');
      assert.match(refused.message, sentence);
    });
  });

  // Somebody may be there in a moment, or a login page may stand in between: it is said, and recording goes on.
  for (const [kind, endpointOf, originOf] of [
    ['answers with a page', () => `${stranger.origin}/files`, () => relay.origin],
    ['does not let the page in', () => `${stage.server.origin}/api/uploads`, () => stranger.origin],
    ['is not there', () => 'http://127.0.0.1:9/files', () => relay.origin],
  ]) test(`an endpoint that ${kind}`, async () => {
    const [endpoint, origin] = [endpointOf(), originOf()];
    const context = await stage.browser.newContext();
    const assertSaid = ({ code, message }) => {
      assert.equal(code, 'unreachable');
      assert.match(message, /cannot be reached.*Check its address.*\(CORS; ours: SORTIE_CORS_ORIGINS\b/);
    };
    stranger.status = 200;
    await recordTo(endpoint, `warned ${kind}`, async (recorder, page) => {
      // At the same time, a file: nobody has begun to send it, so whoever wanted to hears of it.
      const sending = sendingTo(page, endpoint);
      const warnings = () => recorder.heard('warning');
      assertSaid((await until('warned', warnings, (it) => it.length > 0))[0]);
      assertSaid(await sending);
      const { recorded } = await recorder.progress();
      const after = await recorder.until('goes on', (it) => it.recorded > recorded && it.sizeBytes > 0 && it.waiting);
      assert.equal(after.state, 'recording');
      assert.equal(after.pendingBytes, after.sizeBytes);
      assert.equal((await warnings()).length, 1);
    }, { context, origin });
    if (kind !== 'is not there') return;
    // What the page has left behind stays until the server is there.
    await withPage(context, `left ${kind}`, async (page) => {
      const recorder = await RecorderPage.open(page, stage.api, { origin });
      const found = () => page.evaluate((it) => window.e2e.recover({ endpoint: it }), endpoint);
      const [left] = await until('found', found, (it) => it.length > 0);
      assert.ok(left.keptBytes > 0);
      assertSaid(await page.evaluate(() => window.e2e.upload(0).catch(({ code, message }) => ({ code, message }))));
      await recorder.discard(0);
    });
  });

  test('a server that does not let pages of this origin in', async () => {
    const expected = { code: 'unreachable', sentence: /cannot be reached.*does the server let them in \(CORS; ours: SORTIE_CORS_ORIGINS/ };
    await refused({ title: 'refused CORS', origin: stranger.origin, ...expected }, startingWith({ server: stage.server.origin }));
  });

  test('a camera that may not be used', async () => {
    const strict = await launch(['--use-fake-device-for-media-stream']);
    try {
      const context = await strict.newContext();
      const cdp = await strict.newBrowserCDPSession();
      const sentence = /camera may not be used\. Allow it/;
      await refused({ title: 'refused camera', code: 'permission_denied', sentence, context }, async (page) => {
        const { targetInfo: { browserContextId } } = await (await context.newCDPSession(page)).send('Target.getTargetInfo');
        const denied = { permission: { name: 'camera' }, setting: 'denied', origin: relay.origin, browserContextId };
        await cdp.send('Browser.setPermission', denied);
        return startingWith({ source: 'camera' })(page);
      });
    } finally {
      await strict.close();
    }
  });

  test('a screen, in a page that is not allowed to', async () => {
    const headers = { 'permissions-policy': 'display-capture=()' };
    const expected = { code: 'permission_denied', sentence: /Nothing was shared.*choose a screen/ };
    await refused({ title: 'refused screen', origin: undefined, headers, ...expected }, startingWith({ source: 'screen' }));
  });

  test('a camera that is not there', async () => {
    const expected = { code: 'no_device', sentence: /No camera was found\. Connect one/ };
    await refused({ title: 'refused no camera', ...expected }, startingWith({ source: 'camera' }));
  });

  test('a camera, in a page that is not secure', async () => {
    const origin = relay.origin.replace('127.0.0.1', INSECURE_HOST);
    const expected = { code: 'insecure_context', sentence: /secure connection.*https/ };
    await refused({ title: 'refused insecure', origin, ...expected }, startingWith({ source: 'camera' }));
  });

  test('a canvas is recorded in a page that is not secure, and kept on the device', async () => {
    await withPage(stage.visitor, 'insecure canvas', async (page) => {
      const origin = relay.origin.replace('127.0.0.1', INSECURE_HOST);
      const recorder = await RecorderPage.open(page, stage.api, { origin });
      assert.equal(await page.evaluate(() => window.isSecureContext), false);
      const { id } = await recorder.record();
      await recorder.until('long enough', (it) => it.recorded > 4_000 && it.safeBytes > 0);
      // There is no private file system for such pages.
      assert.equal((await recorder.progress()).spool, 'indexeddb');
      assert.deepEqual(await recorder.warnings(), []);
      const done = await recorder.stop();
      await assertKept(stage, id, 'insecure canvas', done.recorded);
    });
  });

  test('a browser without a MediaRecorder', async () => {
    const expected = { code: 'unsupported', sentence: /MediaRecorder is missing\. Use a current/ };
    await refused({ title: 'refused no recorder', ...expected }, (page) => page.evaluate(() => {
      delete window.MediaRecorder;
      return window.e2e.refusal({});
    }));
  });

  test('a browser whose MediaRecorder knows none of the types', async () => {
    const expected = { code: 'unsupported', sentence: /suitable encoder is missing\. Use a current/ };
    await refused({ title: 'refused no type', ...expected }, (page) => page.evaluate(() => {
      const Real = MediaRecorder;
      window.MediaRecorder = class extends Real {
        static isTypeSupported = () => false;
        constructor(stream) {
          super(stream, { mimeType: 'video/none' });
        }
      };
      return window.e2e.refusal({});
    }));
  });

  test('a canvas that cannot be captured', async () => {
    const expected = { code: 'unsupported', sentence: /canvas\.captureStream is missing\. Use a current/ };
    await refused({ title: 'refused no capture', ...expected }, (page) => page.evaluate(() => {
      delete HTMLCanvasElement.prototype.captureStream;
      return window.e2e.refusal({});
    }));
  });

  test('a stream with no tracks, and one whose tracks have ended', async () => {
    const expected = { code: 'no_tracks', sentence: /no live picture\. Choose the source again/ };
    await refused({ title: 'refused no tracks', ...expected }, (page) =>
      page.evaluate(() => window.e2e.refusal({ source: new MediaStream() })));
    await refused({ title: 'refused ended', ...expected }, (page) => page.evaluate(() => {
      const source = document.getElementById('canvas').captureStream();
      source.getTracks().forEach((track) => track.stop());
      return window.e2e.refusal({ source });
    }));
  });

  test('a canvas that shows a picture of another site', async () => {
    const expected = { code: 'tainted_canvas', sentence: /pictures from another site\. Load them with CORS/ };
    await refused({ title: 'refused tainted', ...expected }, (page) => page.evaluate(async (url) => {
      const image = new Image();
      image.src = url;
      await image.decode();
      document.getElementById('canvas').getContext('2d', { alpha: false }).drawImage(image, 0, 0);
      return window.e2e.refusal({});
    }, `${stranger.origin}/e2e/picture.svg`));
  });
});

// Sources and servers that cannot be used: each has a typed error with advice, and nothing stays on the server.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch, withPage } from './support/browser.mjs';
import { Relay } from './support/relay.mjs';
import { RecorderPage, assertKept, until } from './support/recorder.mjs';
import { useFixture } from './support/fixture.mjs';

/** Not `localhost`, so that pages of this host are not secure contexts. */
const INSECURE_HOST = 'insecure.test';

describe('unusable sources and servers', { timeout: 300_000 }, () => {
  const fixture = useFixture({
    flags: [
      // A machine without a camera and a microphone.
      '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream=device-count=0',
      `--host-resolver-rules=MAP ${INSECURE_HOST} 127.0.0.1`,
    ],
  });
  /** A web server that is not a Sortie server, and a relay to the real one. */
  let stranger, relay;

  before(async () => {
    stranger = await Relay.start();
    relay = await Relay.start(fixture.server.origin);
  });
  after(async () => {
    await stranger?.close();
    await relay?.close();
  });

  /** Asserts that `ask(page)` fails with this code and message. */
  async function refused({ title, code, sentence, context = fixture.visitor, ...options }, ask) {
    const before = (await fixture.api.recordings()).length;
    await withPage(context, title, async (page) => {
      await RecorderPage.open(page, fixture.api, { origin: relay.origin, ...options });
      const error = await ask(page);
      assert.deepEqual({ name: error.name, code: error.code }, { name: 'RecorderError', code }, JSON.stringify(error));
      assert.match(error.message, sentence);
      // A recording that was created before the failure is deleted.
      await until('gone from the server', () => fixture.api.recordings(), (it) => it.length === before);
    });
  }

  /** Starts with these options, which are serializable. */
  const startingWith = (options) => (page) => page.evaluate((it) => window.e2e.refusal(it), options);

  test('an unreachable server', async () => {
    // Port of "discard": browsers block it, which is indistinguishable for a page.
    const expected = { code: 'unreachable', sentence: /cannot be reached.*Check its address.*SORTIE_CORS_ORIGINS/ };
    await refused({ title: 'refused nobody', ...expected }, startingWith({ server: 'http://127.0.0.1:9' }));
  });

  test('a server that is no Sortie server', async () => {
    const expected = { code: 'unsupported_server', sentence: /status 404.*Check the server's address/ };
    await refused({ title: 'refused stranger', ...expected }, startingWith({ server: stranger.origin }));
  });

  /** Records to an endpoint, in a page of `origin`. */
  const recordTo = (endpoint, title, ask, { context = fixture.visitor, origin = relay.origin } = {}) =>
    withPage(context, title, async (page) => {
      const recorder = await RecorderPage.open(page, fixture.api, { origin });
      await page.evaluate((it) => window.e2e.start({ server: undefined, session: undefined, endpoint: it }), endpoint);
      return ask(recorder, page);
    });

  /** Uploads a file to an endpoint and returns the error. */
  const sendingTo = (page, endpoint) => page.evaluate((it) => window.e2e.uploadSample([1, 2, 3], { endpoint: it }).then(
    () => ({ message: 'it is there' }),
    ({ code, message }) => ({ code, message }),
  ), endpoint);

  for (const status of [404, 405]) test(`an endpoint without tus: ${status}`, async () => {
    const endpoint = `${stranger.origin}/files`;
    const sentence = new RegExp(`status ${status}.*Check the address.*A tus server is expected at ${endpoint}`);
    stranger.status = status;
    await recordTo(endpoint, `refused endpoint ${status}`, async (recorder, page) => {
      const [error] = await until('failed', () => recorder.heard('error'), (it) => it.length > 0);
      assert.equal(error.code, 'unsupported_server');
      assert.match(error.message, sentence);
      const refused = await sendingTo(page, endpoint);
      assert.equal(refused.code, 'unsupported_server');
      assert.match(refused.message, sentence);
    });
  });

  // The endpoint may recover, or a login page may intercept the request: a warning, and the recording continues.
  for (const [kind, endpointOf, originOf] of [
    ['answers with a page', () => `${stranger.origin}/files`, () => relay.origin],
    ['does not let the page in', () => `${fixture.server.origin}/api/uploads`, () => stranger.origin],
    ['is not there', () => 'http://127.0.0.1:9/files', () => relay.origin],
  ]) test(`an endpoint that ${kind}`, async () => {
    const [endpoint, origin] = [endpointOf(), originOf()];
    const context = await fixture.browser.newContext();
    const assertSaid = ({ code, message }) => {
      assert.equal(code, 'unreachable');
      assert.match(message, /cannot be reached.*Check its address.*\(CORS; ours: SORTIE_CORS_ORIGINS\b/);
    };
    stranger.status = 200;
    await recordTo(endpoint, `warned ${kind}`, async (recorder, page) => {
      // A file that is uploaded at the same time fails, because nothing of it was sent.
      const sending = sendingTo(page, endpoint);
      const warnings = () => recorder.heard('warning');
      assertSaid((await until('warned', warnings, (it) => it.length > 0))[0]);
      assertSaid(await sending);
      const { recordedMs: recorded } = await recorder.progress();
      const after = await recorder.until('goes on', (it) => it.recordedMs > recorded && it.sizeBytes > 0 && it.waiting);
      assert.equal(after.state, 'recording');
      assert.equal(after.pendingBytes, after.sizeBytes);
      assert.equal((await warnings()).length, 1);
    }, { context, origin });
    if (kind !== 'is not there') return;
    // The spool keeps the recording until the server is reachable.
    await withPage(context, `left ${kind}`, async (page) => {
      const recorder = await RecorderPage.open(page, fixture.api, { origin });
      const found = () => page.evaluate((it) => window.e2e.recover({ endpoint: it }), endpoint);
      const [left] = await until('found', found, (it) => it.length > 0);
      assert.ok(left.keptBytes > 0);
      assertSaid(await page.evaluate(() => window.e2e.upload(0).catch(({ code, message }) => ({ code, message }))));
      await recorder.discard(0);
    });
  });

  test('a server that does not allow this origin', async () => {
    const expected = { code: 'unreachable', sentence: /cannot be reached.*does the server let them in \(CORS; ours: SORTIE_CORS_ORIGINS/ };
    await refused({ title: 'refused CORS', origin: stranger.origin, ...expected }, startingWith({ server: fixture.server.origin }));
  });

  test('a camera without permission', async () => {
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

  test('a screen in a page without permission', async () => {
    const headers = { 'permissions-policy': 'display-capture=()' };
    const expected = { code: 'permission_denied', sentence: /Nothing was shared.*choose a screen/ };
    await refused({ title: 'refused screen', origin: undefined, headers, ...expected }, startingWith({ source: 'screen' }));
  });

  test('a missing camera', async () => {
    const expected = { code: 'no_device', sentence: /No camera was found\. Connect one/ };
    await refused({ title: 'refused no camera', ...expected }, startingWith({ source: 'camera' }));
  });

  test('a camera in an insecure context', async () => {
    const origin = relay.origin.replace('127.0.0.1', INSECURE_HOST);
    const expected = { code: 'insecure_context', sentence: /secure connection.*https/ };
    await refused({ title: 'refused insecure', origin, ...expected }, startingWith({ source: 'camera' }));
  });

  test('a canvas is recorded in an insecure context and kept on the device', async () => {
    await withPage(fixture.visitor, 'insecure canvas', async (page) => {
      const origin = relay.origin.replace('127.0.0.1', INSECURE_HOST);
      const recorder = await RecorderPage.open(page, fixture.api, { origin });
      assert.equal(await page.evaluate(() => window.isSecureContext), false);
      const { id } = await recorder.record();
      await recorder.until('long enough', (it) => it.recordedMs > 4_000 && it.safeBytes > 0);
      // Insecure contexts have no private file system.
      assert.equal((await recorder.progress()).spool, 'indexeddb');
      assert.deepEqual(await recorder.warnings(), []);
      const done = await recorder.stop();
      await assertKept(fixture, id, 'insecure canvas', done.recordedMs);
    });
  });

  test('a browser without MediaRecorder', async () => {
    const expected = { code: 'unsupported', sentence: /MediaRecorder is missing\. Use a current/ };
    await refused({ title: 'refused no recorder', ...expected }, (page) => page.evaluate(() => {
      delete window.MediaRecorder;
      return window.e2e.refusal({});
    }));
  });

  test('a browser whose MediaRecorder supports none of the types', async () => {
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

  test('a stream without tracks, and one whose tracks have ended', async () => {
    const expected = { code: 'no_tracks', sentence: /no live picture\. Choose the source again/ };
    await refused({ title: 'refused no tracks', ...expected }, (page) =>
      page.evaluate(() => window.e2e.refusal({ source: new MediaStream() })));
    await refused({ title: 'refused ended', ...expected }, (page) => page.evaluate(() => {
      const source = document.getElementById('canvas').captureStream();
      source.getTracks().forEach((track) => track.stop());
      return window.e2e.refusal({ source });
    }));
  });

  test('a canvas with an image of another origin', async () => {
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

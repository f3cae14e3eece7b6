// Labels of the embedding platform: external ID and metadata of a recording on the server.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { crash, withPage } from '../browser/support/browser.mjs';
import { project } from './support/project.mjs';
import { PATIENCE, recordingDetail } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

const LABELS = { externalId: 'lesson "7" – ünïcode', metadata: { course: 'biology', room: 7, tags: ['a', { b: null }], open: true } };

describe('labels of a recording', { timeout: 300_000 }, () => {
  const stage = useSite();
  let api, url;

  before(async () => {
    api = stage.api;
    const target = { server: stage.server.origin, token: api.tokens.access_token };
    url = stage.site.add('labels', await project({
      files: {
        'index.html': '<!doctype html><title>Record</title><canvas width="320" height="240"></canvas><script type="module" src="./main.js"></script>',
        'main.js': `
          import { Recorder, autoRecord } from './node_modules/sortie-recorder/index.js';
          const canvas = document.querySelector('canvas');
          const context = canvas.getContext('2d', { alpha: false });
          setInterval(() => {
            context.fillStyle = 'hsl(' + performance.now() / 20 + ' 60% 45%)';
            context.fillRect(0, 0, canvas.width, canvas.height);
          }, 40);
          const { server, token } = ${JSON.stringify(target)};
          const rest = { server, getToken: () => token, source: canvas };
          window.page = {
            record(options) {
              window.recorder = new Recorder({ ...rest, ...options });
              return window.recorder.start().then(() => window.recorder.recordingId, ({ code, name }) => code ?? name);
            },
            async recover() {
              const [left] = await Recorder.recover({ server, getToken: () => token });
              const { externalId, metadata, onServer } = left;
              const { recordingId } = await left.upload();
              return { externalId, metadata, onServer, recordingId };
            },
            watch(options) {
              window.watch = autoRecord({ ...rest, ...options, onRecorder: (it) => { window.recorder = it; } }).then(() => { window.over = true; });
            },
          };
        `,
      },
    }));
  });

  const onPage = (title, use) => withPage(stage.context, `npm labels ${title}`, async (page) => {
    await page.goto(url);
    await page.waitForFunction(() => window.page, null, PATIENCE);
    await use(page);
  });
  const labelsOf = async (id) => {
    const { external_id: externalId, metadata } = await recordingDetail(api, id);
    return { externalId, metadata };
  };
  const isSafe = (page) => page.waitForFunction(() => window.recorder?.progress.safeMs > 0, null, PATIENCE);

  test('recorder sends them, and the API finds the recording by them', async () => {
    await onPage('recorder', async (page) => {
      const id = await page.evaluate((it) => window.page.record(it), LABELS);
      assert.deepEqual(await labelsOf(id), LABELS);
      await isSafe(page);
      const done = await page.evaluate(() => window.recorder.stop());
      assert.equal(done.recordingId, id);
      for (const query of [`external_id=${encodeURIComponent(LABELS.externalId)}`, 'metadata=course%3Dbiology']) {
        const found = await (await api.fetch(`/api/recordings?${query}`)).json();
        assert.deepEqual(found.map((it) => it.id), [id], query);
      }
    });
  });

  test('recording of a watched session has them', async () => {
    const session = await (await api.post('/api/sessions', { app_id: 'e2e', auto_record: true })).json();
    await onPage('watched', async (page) => {
      const labels = { externalId: 'watched', metadata: { course: 'history' } };
      await page.evaluate((it) => window.page.watch(it), { ...labels, session: session.id });
      await isSafe(page);
      assert.deepEqual(await labelsOf(await page.evaluate(() => window.recorder.recordingId)), labels);
      assert.ok((await api.post(`/api/sessions/${session.id}/stop`)).ok);
      await page.waitForFunction(() => window.over, null, PATIENCE);
    });
  });

  test('recovered recording has them, although the server has lost its recording', async () => {
    // A separate context, whose storage the killed tab and the next one share.
    const own = await stage.browser.newContext();
    try {
      const id = await withPage(own, 'npm labels killed', async (page) => {
        await page.goto(url);
        await page.waitForFunction(() => window.page, null, PATIENCE);
        const id = await page.evaluate((it) => window.page.record(it), LABELS);
        await own.setOffline(true);
        await page.waitForFunction(() => window.recorder.progress.recordedMs > 3_000, null, PATIENCE);
        await crash(page);
        return id;
      });
      assert.equal((await api.fetch(`/api/recordings/${id}`, { method: 'DELETE' })).status, 204);
      await own.setOffline(false);
      await withPage(own, 'npm labels recovered', async (page) => {
        await page.goto(url);
        await page.waitForFunction(() => window.page, null, PATIENCE);
        const { recordingId, onServer, ...labels } = await page.evaluate(() => window.page.recover());
        assert.equal(onServer, 'closed');
        assert.notEqual(recordingId, id);
        assert.deepEqual(await labelsOf(recordingId), LABELS);
        assert.deepEqual(labels, LABELS);
      });
    } finally {
      await own.close();
    }
  });

  test('labels that the server does not accept make the start fail', async () => {
    await onPage('refused', async (page) => {
      const start = (labels) => page.evaluate((it) => window.page.record(it), labels);
      assert.equal(await start({ externalId: 'x'.repeat(201) }), 'bad_request');
      assert.equal(await start({ metadata: { text: 'x'.repeat(5_000) } }), 'bad_request');
      const cyclic = await page.evaluate(() => {
        const metadata = {};
        metadata.self = metadata;
        return window.page.record({ metadata });
      });
      assert.equal(cyclic, 'TypeError');
    });
  });
});

// Starting and stopping, as operators and `make run` do.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, describe, test } from 'node:test';
import { Api } from './support/api.mjs';
import { sampleWebm } from './support/media.mjs';
import { untilReady } from './support/assertions.mjs';
import { ADMIN, Server, serverBinary } from './support/server.mjs';

describe('starting and stopping', { timeout: 60_000 }, () => {
  const servers = [];
  const start = async (environment) => {
    const server = await Server.start(environment);
    servers.push(server);
    return server;
  };
  after(() => Promise.all(servers.map((it) => it.close())));

  test('the first start prints the address and working credentials, later starts do not', async () => {
    const server = await start({ SORTIE_ADMIN_PASSWORD: undefined });
    assert.match(server.stdout, /http:\/\/127\.0\.0\.1:\d+/);
    const username = /user name\s+(\S+)/.exec(server.stdout)?.[1];
    const password = /password\s+(\S+)/.exec(server.stdout)?.[1];
    assert.equal(username, ADMIN.username);
    await Api.signIn(server.origin, { username, password });

    assert.equal(await server.stop(), 0);
    await server.restart();
    assert.doesNotMatch(server.stdout, /password/);
    await Api.signIn(server.origin, { username, password });
  });

  test('recordings survive a restart', async () => {
    const server = await start();
    const api = await Api.signIn(server.origin);
    const id = await api.upload(await sampleWebm());
    await untilReady(api, id, 10_000);
    const bytes = await api.download(id);
    assert.equal(await server.stop(), 0);
    await server.restart();
    assert.deepEqual(await api.download(id), bytes);
  });

  test('invalid settings stop the start and are reported together', () => {
    const environment = { PATH: process.env.PATH, SORTIE_PORT: 'eighty', SORTIE_VIDEO_RECORDING_ENABLED: 'maybe' };
    const { status, stderr } = spawnSync(serverBinary, { env: environment, encoding: 'utf8', timeout: 10_000 });
    assert.equal(status, 2);
    assert.match(stderr, /SORTIE_PORT.*eighty/);
    assert.match(stderr, /SORTIE_VIDEO_RECORDING_ENABLED.*maybe/);
  });
});

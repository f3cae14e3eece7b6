// Bytes lost in each fault, compared with other recorders: bytes that the encoder emitted and the server does not hold at the
// end. All record to the real server, but api.video's recorder, which speaks the protocol of its own service. Prints the
// tables of docs/benchmarks.md.
//
// make bench PART=client-faults     (20 min; KILLS=3 for fewer kills, ONLY=401 for one row)

import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { build } from 'vite';
import { Api } from '../../browser/support/api.mjs';
import { launchWithProfile } from '../../browser/support/browser.mjs';
import { Server } from '../../browser/support/server.mjs';
import { project, removeProjects } from '../support/project.mjs';
import { Site } from '../support/site.mjs';
import { ApiVideoSink } from './api-video-sink.mjs';

const PEERS = {
  ours: 'sortie-recorder',
  reference: 'MediaRecorder + tus-js-client',
  'api-video': '@api.video/media-recorder',
  uppy: 'Uppy + Golden Retriever',
};
/** `node_modules` with the packages of `peers/package.json`. */
const INSTALLED = process.env.BENCH_PEERS;
const KILLS = Number(process.env.KILLS ?? 10);
/** Recording time before and after a fault. */
const SOUND_MS = 4_000;
/** Longest time to the end: the last attempt after half a minute without a network, and more. */
const PATIENCE_MS = 90_000;

const here = new URL('./', import.meta.url);

/** Builds a page with Vite, as an app would, and returns its folder. */
async function pageOf(peer) {
  const files = { 'main.js': `import './${peer}.js';` };
  for (const name of ['page.html', `${peer}.js`]) files[name] = await readFile(new URL(name, here), 'utf8');
  const folder = await project({ files, others: ['tus-js-client'] });
  for (const scope of ['@api.video', '@uppy']) await symlink(join(INSTALLED, scope), join(folder, 'node_modules', scope));
  await build({ root: folder, logLevel: 'error', base: './', build: { rollupOptions: { input: join(folder, 'page.html') } } });
  return join(folder, 'dist');
}

/** The real server, as the destination of a contestant. */
const ourServer = {
  requests: /\/api\/uploads/,
  get address() { return `${server.origin}/api/uploads`; },
  token: (seconds) => (seconds ? api.tokenFor(seconds) : api.tokens.access_token),
  kill: () => server.kill(),
  restart: () => server.restart(),
  earlier: new Set(),
  async forget() {
    this.earlier = new Set((await api.recordings()).map((it) => it.id));
  },
  async kept() {
    const recordings = (await api.recordings()).filter((it) => !this.earlier.has(it.id));
    const offsets = await Promise.all(recordings.map((it) => offset(it.id)));
    return { bytes: offsets.reduce((sum, it) => sum + it, 0), seconds: recordings.reduce((sum, it) => sum + it.duration_seconds, 0) };
  },
};

/** The upload host of api.video. */
const apiVideo = {
  requests: /\/upload\?token=/,
  get address() { return sink.host; },
  token: (seconds) => sink.token(seconds),
  kill: () => sink.kill(),
  restart: () => sink.restart(),
  forget: async () => sink.forget(),
  kept: async () => ({ bytes: sink.bytes() }),
};

/** Recording of one contestant with a fault. */
class Round {
  /** Bytes that the encoder emitted, and its start. */
  given = 0;
  beganAt;

  static async open(peer, { quota } = {}) {
    const round = new Round();
    round.target = peer === 'api-video' ? apiVideo : ourServer;
    // A separate profile: private ones have no quota, and earlier rounds must leave nothing.
    round.profile = await mkdtemp(join(tmpdir(), 'sortie-bench-'));
    // The certificate of the upload host is its own.
    round.context = await launchWithProfile(round.profile, ['--ignore-certificate-errors']);
    round.url = `${site.origin}/${peer}/page.html`;
    await round.context.exposeFunction('benchToken', () => (round.tokens.length > 1 ? round.tokens.shift() : round.tokens[0]));
    await round.context.exposeFunction('benchGave', (bytes) => { round.given += bytes; });
    await round.context.exposeFunction('benchBegan', (at) => { round.beganAt ??= at; });
    await round.context.addInitScript(() => {
      // Content that changes like a busy screen: with a static picture, tus-js-client would wait a minute for its 64
      // KiB.
      const stir = () => {
        const context = document.querySelector('canvas')?.getContext('2d');
        for (let i = 0; context && i < 60; i += 1) {
          context.fillStyle = `hsl(${Math.random() * 360} 80% ${Math.random() * 100}%)`;
          context.fillRect(Math.random() * 640, Math.random() * 480, 40, 30);
        }
        requestAnimationFrame(stir);
      };
      requestAnimationFrame(stir);
      const Real = window.MediaRecorder;
      window.MediaRecorder = class extends Real {
        constructor(...options) {
          super(...options);
          this.addEventListener('start', () => window.benchBegan(Date.now()));
          this.addEventListener('dataavailable', ({ data }) => window.benchGave(data.size));
        }
      };
    });
    // All rounds take longer than a sign-in is valid.
    Object.assign(api, await Api.signIn(server.origin));
    await round.target.forget();
    round.tokens = [round.target.token()];
    await round.reopen();
    if (quota) await round.cdp.send('Storage.overrideQuotaForOrigin', { origin: site.origin, quotaSize: quota });
    return round;
  }

  async reopen() {
    this.page = await this.context.newPage();
    await this.page.goto(this.url);
    await this.page.waitForFunction(() => window.bench);
    this.cdp = await this.context.newCDPSession(this.page);
  }

  start = () => this.page.evaluate((it) => window.bench.start(it), this.target.address);

  /** Ends the recording and waits for the page's promise. Returns the error if it rejects. */
  async stop() {
    const outcome = this.page.evaluate(() => window.bench.stop().then(() => 'done', (error) => `error: ${error.message ?? error}`));
    // The page may be closed before.
    outcome.catch(() => {});
    return Promise.race([outcome, wait(PATIENCE_MS, 'nothing, for 90 s')]);
  }

  async offline(on) {
    const none = { latency: 0, downloadThroughput: -1, uploadThroughput: -1 };
    await this.cdp.send('Network.emulateNetworkConditions', { offline: on, ...none });
  }

  async crash() {
    const crashed = new Promise((resolve) => this.page.once('crash', resolve));
    const at = Date.now();
    this.cdp.send('Page.crash').catch(() => {});
    await crashed;
    await this.page.close();
    return at;
  }

  /** Opens the page again and recovers. */
  async recover() {
    await this.reopen();
    return Promise.race([
      this.page.evaluate((address) => window.bench.recover(address).then((it) => `${it} recovered`, (error) => `error: ${error.message}`), this.target.address),
      wait(PATIENCE_MS, 'nothing, for 90 s'),
    ]);
  }

  /** Returns what the server has of the recording, after requests in flight have arrived. */
  async kept() {
    let seen;
    let same = 0;
    for (let i = 0; i < 40 && same < 6; i += 1) {
      const now = await this.target.kept();
      same = now.bytes === seen?.bytes ? same + 1 : 0;
      seen = now;
      await wait(500);
    }
    return seen;
  }

  async result(outcome, recordedS) {
    return { outcome, given: this.given, recordedS, kept: await this.kept() };
  }

  async close() {
    await this.context.close();
    await rm(this.profile, { recursive: true, force: true });
  }
}

/** Returns the number of bytes of an upload that arrived; a file is larger by the server's head and the index. */
async function offset(id) {
  const answer = await api.fetch(`/api/uploads/${id}`, { method: 'HEAD', headers: { 'tus-resumable': '1.0.0' } });
  return Number(answer.headers.get('upload-offset') ?? 0);
}

/** Fault in the middle of a recording that is stopped afterwards. */
const through = (fault, options) => async (peer) => {
  const round = await Round.open(peer, options);
  try {
    await round.start();
    await wait(SOUND_MS);
    await fault(round);
    await wait(SOUND_MS);
    const outcome = await round.stop();
    return round.result(outcome);
  } finally {
    await round.close();
  }
};

/** End of the page, which is opened again. */
const theEnd = (end) => async (peer) => {
  const round = await Round.open(peer);
  try {
    await round.start();
    await wait(SOUND_MS);
    await end(round);
    const recordedS = (Date.now() - round.beganAt) / 1_000;
    const outcome = await round.recover();
    return round.result(outcome, recordedS);
  } finally {
    await round.close();
  }
};

/** A token that expires after four seconds, followed by a valid one. */
async function expired(peer) {
  const round = await Round.open(peer);
  try {
    round.tokens = [round.target.token(4), round.target.token()];
    await round.start();
    await wait(2 * SOUND_MS);
    return round.result(await round.stop());
  } finally {
    await round.close();
  }
}

const FAULTS = {
  'Tab closed': theEnd((round) => round.page.close()),
  'Renderer killed': theEnd((round) => round.crash()),
  'Renderer killed after 5 s without a network': theEnd(async (round) => {
    await round.offline(true);
    await wait(5_000);
    await round.crash();
  }),
  'Renderer killed 3 s after the stop, without a network': theEnd(async (round) => {
    await round.offline(true);
    // Rejects when the page is killed.
    round.stop().catch(() => {});
    await wait(3_000);
    await round.crash();
  }),
  'Network gone for 30 s': through(async (round) => {
    await round.offline(true);
    await wait(30_000);
    await round.offline(false);
  }),
  'Server killed, back after 10 s': through(async ({ target }) => {
    await target.kill();
    await wait(10_000);
    await target.restart();
  }),
  '500 to everything for 30 s': through(async (round) => {
    await round.page.route(round.target.requests, (route) => route.fulfill({ status: 500, headers: { 'access-control-allow-origin': '*' } }));
    await wait(30_000);
    await round.page.unroute(round.target.requests);
  }),
  'Token expired (401)': expired,
  'Device full, 10 s without a network': through(async (round) => {
    await round.offline(true);
    await wait(10_000);
    await round.offline(false);
  }, { quota: 2_500_000 }),
};
/** Returns the seconds that a killed renderer costs, and the bytes that its encoder emitted and that are lost. */
async function kill() {
  const round = await Round.open('ours');
  try {
    await round.start();
    await wait(3_000 + Math.random() * 3_000);
    const at = await round.crash();
    await round.recover();
    const { bytes, seconds } = await round.kept();
    return { seconds: (at - round.beganAt) / 1_000 - seconds, bytes: round.given - bytes };
  } finally {
    await round.close();
  }
}

const kilobytes = (bytes) => (bytes / 1000).toFixed(0);

/** Returns the cell of a result. A recorder that asks for no chunks gets all bytes at the stop. */
function cell({ given, kept, recordedS }) {
  if (given === 0) return `all ${recordedS.toFixed(0)} s`;
  return `${kilobytes(Math.max(0, given - kept.bytes))} of ${kilobytes(given)}`;
}

if (!INSTALLED) throw new Error('BENCH_PEERS must name the node_modules of tests/npm/bench/peers; scripts/bench.sh installs them');
const site = await Site.start();
const server = await Server.start({ SORTIE_CORS_ORIGINS: site.origin });
const api = await Api.signIn(server.origin);
const sink = await ApiVideoSink.start();
try {
  for (const peer of Object.keys(PEERS)) site.add(peer, await pageOf(peer));
  console.log(`Load ${loadavg()[0].toFixed(1)}`);
  console.log(`| Lost of what the encoder had given out, in kB | ${Object.values(PEERS).join(' | ')} |`);
  console.log(`|---|${'--:|'.repeat(Object.keys(PEERS).length)}`);
  for (const [name, run] of Object.entries(FAULTS)) {
    if (process.env.ONLY && !name.includes(process.env.ONLY)) continue;
    const cells = [];
    for (const peer of Object.keys(PEERS)) {
      const result = await run(peer);
      cells.push(cell(result));
      console.error(`${name}: ${PEERS[peer]}: ${result.outcome}; ${result.given} given, ${result.kept.bytes} kept`);
    }
    console.log(`| ${name} | ${cells.join(' | ')} |`);
  }
  if (KILLS > 0 && (process.env.KILLS || !process.env.ONLY)) {
    const kills = [];
    for (let i = 0; i < KILLS; i += 1) kills.push(await kill());
    const seconds = kills.map((it) => it.seconds).sort((a, b) => a - b);
    console.log(`\n${KILLS} kills of the renderer, seconds lost: ${seconds.map((it) => it.toFixed(2)).join(', ')}; bytes given out and lost: ${kills.map((it) => it.bytes).join(', ')}`);
  }
} finally {
  await sink.kill();
  await server.close();
  await site.close();
  await removeProjects();
}

// Cost of the recorder to a page, compared with MediaRecorder and tus-js-client: bytes to download, time from import to
// ready, time of the main thread, memory over a long run. Prints the tables of docs/benchmarks.md.
//
// HOURS=8 make bench PART=client
//
// ONLY=memory runs the long run only, ONLY=cost everything else.

import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { loadavg } from 'node:os';
import { brotliCompressSync, constants } from 'node:zlib';
import { build } from 'vite';
import { FAKE_CAMERA, launch } from '../../browser/support/browser.mjs';
import { project, removeProjects } from '../support/project.mjs';
import { startSink } from './tus-sink.mjs';

const ROUNDS = Number(process.env.ROUNDS ?? 9);
const RECORD_S = 20;
const HOURS = Number(process.env.HOURS ?? 1);
/** Size of a second of an ordinary screen. */
const CHUNK_BYTES = 32 * 1024;
const PEERS = { ours: 'sortie-recorder', reference: 'MediaRecorder + tus-js-client' };
/** Name of the baseline. */
const BARE = 'bare';
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' };

const here = new URL('./', import.meta.url);
const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
const kilobytes = (bytes) => (bytes / 1000).toFixed(1);

/** Builds a page with Vite, as an app would, and returns its files. */
async function pageOf(peer) {
  const files = { 'main.js': `import './${peer}.js';` };
  for (const name of ['page.html', `${peer}.js`]) files[name] = await readFile(new URL(name, here), 'utf8');
  const folder = await project({ files, others: ['tus-js-client'] });
  await build({ root: folder, logLevel: 'error', base: './', build: { rollupOptions: { input: join(folder, 'page.html') } } });
  const built = new Map();
  for (const name of await readdir(join(folder, 'dist'), { recursive: true })) {
    if (extname(name)) built.set(name, await readFile(join(folder, 'dist', name)));
  }
  return built;
}

function sizes(files) {
  const total = { raw: 0, brotli: 0, wasm: 0, later: 0, saving: 0 };
  for (const [name, body] of files) {
    if (!/\.(js|wasm)$/.test(name)) continue;
    const brotli = brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length;
    if (name.includes('playable')) {
      total.saving += brotli;
      continue;
    }
    if (/later|session_watcher/.test(name)) {
      total.later += brotli;
      continue;
    }
    total.raw += body.length;
    total.brotli += brotli;
    if (name.endsWith('.wasm')) total.wasm += brotli;
  }
  return total;
}

/** Opens the page and waits until it is ready; returns page and milliseconds from import to ready. */
async function open(context, url) {
  const page = await context.newPage();
  await page.goto(url);
  await page.waitForFunction(() => window.bench, null, { timeout: 60_000 });
  return { page, readyMs: await page.evaluate(() => window.bench.readyMs) };
}

/**
 * Returns the CPU milliseconds that the main thread of an idle page takes for a second of recording. The thread's own
 * clock stops while others have the core.
 */
async function mainThread(context, url, endpoint, sends = false) {
  const { page } = await open(context, url);
  const cdp = await context.newCDPSession(page);
  await cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
  const taken = async () => {
    const { metrics } = await cdp.send('Performance.getMetrics');
    return metrics.find((it) => it.name === 'TaskDuration').value * 1_000;
  };
  await page.evaluate((it) => window.bench.start(...it), [endpoint, sends]);
  // The start is excluded from the measurement.
  await page.waitForTimeout(2_000);
  const before = await taken();
  await page.waitForTimeout(RECORD_S * 1_000);
  const after = await taken();
  await page.evaluate(() => window.bench.stop());
  await page.close();
  return (after - before) / RECORD_S;
}

/** Returns the memory after each tenth of `HOURS` of chunks, in bytes: JavaScript's heap and WebAssembly's. */
async function longRun(context, url, endpoint) {
  const page = await context.newPage();
  await page.addInitScript(() => {
    for (const name of ['instantiate', 'instantiateStreaming']) {
      const original = WebAssembly[name];
      WebAssembly[name] = async (...given) => {
        const made = await original.apply(WebAssembly, given);
        window.wasmMemory = (made.instance ?? made).exports.memory;
        return made;
      };
    }
  });
  await page.addInitScript({ path: new URL('fake-recorder.js', here).pathname });
  await page.goto(url);
  await page.waitForFunction(() => window.bench);
  const cdp = await context.newCDPSession(page);
  await page.evaluate((it) => window.bench.start(it), endpoint);
  const used = [];
  for (let tenth = 0; tenth < 10; tenth += 1) {
    await page.evaluate(
      async ([count, bytes]) => {
        for (let i = 0; i < count; i += 1) {
          window.fakeRecorder.chunk(bytes);
          // Paces like a network that keeps up.
          do await new Promise((resolve) => setTimeout(resolve)); while (window.bench.pendingBytes() > 4 * bytes);
        }
      },
      [HOURS * 360, CHUNK_BYTES],
    );
    await cdp.send('HeapProfiler.collectGarbage');
    const { usedSize } = await cdp.send('Runtime.getHeapUsage');
    console.error(`${tenth + 1} of 10: ${Math.round(usedSize / 1000)} kB, ${Math.round(performance.now() / 1000)} s`);
    used.push({ heap: usedSize, wasm: await page.evaluate(() => window.wasmMemory?.buffer.byteLength ?? 0) });
  }
  await page.evaluate(() => window.bench.stop());
  await page.close();
  return used;
}

const pages = {};
for (const peer of [...Object.keys(PEERS), BARE]) pages[peer] = await pageOf(peer);
const sink = await startSink((pathname) => {
  const [, peer, ...rest] = pathname.split('/');
  const body = pages[peer]?.get(rest.join('/'));
  return body && { body, type: TYPES[extname(pathname)] ?? 'application/octet-stream' };
});
const address = (peer, how = '') => `${sink.origin}/${peer}/page.html${how}`;
const RESTED = '?rested';
const endpoint = `${sink.origin}/files`;
const browser = await launch(FAKE_CAMERA);
try {
  const result = {};
  for (const peer of Object.keys(PEERS)) result[peer] = { ...sizes(pages[peer]), loadingMs: [], readyMs: [], taskMs: [] };
  const sentMs = [];
  // A warm browser cache. Rounds are interleaved, so that a busy moment hits both contestants.
  const context = await browser.newContext();
  const cost = process.env.ONLY !== 'memory';
  const memory = process.env.ONLY !== 'cost';
  for (let round = -2; cost && round < ROUNDS; round += 1) {
    for (const peer of Object.keys(PEERS)) {
      for (const [how, into] of [['', 'loadingMs'], [RESTED, 'readyMs']]) {
        const { page, readyMs } = await open(context, address(peer, how));
        if (round >= 0) result[peer][into].push(readyMs);
        await page.close();
      }
    }
  }
  for (let round = 0; cost && round < 3; round += 1) {
    const bare = await mainThread(context, address(BARE, RESTED), endpoint);
    sentMs.push((await mainThread(context, address(BARE, RESTED), endpoint, true)) - bare);
    for (const peer of Object.keys(PEERS)) result[peer].taskMs.push((await mainThread(context, address(peer, RESTED), endpoint)) - bare);
  }
  for (const peer of memory ? Object.keys(PEERS) : []) result[peer].memory = await longRun(context, address(peer), endpoint);

  if (cost) printCost(result, sentMs);
  if (memory) printMemory(result);
} finally {
  await browser.close();
  await sink.close();
  await removeProjects();
}

function printCost(result, sentMs) {
  console.log(`Chromium ${browser.version()}, load ${loadavg()[0].toFixed(1)}; medians of ${ROUNDS} and 3 interleaved rounds`);
  console.log('| | JS + wasm, brotli | of that wasm | fetched only for leftovers, files, sessions | fetched only for saving a file | import to ready, warm | the same while the page loads | main thread per second of recording, beyond the encoder |');
  console.log('|---|--:|--:|--:|--:|--:|--:|--:|');
  const { ours, reference } = result;
  for (const [peer, name] of Object.entries(PEERS)) {
    const { brotli, wasm, later, saving, readyMs, loadingMs, taskMs } = result[peer];
    console.log(`| ${name} | ${kilobytes(brotli)} kB | ${kilobytes(wasm)} kB | ${kilobytes(later)} kB | ${kilobytes(saving)} kB | ${median(readyMs).toFixed(0)} ms | ${median(loadingMs).toFixed(0)} ms | ${median(taskMs).toFixed(2)} ms |`);
  }
  const ratio = (of) => (of(ours) / of(reference)).toFixed(2);
  console.log(`| ratio | ${ratio((it) => it.brotli)} | | | | ${ratio((it) => median(it.readyMs))} | ${ratio((it) => median(it.loadingMs))} | ${ratio((it) => median(it.taskMs))} |`);
  console.log(`Of that a \`fetch\` for each chunk, and nothing else: ${median(sentMs).toFixed(2)} ms`);
}

function printMemory(result) {
  console.log(`Memory after each tenth of ${HOURS} h (${HOURS * 3600} chunks of ${CHUNK_BYTES / 1024} KiB), in kB, after a collection:`);
  for (const [peer, name] of Object.entries(PEERS)) {
    console.log(`- ${name}, heap: ${result[peer].memory.map((it) => Math.round(it.heap / 1000)).join(', ')}`);
    if (peer === 'ours') console.log(`- ${name}, WebAssembly: ${result[peer].memory.map((it) => Math.round(it.wasm / 1000)).join(', ')}`);
  }
}

// Size of recordings of an idle and of a busy tab, and the time of a seek in them, by format and distance of keyframes.
// Prints a table of docs/benchmarks.md.
//
// make bench PART=client-formats; SECONDS_RECORDED=120 records longer.

import { join } from 'node:path';
import { loadavg } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { Api } from '../../browser/support/api.mjs';
import { untilReady } from '../../browser/support/assertions.mjs';
import { launch } from '../../browser/support/browser.mjs';
import { Server } from '../../browser/support/server.mjs';
import { project, removeProjects } from '../support/project.mjs';
import { Site } from '../support/site.mjs';

const SECONDS = Number(process.env.SECONDS_RECORDED ?? 60);
const KEYFRAMES_MS = (process.env.KEYFRAMES_MS ?? '2000,10000,20000').split(',').map(Number);
const TYPES = (process.env.TYPES ?? 'video/webm;codecs=vp9,video/mp4').split(',');
const SEEKS = 8;
const VIEW = { width: 1280, height: 720 };

const PAGE = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Tab</title><script type="module" src="./main.js"></script>
  <style>body { font: 16px/1.5 sans-serif; margin: 2em; columns: 3 }</style></head><body></body></html>`;
/** Text; the busy tab scrolls through it and types. */
const MAIN = `
  import { Recorder } from './node_modules/sortie-recorder/index.js';
  for (let i = 0; i < 400; i += 1) {
    const line = document.createElement('p');
    line.textContent = Array.from({ length: 30 }, (_, j) => ((i * 31 + j) * 2654435761 % 1e9).toString(36)).join(' ');
    document.body.append(line);
  }
  window.busy = () => setInterval(() => {
    scrollTo(0, (performance.now() / 4) % 6000);
    document.querySelectorAll('p')[Math.floor(performance.now() / 50) % 400].textContent = String(performance.now());
  }, 40);
  window.Recorder = Recorder;
`;

const site = await Site.start();
const server = await Server.start({ SORTIE_CORS_ORIGINS: site.origin });
const api = await Api.signIn(server.origin);
const browser = await launch(['--auto-accept-this-tab-capture']);
const folder = await project({ files: { 'index.html': PAGE, 'main.js': MAIN } });
const url = site.add('formats', join(folder));

/** Records a tab; returns the size of an hour in MB, and the times of seeks in milliseconds. */
async function measure(mimeType, keyFrameInterval, isBusy) {
  const context = await browser.newContext({ viewport: VIEW });
  const page = await context.newPage();
  await page.goto(url);
  await page.waitForFunction(() => window.Recorder);
  if (isBusy) await page.evaluate(() => window.busy());
  await page.evaluate(async ([origin, token, options]) => {
    window.recorder = new window.Recorder({ server: origin, getToken: () => token, source: 'screen', preferCurrentTab: true, ...options });
    await window.recorder.start();
  }, [server.origin, api.tokens.access_token, { mimeType, keyFrameInterval }]);
  await wait(SECONDS * 1_000);
  const done = await page.evaluate(() => window.recorder.stop());
  await untilReady(api, done.recordingId, 20_000);
  const times = await page.evaluate(async ([file, token, seeks]) => {
    const blob = await (await fetch(file, { headers: { authorization: `Bearer ${token}` } })).blob();
    const video = Object.assign(document.createElement('video'), { src: URL.createObjectURL(blob), muted: true });
    document.body.prepend(video);
    await new Promise((resolve) => { video.onloadeddata = resolve; });
    const all = [];
    for (let i = 0; i < seeks; i += 1) {
      const from = performance.now();
      const sought = new Promise((resolve) => { video.onseeked = resolve; });
      video.currentTime = (((i * 5 + 3) % seeks) + 0.97) / (seeks + 1) * video.duration;
      await sought;
      all.push(performance.now() - from);
    }
    return all.sort((a, b) => a - b);
  }, [`${server.origin}/api/recordings/${done.recordingId}/download`, api.tokens.access_token, SEEKS]);
  await context.close();
  return { type: done.mimeType, mb: done.sizeBytes / done.recordedMs * 3_600_000 / 1e6, median: times[SEEKS / 2], longest: times.at(-1) };
}

console.log(`${browser.version()}, ${VIEW.width} × ${VIEW.height}, ${SECONDS} s each, load ${loadavg()[0].toFixed(1)}`);
console.log('| Type | Keyframe at least every | Idle tab MB/h | Busy tab MB/h | Seek in the idle one, median / longest ms | In the busy one |');
console.log('|---|--:|--:|--:|--:|--:|');
for (const type of TYPES) {
  for (const ms of KEYFRAMES_MS) {
    const idle = await measure(type, ms, false);
    const busy = await measure(type, ms, true);
    const seek = ({ median, longest }) => `${Math.round(median)} / ${Math.round(longest)}`;
    console.log(`| ${idle.type} | ${ms / 1_000} s | ${idle.mb.toFixed(1)} | ${busy.mb.toFixed(0)} | ${seek(idle)} | ${seek(busy)} |`);
  }
}
await browser.close();
await server.close();
await site.close();
await removeProjects();

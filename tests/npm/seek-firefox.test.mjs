// Playback and seeks of the player in Firefox, which gets the bytes of a WebM from the keyframes of its index.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { artifactsDir } from '../browser/support/artifacts.mjs';
import { untilReady } from '../browser/support/assertions.mjs';
import { Api } from '../browser/support/api.mjs';
import { Server } from '../browser/support/server.mjs';
import { launchFirefox, signIn } from './support/firefox.mjs';
import { Link } from './support/link.mjs';

const PATIENCE = { timeout: 60_000 };
const SECONDS = 120;
/** Slow enough that a browser ends a request before it has read much more than it needs. */
const MODERATE = { bytesPerSecond: 1e6 };
/** A fast 3G network. */
const SLOW = { delayMs: 280, bytesPerSecond: 1.44e6 / 8 };
const OPTIONS = { encoding: 'buffer', maxBuffer: 512 << 20 };
const ffmpeg = async (...args) => (await promisify(execFile)('ffmpeg', ['-v', 'error', '-y', ...args], OPTIONS)).stdout;

const vp8 = (rate) => [
  '-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-b:v', rate, '-g', '9999', '-force_key_frames', 'expr:gte(t,n_forced*10)',
];

/** A recording with a keyframe every 10 s. Between the third and the eighth second of each ten, nothing moves. */
const idleWebm = (sound = []) => ffmpeg(
  '-f', 'lavfi', '-i', `testsrc2=duration=${SECONDS}:size=640x360:rate=15`, ...sound,
  '-vf', "select='not(between(mod(t,10),3,8))',noise=alls=30:allf=t", '-fps_mode', 'vfr', ...vp8('2M'),
  '-f', 'webm', '-live', '1', 'pipe:1',
);

/** An hour of 360 kbit/s with a keyframe every 10 s. */
async function hourWebm() {
  const part = join(artifactsDir, `half-minute-${process.pid}.webm`);
  await mkdir(artifactsDir, { recursive: true });
  await ffmpeg('-f', 'lavfi', '-i', 'testsrc2=duration=30:size=1280x720:rate=15', ...vp8('360k'), part);
  const hour = await ffmpeg('-stream_loop', '-1', '-i', part, '-t', '3600', '-c', 'copy', '-f', 'webm', '-live', '1', 'pipe:1');
  await rm(part);
  return hour;
}

describe('the player in Firefox', { timeout: 900_000 }, () => {
  let server, link, browser, page, api, silent, hour;

  const added = async (bytes) => {
    const id = await api.upload(bytes);
    await untilReady(api, id, 60_000);
    return { id, size: bytes.length };
  };

  const signedIn = async (preferences = {}) => {
    const browser = await launchFirefox(preferences);
    const page = await browser.newPage();
    await page.evaluateOnNewDocument(() => {
      window.urls = 0;
      const { createObjectURL, revokeObjectURL } = URL;
      URL.createObjectURL = (it) => { window.urls += 1; return createObjectURL.call(URL, it); };
      URL.revokeObjectURL = (it) => { window.urls -= 1; return revokeObjectURL.call(URL, it); };
    });
    await signIn(page, link.origin);
    return { browser, page };
  };

  before(async () => {
    server = await Server.start();
    link = await Link.start(server.origin);
    api = await Api.signIn(server.origin);
    silent = await added(await idleWebm());
    hour = await added(await hourWebm());
    ({ browser, page } = await signedIn());
  });
  after(async () => {
    await browser?.close();
    await link?.close();
    await server?.close();
  });

  const open = async (id, { query = '', ...conditions } = MODERATE) => {
    await page.goto('about:blank');
    link.reset();
    Object.assign(link, conditions);
    await page.goto(`${link.origin}/recordings/${id}${query}`, PATIENCE);
    await page.waitForFunction(() => document.querySelector('video')?.readyState >= 2, PATIENCE);
  };
  const seek = (to) => page.$eval('video', (video, to) => { video.currentTime = to; }, to);
  const arrival = () => page.evaluate(async () => {
    const video = document.querySelector('video');
    do await new Promise((done) => { setTimeout(done, 20); }); while (video.seeking || video.readyState < 2);
    return video.currentTime;
  });
  const seeked = async (to) => {
    await seek(to);
    return arrival();
  };
  const source = () => page.$eval('video', (video) => video.src.split(':')[0]);
  const play = () => page.$eval('video', (video) => {
    video.muted = true;
    return video.play();
  });
  const endOfPlayback = () => page.$eval('video', (video) => new Promise((done) => {
    video.addEventListener('ended', () => done({ ended: video.ended, currentTime: video.currentTime, duration: video.duration }), { once: true });
  }));

  /** Seeks and plays to the end; in the end the source is still the media source. */
  const watched = async (t, { id, size }) => {
    await open(id);
    const opened = link.bytes;
    assert.equal(await seeked(90), 90);
    t.diagnostic(`${opened} bytes until the first picture, ${link.bytes - opened} for a seek, of ${size}`);
    // The head, and the first pictures; a keyframe interval is a twelfth of the file.
    assert.ok(link.bytes < size / 4, `${link.bytes} of ${size} bytes: ${link.ranges.join(', ')}`);
    assert.equal(await source(), 'blob');
    // Over idle spans, and to the end; then from the end back.
    await seeked(SECONDS - 25);
    const ended = endOfPlayback();
    await play();
    const { currentTime, duration } = await ended;
    assert.ok(Math.abs(duration - SECONDS) < 0.2 && Math.abs(currentTime - duration) < 0.1, `${currentTime} of ${duration} s`);
    assert.equal(await source(), 'blob');
    assert.equal(await seeked(12), 12);
    assert.equal(await source(), 'blob');
    const audit = await (await api.fetch(`/api/admin/audit?subject=${id}&action=recording.view`)).json();
    assert.equal(audit.length, 1);
  };

  test('a seek reads only what it needs, and idle spans play', (t) => watched(t, silent));

  test('a recording with sound is played from its file', async () => {
    const sound = ['-f', 'lavfi', '-i', `sine=duration=${SECONDS}`, '-c:a', 'libopus', '-shortest'];
    const { id } = await added(await idleWebm(sound));
    await open(id, { ...MODERATE, query: '?t=60' });
    assert.equal(await page.$eval('video', (video) => video.currentTime), 60);
    assert.equal(await source(), 'http');
    assert.equal(await seeked(90), 90);
  });

  test('an address with a time opens there', async () => {
    await open(silent.id, { ...MODERATE, query: '?t=60' });
    assert.equal(await page.$eval('video', (video) => video.currentTime), 60);
    assert.ok(link.bytes < silent.size / 4, `${link.bytes} of ${silent.size} bytes: ${link.ranges.join(', ')}`);
  });

  for (const target of [1800, 3300]) {
    test(`a seek to ${target} s right after opening an hour on a slow link`, async (t) => {
      await page.goto(`${link.origin}/recordings`, PATIENCE);
      await page.waitForSelector(`a[href="/recordings/${hour.id}"]`, PATIENCE);
      link.reset();
      Object.assign(link, SLOW);
      const figures = await page.evaluate(async (id, target) => {
        const start = performance.now();
        document.querySelector(`a[href="/recordings/${id}"]`).click();
        let video;
        do await new Promise((done) => { setTimeout(done, 10); }); while (!(video = document.querySelector('video')));
        await new Promise((done) => { setTimeout(done, Math.max(0, 300 - (performance.now() - start))); });
        const from = performance.now();
        video.currentTime = target;
        do await new Promise((done) => { setTimeout(done, 10); }); while (video.seeking || video.readyState < 2 || Math.abs(video.currentTime - target) > 0.5);
        return { clickMs: from - start, seekMs: performance.now() - from };
      }, hour.id, target);
      assert.equal(await source(), 'blob');
      t.diagnostic(`seek after ${Math.round(figures.clickMs)} ms; picture after further ${Math.round(figures.seekMs)} ms, ${link.bytes} bytes`);
    });
  }

  test('of several seeks the last one wins', async () => {
    await open(hour.id);
    for (const target of [600, 1200, 2400, 3000]) await seek(target);
    assert.equal(await arrival(), 3000);
    assert.equal(await source(), 'blob');
  });

  test('played and coming time in the buffer is bounded, and a paused player reads little', async (t) => {
    await open(hour.id, {});
    const paused = link.bytes;
    assert.ok(paused < 2 << 20, `${paused} bytes while paused`);
    await play();
    for (const target of [40, 80, 120, 160]) {
      await seek(target);
      await page.waitForFunction((target) => {
        const { buffered } = document.querySelector('video');
        return buffered.length > 0 && buffered.end(buffered.length - 1) > target + 55;
      }, PATIENCE, target);
    }
    const { start, end, at, spans } = await page.$eval('video', (video) => {
      video.pause();
      const { buffered } = video;
      return { start: buffered.start(0), end: buffered.end(buffered.length - 1), at: video.currentTime, spans: buffered.length };
    });
    t.diagnostic(`${start}–${end} s at ${at} s`);
    assert.equal(spans, 1);
    // Kept: 30 s, a surplus of 10 s, and a keyframe interval.
    assert.ok(start >= at - 60, `${start} s at ${at} s`);
    assert.ok(end <= at + 80, `${end} s at ${at} s`);
    assert.equal(await source(), 'blob');
  });

  test('an interrupted network delays playback', async () => {
    await open(hour.id);
    link.refusal = (url) => (url.endsWith('/stream') ? 0 : undefined);
    await seek(1000);
    while (link.refused < 2) await new Promise((done) => { setTimeout(done, 50); });
    link.refusal = () => undefined;
    assert.equal(await arrival(), 1000);
    assert.equal(await source(), 'blob');
  });

  test('without an index, the file is played', async () => {
    await open(silent.id, { query: '?t=60', refusal: (url) => (url.endsWith('/index') ? 404 : undefined) });
    assert.equal(await page.$eval('video', (video) => video.currentTime), 60);
    assert.equal(await source(), 'http');
    assert.equal(await seeked(90), 90);
  });

  test('after a failure during playback, the file is played from the same position', async () => {
    await open(hour.id);
    await play();
    link.refusal = (url, headers) => (url.endsWith('/stream') && headers['sec-fetch-dest'] === 'empty' ? 403 : undefined);
    await seek(1000);
    await page.waitForFunction(() => {
      const video = document.querySelector('video');
      return video.src.startsWith('http') && !video.paused && video.readyState >= 3 && video.currentTime >= 1000;
    }, PATIENCE);
    assert.ok(await page.$eval('video', (video) => video.currentTime < 1010));
  });

  test('a browser that allows little memory plays on, if need be from the file', async (t) => {
    const usual = { browser, page };
    try {
      // Bytes of about 20 s of the recording.
      ({ browser, page } = await signedIn({ 'media.mediasource.eviction_threshold.video': 1_000_000 }));
      await open(hour.id, {});
      await play();
      for (const target of [15, 30, 45, 60]) {
        await seek(target);
        await page.waitForFunction((target) => {
          const { currentTime, paused } = document.querySelector('video');
          return !paused && currentTime > target + 1 && currentTime < target + 10;
        }, PATIENCE, target);
      }
      t.diagnostic(await source());
    } finally {
      await browser.close();
      ({ browser, page } = usual);
    }
  });

  test('a player that is left ends its requests and releases its media source', async () => {
    await open(hour.id, SLOW);
    assert.equal(await page.evaluate(() => window.urls), 1);
    await seek(1000);
    await page.evaluate(() => { document.querySelector('.back-link').click(); });
    await page.waitForSelector('video', { hidden: true, ...PATIENCE });
    await page.waitForFunction(() => window.urls === 0, PATIENCE);
  });
});

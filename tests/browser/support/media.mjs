// Checks of recorded files with independent programs.

import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import assert from 'node:assert/strict';
import { artifactsDir, fileName } from './artifacts.mjs';

const run = promisify(execFile);
const MAX_OUTPUT = 64 * 1024 * 1024;

/** AlphaMode (RFC 9559, 5.1.4.1.28.4), which Chromium always writes and mkvinfo does not know. */
const UNKNOWN_TO_MKVINFO = /Unknown element: VideoAlphaMode; ID: 0x53c0/;

const SAME_TIME = /non monotonically increasing dts to muxer in stream \d+: (\d+) >= \1$/;

/** Runs a program; a non-zero exit code throws an error with its output. */
async function output(program, ...args) {
  const { stdout, stderr } = await run(program, args, { maxBuffer: MAX_OUTPUT });
  return { stdout, stderr };
}

/**
 * Checks a file with ffprobe, a full decode by ffmpeg, and mkvinfo unless it is an MP4; any complaint fails. Returns the
 * result of ffprobe.
 */
export async function inspect(bytes, title) {
  await mkdir(artifactsDir, { recursive: true });
  const path = join(artifactsDir, `${fileName(title)}.webm`);
  await writeFile(path, bytes);

  const probe = await output('ffprobe', '-v', 'error', '-show_format', '-show_streams', '-of', 'json', path);
  assert.equal(probe.stderr, '', `ffprobe complains about ${path}`);
  // Keeps the timestamps of frames: recorders have no fixed frame rate.
  const asIs = ['-fps_mode', 'passthrough', '-enc_time_base:v', '-1'];
  const decode = await output('ffmpeg', '-v', 'warning', '-xerror', '-i', path, ...asIs, '-f', 'null', '-');
  // Chromium rounds the timestamps of two frames within a millisecond to the same one.
  const faults = decode.stderr.split('\n').filter((line) => !SAME_TIME.test(line)).join('\n');
  assert.equal(faults, '', `decoding ${path} complains`);

  const { format, streams } = JSON.parse(probe.stdout);
  const isMatroska = format.format_name.startsWith('matroska');
  const info = isMatroska ? await output('mkvinfo', '--ui-language', 'en_US', '-v', path) : { stdout: '', stderr: '' };
  const complaints = `${info.stdout}${info.stderr}`
    .split('\n')
    .filter((line) => /error|warning|invalid|unknown element|missing|premature/i.test(line))
    .filter((line) => !UNKNOWN_TO_MKVINFO.test(line));
  assert.deepEqual(complaints, [], `mkvinfo complains about ${path}`);

  return {
    path,
    durationSeconds: Number(format.duration),
    format: format.format_name,
    video: streams.find((it) => it.codec_type === 'video'),
    audio: streams.find((it) => it.codec_type === 'audio'),
    mkvinfo: info.stdout,
  };
}

/** Presentation times of the packets of the first video or audio stream, in seconds. */
export async function packetTimes(path, kind = 'v', { onlyKeyframes = false } = {}) {
  const { stdout } = await output(
    'ffprobe', '-v', 'error', '-select_streams', `${kind}:0`, '-show_entries', 'packet=pts_time,flags', '-of', 'csv=p=0', path,
  );
  const packets = stdout.split(/\s+/).filter(Boolean).map((line) => line.split(','));
  return packets.filter(([, flags]) => !onlyKeyframes || flags.includes('K')).map(([time]) => Number(time));
}

/** Longest gap between adjacent packets, in seconds. */
export function longestGap(times) {
  let longest = 0;
  for (let i = 1; i < times.length; i += 1) longest = Math.max(longest, times[i] - times[i - 1]);
  return longest;
}

/** Mean volume in dB below full scale; silence is -91 or less. */
export async function meanVolume(path) {
  const { stderr } = await output('ffmpeg', '-hide_banner', '-i', path, '-af', 'volumedetect', '-vn', '-f', 'null', '-');
  return Number(/mean_volume: (-?[\d.]+) dB/.exec(stderr)?.[1]);
}

/** A small valid WebM file of the given duration with ffmpeg's test pattern. */
export async function sampleWebm(seconds = 2, encoder = 'libvpx') {
  const { stdout } = await run(
    'ffmpeg',
    [
      '-v', 'error', '-f', 'lavfi', '-i', `testsrc2=duration=${seconds}:size=640x360:rate=15`,
      '-c:v', encoder, '-deadline', 'realtime', '-cpu-used', '8', '-b:v', '300k', '-f', 'webm', 'pipe:1',
    ],
    { encoding: 'buffer', maxBuffer: MAX_OUTPUT },
  );
  return stdout;
}

/** A WebM stream of about 100 kB a second, as a recorder sends it: five seconds in a loop. */
export async function loopedWebm(seconds) {
  const options = { encoding: 'buffer', maxBuffer: MAX_OUTPUT };
  const part = join(artifactsDir, `five-seconds-${process.pid}.webm`);
  await mkdir(artifactsDir, { recursive: true });
  await run('ffmpeg', [
    '-v', 'error', '-y', '-f', 'lavfi', '-i', 'testsrc2=duration=5:size=640x360:rate=15',
    '-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-b:v', '800k', '-g', '75', part,
  ], options);
  const { stdout } = await run('ffmpeg', [
    '-v', 'error', '-stream_loop', '-1', '-i', part, '-t', String(seconds), '-c', 'copy', '-f', 'webm', '-live', '1', 'pipe:1',
  ], options);
  await rm(part);
  return stdout;
}

/**
 * Hours of small frames, one a second, as a recorder streams them: without index and duration. Repeats one minute, so
 * that generation is cheap.
 */
export async function longWebm(seconds) {
  const options = { encoding: 'buffer', maxBuffer: MAX_OUTPUT };
  const minute = join(artifactsDir, `minute-${process.pid}.webm`);
  await mkdir(artifactsDir, { recursive: true });
  await run('ffmpeg', [
    '-v', 'error', '-y', '-f', 'lavfi', '-i', 'testsrc2=duration=60:size=160x120:rate=1',
    '-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-b:v', '8k', '-g', '60', minute,
  ], options);
  const { stdout } = await run('ffmpeg', [
    '-v', 'error', '-stream_loop', '-1', '-i', minute, '-t', String(seconds), '-c', 'copy', '-f', 'webm', '-live', '1', 'pipe:1',
  ], options);
  await rm(minute);
  return stdout;
}

// Decodes every frame of a file, and looks for a colour.

import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { artifactsDir, fileName } from '../../browser/support/artifacts.mjs';

/** Colour of everything that a mask must hide. Nothing else in the pages of these tests resembles it. */
export const SECRET = 'rgb(255, 0, 255)';
/** Decoded colours differ by compression and by the halved resolution of colour. */
const isSecret = (red, green, blue) => red > 130 && blue > 130 && green < 110;

/** Saves a file for inspection and returns its path. */
export async function saved(bytes, title, extension = 'webm') {
  await mkdir(artifactsDir, { recursive: true });
  const path = join(artifactsDir, `${fileName(title)}.${extension}`);
  await writeFile(path, bytes);
  return path;
}

/**
 * Decodes all frames with ffmpeg, scaled to `width` × `height`, and calls `look` with the pixels of each. Returns the
 * number of frames.
 */
export async function eachFrame(path, { width, height }, look) {
  const ffmpeg = spawn('ffmpeg', [
    // The nearest pixel: scaling must not blur a secret away.
    '-v', 'error', '-i', path, '-fps_mode', 'passthrough', '-enc_time_base:v', '-1', '-vf', `scale=${width}:${height}:flags=neighbor`, '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-',
  ]);
  let complaint = '';
  ffmpeg.stderr.setEncoding('utf8').on('data', (text) => { complaint += text; });
  const frame = Buffer.alloc(width * height * 3);
  let filled = 0;
  let frames = 0;
  for await (const piece of ffmpeg.stdout) {
    for (let at = 0; at < piece.length;) {
      const copied = piece.copy(frame, filled, at);
      at += copied;
      filled += copied;
      if (filled === frame.length) {
        look(frame, frames);
        frames += 1;
        filled = 0;
      }
    }
  }
  if (complaint) throw new Error(`ffmpeg complains about ${path}: ${complaint}`);
  return frames;
}

/** Number of frames, of frames with secret pixels, the first of these, and of frames that are black as a whole. */
export async function secrets(path, size) {
  let dirty = 0;
  let first;
  let black = 0;
  const frames = await eachFrame(path, size, (pixels, number) => {
    let found = 0;
    let light = 0;
    for (let i = 0; i < pixels.length; i += 3) {
      if (isSecret(pixels[i], pixels[i + 1], pixels[i + 2])) found += 1;
      if (pixels[i] + pixels[i + 1] + pixels[i + 2] > 90) light += 1;
    }
    if (found > 0) {
      dirty += 1;
      first ??= `frame ${number} has ${found} secret pixels`;
    }
    if (light === 0) black += 1;
  });
  return { frames, dirty, first, black };
}

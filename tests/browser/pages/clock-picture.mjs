// A moving picture that encodes its own time, and the decoder. Every function is self-contained: tests also run them by
// their source in pages that load no other script.
//
// The picture has 8 × 6 cells. The middle 6 × 4 cells are black or white: 20 bits of milliseconds and 4 check bits.
// Blocks of this size survive any codec, bit rate and scaling.

/**
 * Draws on `canvas` until the page is closed. Time starts with the first frame. Returns a function that returns the
 * time of the last frame.
 */
export function startClock(canvas) {
  const context = canvas.getContext('2d', { alpha: false });
  const began = performance.now();
  let drawn = 0;
  const draw = () => {
    const { width, height } = canvas;
    const ms = Math.round(performance.now() - began);
    const [cellWidth, cellHeight] = [width / 8, height / 6];

    // Motion, so that the encoder has work.
    const hue = (ms / 20) % 360;
    context.fillStyle = `hsl(${hue} 45% 45%)`;
    context.fillRect(0, 0, width, height);
    context.fillStyle = '#fff';
    context.beginPath();
    context.arc(width * (0.5 + 0.46 * Math.sin(ms / 700)), cellHeight / 2, cellHeight / 3, 0, 7);
    context.fill();

    const bits = ms * 16 + (ms % 13);
    for (let i = 0; i < 24; i += 1) {
      context.fillStyle = Math.floor(bits / 2 ** (23 - i)) % 2 ? '#fff' : '#000';
      context.fillRect((1 + (i % 6)) * cellWidth, (1 + Math.floor(i / 6)) * cellHeight, cellWidth + 1, cellHeight + 1);
    }
    context.fillStyle = '#fff';
    context.font = `${Math.round(cellHeight * 0.6)}px sans-serif`;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.fillText(`${(ms / 1000).toFixed(2)} s`, width / 2, height - cellHeight / 2);
    drawn = ms;
    requestAnimationFrame(draw);
  };
  draw();
  return () => drawn;
}

/**
 * Seeks the video `selector` to `seconds` and decodes the time of its picture. Returns `{ms, currentTime, seekMs}`;
 * `ms` is null for an undecodable picture.
 */
export async function seekAndRead({ selector, seconds }) {
  const video = document.querySelector(selector);
  const event = (name) =>
    new Promise((resolve, reject) => {
      const tell = (what) => () => reject(new Error(`${what} instead of ${name}: ${video.error?.message ?? ''}`));
      video.addEventListener(name, resolve, { once: true });
      video.addEventListener('error', tell('error'), { once: true });
      setTimeout(tell('20 s of nothing'), 20_000);
    });
  // Before its metadata, a video only stores the position and fires no event.
  if (video.readyState < 1) await event('loadedmetadata');
  video.pause();
  const asked = performance.now();
  const shown = new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  const seeked = event('seeked');
  video.currentTime = seconds;
  await seeked;
  const seekMs = performance.now() - asked;
  // The frame of the new position may already be displayed.
  const soon = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  await Promise.race([shown, soon(1_000)]);

  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const context = canvas.getContext('2d', { willReadFrequently: true });
  // On a slow machine nothing is drawn for a while after `seeked`.
  const isDrawn = () => {
    context.drawImage(video, 0, 0);
    return context.getImageData(0, 0, 1, 1).data[3] === 255;
  };
  while (!isDrawn() && performance.now() - asked < 20_000) await soon(50);
  const [cellWidth, cellHeight] = [canvas.width / 8, canvas.height / 6];
  let bits = 0;
  let clear = true;
  for (let i = 0; i < 24; i += 1) {
    const x = (1 + (i % 6) + 0.3) * cellWidth;
    const y = (1 + Math.floor(i / 6) + 0.3) * cellHeight;
    const { data } = context.getImageData(x, y, Math.ceil(cellWidth * 0.4), Math.ceil(cellHeight * 0.4));
    let sum = 0;
    for (let p = 0; p < data.length; p += 4) sum += data[p + 1];
    const level = sum / (data.length / 4);
    if (level > 70 && level < 185) clear = false;
    bits = bits * 2 + (level > 127 ? 1 : 0);
  }
  const ms = Math.floor(bits / 16);
  const valid = clear && bits % 16 === ms % 13;
  return { ms: valid ? ms : null, currentTime: video.currentTime, seekMs };
}

/** Waits until the video `selector` knows its duration; returns it in seconds. */
export async function videoDuration({ selector }) {
  const video = document.querySelector(selector);
  if (video.readyState < 1) {
    await new Promise((resolve, reject) => {
      video.addEventListener('loadedmetadata', resolve, { once: true });
      video.addEventListener('error', () => reject(new Error(video.error?.message ?? 'video error')), { once: true });
      video.load();
    });
  }
  return video.duration;
}

/** Plays the video `selector` for this many seconds; returns the seconds that were played. */
export async function playOn({ selector, seconds, patienceMs = 30_000 }) {
  const video = document.querySelector(selector);
  video.muted = true;
  const from = video.currentTime;
  const asked = performance.now();
  await video.play();
  while (video.currentTime - from < seconds && !video.ended && performance.now() - asked < patienceMs) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  video.pause();
  return video.currentTime - from;
}

/**
 * Decodes the time of every picture that the video `selector` shows from now on. The measurements are in
 * `window.pictures`: `{ms, at}`, the decoded time and the time of display since 1970, both in milliseconds.
 */
export function watchPictures({ selector }) {
  window.pictures = [];
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const read = (video) => {
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    context.drawImage(video, 0, 0);
    const [cellWidth, cellHeight] = [canvas.width / 8, canvas.height / 6];
    let bits = 0;
    for (let i = 0; i < 24; i += 1) {
      const x = Math.floor((1.5 + (i % 6)) * cellWidth);
      const y = Math.floor((1.5 + Math.floor(i / 6)) * cellHeight);
      const level = context.getImageData(x, y, 1, 1).data[1];
      if (level > 70 && level < 185) return null;
      bits = bits * 2 + (level > 127 ? 1 : 0);
    }
    const ms = Math.floor(bits / 16);
    return bits % 16 === ms % 13 ? ms : null;
  };
  const onFrame = () => {
    const video = document.querySelector(selector);
    if (video && video.readyState >= 2) {
      const ms = read(video);
      const last = window.pictures.at(-1);
      if (ms !== null && ms !== last?.ms) window.pictures.push({ ms, at: performance.timeOrigin + performance.now() });
    }
    requestAnimationFrame(onFrame);
  };
  onFrame();
}

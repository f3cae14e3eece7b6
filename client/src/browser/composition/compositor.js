// Opens sources that the recorder does not open itself, and composes their pictures on a canvas: masks, a camera in a
// corner, devices that change. Also mixes their sound. Fetched only by pages that use it.

import { MaskHistory } from './mask_history.js';

/** Time in which the first picture of a masked source must arrive. */
const FIRST_PICTURE_MS = 10_000;
/** Age at which a frame can reach the page at most. */
const FRAME_AGE_MS = 1_000;
/** The same for a frame with a timestamp, beyond the delay of such frames that varies. */
const TIMED_FRAME_AGE_MS = 500;
/** Delay beyond the usual one at which a frame is dropped. */
const FRAME_DELAY_MS = 400;
/** Frames that wait for the positions of masked elements after them. */
const MAX_WAITING = 4;
/** Animation frames after which the page knows how far the browser had scrolled when a frame was drawn. */
const SETTLED_AFTER = 2;
/** Time for which an element that has vanished may still be shown, scrolled and animated by the browser. */
const VANISHED_MS = 1_000;
/** Time for which the browser may animate an element that the page has removed. */
const ANIMATED_ON_MS = 300;
/** Time to which a movement is ascribed at least: the page's script moves elements in no time. */
const MIN_STEP_MS = 16;
/** Time after which the picture is covered if no frame could be masked. */
const COVER_AFTER_MS = 2_000;
/** Interval at which an unchanged picture is repeated: an encoder without pictures emits no bytes. */
const REPEAT_MS = 500;
/** Painted around each masked element, for edges that are blurred by scaling, in pixels of the picture. */
const MARGIN_PX = 4;
/** Time in which the browser must let audio run. */
const AUDIO_RUNS_MS = 1_000;
const DEFAULT_FPS = 30;
const MASK_COLOUR = '#000';

/** Error with a stable `code`, and a sentence for the user. */
export class CompositionError extends Error {
  name = 'RecorderError';
  retryable = false;

  constructor(code, message, cause) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

const maskFailed = (why, cause) => new CompositionError('mask_failed', `The masks cannot be applied: ${why} Nothing is recorded.`, cause);
const regionFailed = (why, cause) => new CompositionError('region_failed', `The region cannot be recorded: ${why}`, cause);

const DENIED = {
  screen: 'Nothing was shared. Start again and choose a screen, window or tab.',
  camera: 'The camera may not be used. Allow it in the browser\'s address bar and try again.',
  microphone: 'The microphone may not be used. Allow it in the browser\'s address bar and try again.',
};

function deviceError(device, cause) {
  const { name, message } = cause;
  const codes = {
    no_device: ['NotFoundError', 'DevicesNotFoundError', 'OverconstrainedError'],
    device_busy: ['NotReadableError', 'TrackStartError', 'AbortError'],
    permission_denied: ['NotAllowedError', 'PermissionDeniedError', 'SecurityError', 'InvalidStateError'],
  };
  const [code = 'unsupported'] = Object.entries(codes).find(([, names]) => names.includes(name)) ?? [];
  const texts = {
    no_device: `This ${device} was not found. Connect one, or choose another one, and try again.`,
    device_busy: `The ${device} cannot be used. Close other programs that may be using it and try again.`,
    permission_denied: DENIED[device],
    unsupported: `This browser cannot record: ${device} capture is missing (${message}).`,
  };
  return new CompositionError(code, texts[code], cause);
}

/** Calls a method of the browser's devices. */
async function open(device, method, constraints) {
  const { mediaDevices } = navigator;
  if (!mediaDevices && !isSecureContext) {
    throw new CompositionError('insecure_context', 'Recording needs a secure connection. Open this page with https:// or from localhost.');
  }
  if (typeof mediaDevices?.[method] !== 'function') {
    throw new CompositionError('unsupported', `This browser cannot record: ${device} capture is missing.`);
  }
  try {
    return await mediaDevices[method](constraints);
  } catch (cause) {
    throw deviceError(device, cause);
  }
}

/** Returns the constraints of a picture; `bound` is `max` or `ideal`. */
function pictureConstraints({ width, height, fps }, bound, deviceId) {
  const constraints = {};
  for (const [name, value] of Object.entries({ width, height, frameRate: fps })) {
    if (value) constraints[name] = { [bound]: value };
  }
  if (deviceId) constraints.deviceId = { exact: deviceId };
  return Object.keys(constraints).length > 0 ? constraints : true;
}

const openMicrophone = ({ deviceId } = {}) =>
  open('microphone', 'getUserMedia', { audio: deviceId ? { deviceId: { exact: deviceId } } : true });

const openCamera = (size, { deviceId } = {}) =>
  open('camera', 'getUserMedia', { video: pictureConstraints(size, 'ideal', deviceId) });

const stopTracks = (stream) => stream?.getTracks().forEach((track) => track.stop());

/** Capture handle of this page, which tells whether the user chose this tab. */
let captureHandle;

function announceTab() {
  captureHandle ??= `sortie-${crypto.randomUUID()}`;
  navigator.mediaDevices.setCaptureHandleConfig({ handle: captureHandle, permittedOrigins: [location.origin] });
}

const isThisTab = (track) => track.getCaptureHandle?.()?.handle === captureHandle;

/** Returns an element given itself or by its selector. */
function elementOf(given, name) {
  let element = given;
  try {
    if (typeof given === 'string') element = document.querySelector(given);
  } catch (cause) {
    throw new TypeError(`${name} must be an element or a selector`, { cause });
  }
  if (!(element instanceof Element)) throw regionFailed(`there is no element ${given}.`);
  const { width, height } = element.getBoundingClientRect();
  if (!(width > 0 && height > 0)) throw regionFailed('the element has no size.');
  return element;
}

/** Part of a box that the window shows. */
function visible({ left, top, right, bottom }) {
  const box = { left: Math.max(left, 0), top: Math.max(top, 0) };
  return { ...box, width: Math.min(right, innerWidth) - box.left, height: Math.min(bottom, innerHeight) - box.top };
}

/** Whether an element is neither rotated nor skewed. */
function isUpright(element) {
  for (let it = element; it instanceof Element; it = it.parentElement) {
    const { transform, rotate } = getComputedStyle(it);
    if (rotate !== 'none') return false;
    if (transform === 'none') continue;
    const matrix = new DOMMatrixReadOnly(transform);
    if (!matrix.is2D || matrix.b !== 0 || matrix.c !== 0) return false;
  }
  return true;
}

/** Box of the page that shows a canvas's pixels; `null` while it cannot be mapped. */
function areaOfCanvas(canvas) {
  if (!canvas.isConnected || !isUpright(canvas)) return null;
  const { objectFit, paddingLeft, paddingTop, paddingRight, paddingBottom } = getComputedStyle(canvas);
  if (objectFit !== 'fill') return null;
  const { left, top, width, height } = canvas.getBoundingClientRect();
  const [scaleX, scaleY] = [width / canvas.offsetWidth, height / canvas.offsetHeight];
  const inner = {
    left: left + (canvas.clientLeft + parseFloat(paddingLeft)) * scaleX,
    top: top + (canvas.clientTop + parseFloat(paddingTop)) * scaleY,
    width: (canvas.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight)) * scaleX,
    height: (canvas.clientHeight - parseFloat(paddingTop) - parseFloat(paddingBottom)) * scaleY,
  };
  return inner.width > 0 && inner.height > 0 ? inner : null;
}

/** Calls a function before each animation frame, after it, and after each change of the page. */
class PageWatcher {
  #request;
  #observer;
  #channel = new MessageChannel();
  #scrolled;
  #isOver = false;

  /** `look` is told whether it is called for an animation frame. */
  constructor(look) {
    const frame = (isFrame) => {
      if (!this.#isOver) look(isFrame);
    };
    this.#channel.port1.onmessage = () => frame(false);
    const before = () => {
      if (this.#isOver) return;
      this.#request = requestAnimationFrame(before);
      frame(true);
      // Delivered after the frame, with what later callbacks have changed.
      this.#channel.port2.postMessage(null);
    };
    this.#request = requestAnimationFrame(before);
    this.#observer = new MutationObserver(() => frame(false));
    this.#observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
    this.#scrolled = () => frame(false);
    addEventListener('scroll', this.#scrolled, { capture: true, passive: true });
    frame(false);
  }

  close() {
    this.#isOver = true;
    cancelAnimationFrame(this.#request);
    this.#observer.disconnect();
    this.#channel.port1.close();
    removeEventListener('scroll', this.#scrolled, { capture: true });
  }
}

/** Finds masked elements, and those that have just vanished. */
class MaskSampler {
  #selectors;
  /** Elements with their boxes in the window, the speed of these, their ancestors, and how far these were scrolled. */
  #known = new Map();

  constructor(selectors) {
    this.#selectors = selectors;
  }

  /** Returns the boxes of the elements, relative to `area` and in units of its size. */
  sample(area, now) {
    const boxes = new Map();
    for (const element of this.#selectors.flatMap((it) => [...document.querySelectorAll(it)])) {
      // An element that is not rendered has no boxes.
      if (element.getClientRects().length === 0) continue;
      const ancestors = [];
      for (let it = element.parentElement; it; it = it.parentElement) ancestors.push(it);
      const box = boxOf(element);
      const seen = { box, ancestors, scrolled: scrolled(ancestors), at: now };
      this.#known.set(element, { ...seen, speed: speed(this.#known.get(element), seen) });
      boxes.set(element, within(area, box));
    }
    for (const [element, { box, speed: pace, ancestors, scrolled: before, at }] of this.#known) {
      if (boxes.has(element)) continue;
      if (now > at + VANISHED_MS) this.#known.delete(element);
      else {
        const [x, y] = scrolled(ancestors).map((it, i) => before[i] - it);
        const by = pace * Math.min(now - at, ANIMATED_ON_MS);
        boxes.set(element, within(area, [box[0] + x - by, box[1] + y - by, box[2] + x + by, box[3] + y + by]));
      }
    }
    return boxes;
  }
}

/** Highest recent speed of an element in pixels per millisecond, scrolling not counted. */
function speed(known, { box, scrolled: [x, y], at }) {
  if (!known || at - known.at > VANISHED_MS) return 0;
  const [fromX, fromY] = known.scrolled;
  const moved = box.map((it, i) => Math.abs(it - known.box[i] + (i % 2 === 0 ? x - fromX : y - fromY)));
  // A former speed counts less and less: halved in 200 ms.
  return Math.max(Math.max(...moved) / Math.max(at - known.at, MIN_STEP_MS), known.speed * 2 ** ((known.at - at) / 200));
}

function scrolled(ancestors) {
  return ancestors.reduce(([x, y], it) => [x + it.scrollLeft, y + it.scrollTop], [0, 0]);
}

/** Box of an element with its contents, in the window. */
function boxOf(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  const contents = range.getBoundingClientRect();
  const own = element.getBoundingClientRect();
  const boxes = contents.width > 0 && contents.height > 0 ? [own, contents] : [own];
  const least = (side) => Math.min(...boxes.map((it) => it[side]));
  const most = (side) => Math.max(...boxes.map((it) => it[side]));
  return [least('left'), least('top'), most('right'), most('bottom')];
}

/** Box relative to `area` and in units of its size. */
function within({ left, top, width, height }, box) {
  return [(box[0] - left) / width, (box[1] - top) / height, (box[2] - left) / width, (box[3] - top) / height];
}

/** Reads the frames of a video track. `onFrame` owns the frame, and closes it. */
class FrameReader {
  #track;
  #over = new AbortController();
  #reader;
  #video;

  constructor(track, onFrame, onEnd) {
    this.#track = track;
    track.addEventListener('ended', onEnd, { signal: this.#over.signal });
    // Reads in hidden pages, too, and has the time of each frame.
    if (globalThis.MediaStreamTrackProcessor) this.#process(onFrame);
    else this.#play(onFrame);
  }

  get track() { return this.#track; }

  async #process(onFrame) {
    this.#reader = new MediaStreamTrackProcessor({ track: this.#track }).readable.getReader();
    for (;;) {
      const { value, done } = await this.#reader.read().catch(() => ({ done: true }));
      if (done) return;
      const frame = {
        image: value, width: value.displayWidth, height: value.displayHeight, drawnAt: value.timestamp / 1_000,
        close: () => value.close(),
      };
      try {
        if (this.#over.signal.aborted) frame.close();
        else onFrame(frame);
      } catch {
        // It cannot be drawn, for example after the GPU process has crashed. The next one may be.
        frame.close();
      }
    }
  }

  #play(onFrame) {
    const video = Object.assign(document.createElement('video'), { muted: true, playsInline: true, srcObject: new MediaStream([this.#track]) });
    this.#video = video;
    video.play().catch(() => {});
    let last = 0;
    const take = () => {
      if (this.#over.signal.aborted) return;
      const { videoWidth: width, videoHeight: height } = video;
      last = performance.now();
      if (!width || !height) return;
      // A copy, because the element shows the next frame while this one waits.
      const copy = new OffscreenCanvas(width, height);
      copy.getContext('2d', { alpha: false }).drawImage(video, 0, 0);
      onFrame({ image: copy, width, height, close() {} });
    };
    const shown = () => {
      take();
      if (!this.#over.signal.aborted) video.requestVideoFrameCallback(shown);
    };
    video.requestVideoFrameCallback(shown);
    // Hidden pages have no callbacks of frames.
    const timer = setInterval(() => document.hidden && performance.now() - last > 900 && take(), 1_000);
    this.#over.signal.addEventListener('abort', () => clearInterval(timer));
  }

  close() {
    this.#over.abort();
    this.#reader?.cancel().catch(() => {});
    if (this.#video) this.#video.srcObject = null;
  }
}

/** Mixes the source's sound and a microphone into one track. */
class AudioMixer {
  #context = new AudioContext();
  #destination = this.#context.createMediaStreamDestination();
  /** Streams with their nodes. Firefox stops feeding the graph when these are garbage collected. */
  #nodes = new Map();

  constructor() {
    this.#context.resume().catch(() => {});
  }

  get track() { return this.#destination.stream.getAudioTracks()[0]; }

  add(stream) {
    const node = this.#context.createMediaStreamSource(stream);
    node.connect(this.#destination);
    this.#nodes.set(stream, node);
  }

  remove(stream) {
    this.#nodes.get(stream)?.disconnect();
    this.#nodes.delete(stream);
  }

  /** Whether it runs. Browsers may suspend audio until the user has clicked on the page. */
  async runs() {
    const late = new Promise((resolve) => { setTimeout(resolve, AUDIO_RUNS_MS, false); });
    return Promise.race([this.#context.resume().then(() => true, () => false), late]);
  }

  close() {
    this.#context.close().catch(() => {});
  }
}

/** Paints frames with masks, and a camera, on a canvas. */
class Painter {
  #canvas = document.createElement('canvas');
  #context = this.#canvas.getContext('2d', { alpha: false });
  /** Masked picture without the camera. The same canvas if there is no camera. */
  #base = this.#canvas;
  #baseContext = this.#context;
  #limits;
  #keepsSize;
  /** Left, top, width and height of the frame on the canvas. */
  #place = [0, 0, 0, 0];
  #bubble;
  #cameraFrame;
  #paintedAt = 0;
  #stream;
  #fps;

  constructor({ width, height, fps, keepsSize }, bubble) {
    this.#limits = { width, height };
    this.#keepsSize = keepsSize;
    this.#fps = fps ?? DEFAULT_FPS;
    this.#bubble = bubble;
    if (bubble) {
      this.#base = document.createElement('canvas');
      this.#baseContext = this.#base.getContext('2d', { alpha: false });
    }
  }

  /** Track of the canvas. First called when it has its size, which encoders take from their first picture. */
  get track() {
    this.#stream ??= this.#canvas.captureStream(this.#fps);
    return this.#stream.getVideoTracks()[0];
  }

  /** Paints a frame, and `boxes` over it before anything can see it. */
  paint(frame, boxes) {
    const isFirst = this.#place[2] === 0;
    if (isFirst || !this.#keepsSize) this.#fit(frame);
    else this.#fitInto(frame);
    this.#baseContext.drawImage(frame.image, ...this.#place);
    this.cover(boxes);
  }

  /** Gives the canvas the size of a frame, within the limits. */
  #fit(frame) {
    const { width, height } = this.#limits;
    const scale = Math.min(1, (width ?? Infinity) / frame.width, (height ?? Infinity) / frame.height);
    // Encoders need even sizes.
    const even = (length) => Math.max(2, 2 * Math.round((length * scale) / 2));
    this.#resize(even(frame.width), even(frame.height));
    this.#place = [0, 0, this.#base.width, this.#base.height];
  }

  /** Places a frame in the middle of the canvas. */
  #fitInto(frame) {
    const { width, height } = this.#base;
    const scale = Math.min(width / frame.width, height / frame.height);
    const [w, h] = [frame.width * scale, frame.height * scale];
    this.#place = [(width - w) / 2, (height - h) / 2, w, h];
    this.#baseContext.fillStyle = MASK_COLOUR;
    this.#baseContext.fillRect(0, 0, width, height);
  }

  /** Paints boxes over the picture; without an argument, over all of it. */
  cover(boxes = [[0, 0, 1, 1]]) {
    const [x, y, width, height] = this.#place;
    this.#baseContext.fillStyle = MASK_COLOUR;
    for (const [left, top, right, bottom] of boxes) {
      this.#baseContext.fillRect(
        x + left * width - MARGIN_PX, y + top * height - MARGIN_PX,
        (right - left) * width + 2 * MARGIN_PX, (bottom - top) * height + 2 * MARGIN_PX,
      );
    }
    this.#show();
  }

  /** Shows a frame of the camera from now on; `undefined` removes the camera. */
  showCamera(frame) {
    this.#cameraFrame?.close();
    this.#cameraFrame = frame;
    if (this.#paintedAt > 0) this.#show();
  }

  /** Repeats the picture if it has not changed for some time. */
  repeat() {
    if (this.#paintedAt === 0 || performance.now() - this.#paintedAt < REPEAT_MS - 50) return;
    if (this.#bubble) return this.#show();
    refresh(this.#canvas);
    this.#paintedAt = performance.now();
  }

  #resize(width, height) {
    for (const canvas of new Set([this.#base, this.#canvas])) {
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    }
  }

  #show() {
    this.#paintedAt = performance.now();
    if (!this.#bubble) return;
    const { width, height } = this.#canvas;
    const context = this.#context;
    context.drawImage(this.#base, 0, 0);
    const camera = this.#cameraFrame;
    if (!camera) return;
    const { corner, size, shape } = this.#bubble;
    const margin = 0.03 * Math.min(width, height);
    const boxHeight = size * Math.min(width, height);
    const boxWidth = shape === 'circle' ? boxHeight : (boxHeight * camera.width) / camera.height;
    const left = corner.endsWith('left') ? margin : width - margin - boxWidth;
    const top = corner.startsWith('top') ? margin : height - margin - boxHeight;
    context.save();
    context.beginPath();
    if (shape === 'circle') context.arc(left + boxWidth / 2, top + boxHeight / 2, boxHeight / 2, 0, 2 * Math.PI);
    else context.rect(left, top, boxWidth, boxHeight);
    context.clip();
    // The middle of the camera's picture.
    const part = Math.min(camera.width, (camera.height * boxWidth) / boxHeight);
    context.drawImage(camera.image, (camera.width - part) / 2, 0, part, camera.height, left, top, boxWidth, boxHeight);
    context.restore();
  }

  close() {
    this.#cameraFrame?.close();
    stopTracks(this.#stream);
  }
}

const BUBBLE = { corner: 'bottom-right', size: 0.25, shape: 'circle' };

/** Reason of the end of each source. */
const END_REASONS = { screen: 'sharing_ended', camera: 'device_lost' };

/** Options of devices may be `true`. */
const detailsOf = (choice) => (typeof choice === 'object' && choice !== null ? choice : {});

/** Open sources as one stream. `onWarning` is called with a code and a message. */
class Composition {
  #options;
  #onWarning;
  #over = new AbortController();
  /** Streams that are stopped in the end. */
  #owned = new Set();
  #main;
  #reader;
  #painter;
  #mixer;
  #microphone;
  #camera;
  #cameraReader;
  #selectors;
  #rectangles;
  #sampler;
  #history;
  #watcher;
  #openedAt = 0;
  #waiting = [];
  #usualDelay = Infinity;
  #isBlocked = false;
  #settledAt = 0;
  #settled;
  stream;

  constructor(options, onWarning) {
    this.#options = options;
    this.#onWarning = onWarning;
    const { masks = [] } = options;
    this.#selectors = masks.filter((it) => typeof it === 'string');
    this.#rectangles = masks.filter((it) => typeof it !== 'string');
  }

  get #hasMasks() { return this.#selectors.length + this.#rectangles.length > 0; }
  get #region() { return this.#options.cropTo ?? this.#options.restrictTo ?? undefined; }
  /** Whether positions in the page are mapped to the picture. */
  get #isMapped() {
    return this.#selectors.length > 0 || (this.#options.source === 'screen' && this.#rectangles.length > 0);
  }

  async open() {
    try {
      this.#check();
      await this.#openMain();
      const [video, audio] = [await this.#openPicture(), await this.#openAudio()];
      this.stream = new MediaStream([video, audio].filter(Boolean));
      const hint = this.#options.contentHint ?? (this.#options.source === 'screen' ? 'detail' : undefined);
      if (hint !== undefined && video) video.contentHint = hint;
      return this;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Rejects what cannot work, before the user is asked for anything. */
  #check() {
    const { source } = this.#options;
    for (const selector of this.#selectors) {
      try {
        document.querySelector(selector);
      } catch (cause) {
        throw maskFailed(`${selector} is no selector.`, cause);
      }
    }
    // The browser moves elements of a tab before the page can know it.
    if (this.#selectors.length > 0 && !(source instanceof HTMLCanvasElement)) {
      throw maskFailed('selectors need a canvas of the page.');
    }
    if (source === 'screen' && (this.#hasMasks || this.#region)) {
      const failed = this.#region ? regionFailed : maskFailed;
      if (typeof navigator.mediaDevices?.setCaptureHandleConfig !== 'function') throw failed('this browser cannot capture the page\'s own tab.');
      if (!this.#region && window.top !== window) throw failed('the page is in a frame of another one.');
      const target = this.#options.restrictTo ? 'RestrictionTarget' : 'CropTarget';
      if (this.#region && !globalThis[target]) throw failed(`this browser lacks ${target}.`);
    }
    if (this.#region) elementOf(this.#region, this.#options.cropTo ? 'cropTo' : 'restrictTo');
  }

  async #openMain() {
    const { source } = this.#options;
    // Sampling begins before the first frame can be drawn.
    if (this.#isMapped) this.#watch();
    if (source === 'screen') this.#main = await this.#openScreen();
    else if (source === 'camera') this.#main = await openCamera(this.#options, detailsOf(this.#options.camera));
    else if (source instanceof HTMLCanvasElement) this.#main = captureCanvas(source, this.#options.fps);
    else this.#main = source;
    if (this.#main !== source) this.#owned.add(this.#main);
    if (this.#over.signal.aborted) throw new CompositionError('aborted', 'The recording was discarded.');
    if (!this.#main.getTracks().some((it) => it.readyState === 'live')) {
      throw new CompositionError('no_tracks', 'There is nothing to record: the stream has no live picture. Choose the source again.');
    }
  }

  async #openScreen() {
    const { audio = false, preferCurrentTab = false } = this.#options;
    const needsTab = this.#hasMasks || this.#region !== undefined;
    if (needsTab && window.top === window) announceTab();
    const stream = await open('screen', 'getDisplayMedia', {
      video: pictureConstraints(this.#options, 'max'),
      audio,
      preferCurrentTab: needsTab || preferCurrentTab,
      systemAudio: audio ? 'include' : 'exclude',
      selfBrowserSurface: needsTab || preferCurrentTab ? 'include' : undefined,
      // Masks and regions are those of this tab.
      surfaceSwitching: needsTab ? 'exclude' : 'include',
    });
    this.#owned.add(stream);
    if (audio && stream.getAudioTracks().length === 0) {
      this.#warn('no_shared_audio', 'Recording continues without sound: none was shared. Tick “share audio” when choosing what to share.');
    }
    if (needsTab) await this.#useTab(stream.getVideoTracks()[0]);
    return stream;
  }

  async #useTab(track) {
    const { cropTo, restrictTo } = this.#options;
    if (this.#region) {
      // Only a capture of this tab accepts an element of it.
      try {
        if (cropTo) await track.cropTo(await CropTarget.fromElement(elementOf(cropTo, 'cropTo')));
        else await track.restrictTo(await RestrictionTarget.fromElement(elementOf(restrictTo, 'restrictTo')));
      } catch (cause) {
        if (cause instanceof CompositionError) throw cause;
        throw regionFailed('choose this tab when you are asked what to share.', cause);
      }
    } else if (!isThisTab(track)) {
      throw maskFailed('choose this tab when you are asked what to share.');
    }
  }

  /** Box of the page that the picture shows; `null` while it is unknown. */
  #area() {
    const { source } = this.#options;
    if (source instanceof HTMLCanvasElement) return areaOfCanvas(source);
    // Zoomed by a gesture, the tab shows another part of the page.
    if ((globalThis.visualViewport?.scale ?? 1) !== 1) return null;
    const track = this.#main?.getVideoTracks()[0];
    if (!this.#region) return track && !isThisTab(track) ? null : { left: 0, top: 0, width: innerWidth, height: innerHeight };
    const element = typeof this.#region === 'string' ? document.querySelector(this.#region) : this.#region;
    const area = element?.isConnected ? visible(element.getBoundingClientRect()) : null;
    return area && area.width > 0 && area.height > 0 ? area : null;
  }

  #watch() {
    this.#sampler = new MaskSampler(this.#selectors);
    // Only the page's script moves a canvas's content.
    this.#history = new MaskHistory({ movesByItself: this.#options.source === 'screen' });
    this.#watcher = new PageWatcher((isFrame) => this.#look(isFrame));
    // After the first sample.
    this.#openedAt = performance.now();
  }

  /** Samples the positions of the masked elements. */
  #look(isFrame) {
    const now = performance.now();
    const area = this.#area();
    const boxes = area ? this.#sampler.sample(area, now) : new Map();
    const isNew = this.#history.add(now, { area, boxes });
    // A canvas does not change with the page: what it shows is covered from now on.
    if (isNew && this.#painter && this.#options.source instanceof HTMLCanvasElement) this.#coverCanvas(area, boxes);
    if (isFrame) {
      for (const frame of this.#waiting) frame.samples += 1;
    }
    this.#release(now);
  }

  #coverCanvas(area, boxes) {
    if (area) this.#painter.cover([...boxes.values()]);
    else this.#painter.cover();
    refresh(this.#options.source);
  }

  async #openPicture() {
    const [track] = this.#main.getVideoTracks();
    if (!track) {
      if (this.#hasMasks) throw maskFailed('the source has no picture.');
      return undefined;
    }
    const { source, width, height, camera, keepsSize } = this.#options;
    const isScaled = keepsSize || ((width || height) && source !== 'screen' && source !== 'camera');
    const hasBubble = Boolean(camera) && source !== 'camera';
    if (!this.#hasMasks && !hasBubble && !isScaled && !camera) return track;
    this.#painter = new Painter(this.#options, hasBubble ? { ...BUBBLE, ...detailsOf(camera) } : undefined);
    if (hasBubble) await this.#openBubble(camera);
    const settled = new Promise((resolve) => { this.#settled = resolve; });
    this.#read(track);
    if (source instanceof HTMLCanvasElement) refresh(source);
    const timer = setTimeout(this.#settled, FIRST_PICTURE_MS, false);
    const hasPicture = await settled;
    clearTimeout(timer);
    if (!hasPicture) throw this.#hasMasks ? maskFailed('no picture could be masked.') : new CompositionError('no_tracks', 'The source shows no picture. Choose it again.');
    const repeating = setInterval(() => this.tick(), REPEAT_MS);
    this.#over.signal.addEventListener('abort', () => clearInterval(repeating));
    return this.#painter.track;
  }

  #read(track) {
    this.#reader?.close();
    this.#reader = new FrameReader(track, (frame) => this.#take(frame), () => this.#ended());
  }

  /** Takes a frame of the main source. */
  #take(frame) {
    const now = performance.now();
    if (!this.#isMapped) {
      this.#paint(frame, this.#boxesOfPixels(frame));
      return;
    }
    const delay = frame.drawnAt === undefined ? 0 : now - frame.drawnAt;
    this.#usualDelay = Math.min(this.#usualDelay, delay);
    const isLate = frame.drawnAt !== undefined && delay - this.#usualDelay > FRAME_DELAY_MS;
    // Not earlier than this: the least delay of all frames contains at most the variable part.
    const from = frame.drawnAt === undefined ? now - FRAME_AGE_MS : frame.drawnAt + this.#usualDelay - TIMED_FRAME_AGE_MS;
    if (isLate || this.#waiting.length >= MAX_WAITING) frame.close();
    else this.#waiting.push({ ...frame, from: Math.max(from, this.#openedAt), samples: 0 });
    // Hidden pages have no animation frames, and the browser moves nothing in them.
    if (document.hidden && this.#options.source instanceof HTMLCanvasElement) this.#lookHidden();
  }

  #lookHidden() {
    for (const frame of this.#waiting) frame.samples = SETTLED_AFTER;
    this.#look(false);
  }

  /** Paints the frames whose masks are known. */
  #release(now) {
    while (this.#waiting[0]?.samples >= SETTLED_AFTER) {
      const frame = this.#waiting.shift();
      const covering = this.#history.covering(frame.from, now, frame);
      if (covering) this.#paint(frame, [...covering.boxes, ...this.#boxesOfPage(covering.areas, frame)]);
      else frame.close();
    }
  }

  #paint(frame, boxes) {
    this.#painter.paint(frame, boxes);
    frame.close();
    this.#settledAt = performance.now();
    this.#isBlocked = false;
    this.#settled?.(true);
  }

  /** Rectangles in pixels of the source. */
  #boxesOfPixels({ width, height }) {
    return this.#rectangles.map((it) => [it.x / width, it.y / height, (it.x + it.width) / width, (it.y + it.height) / height]);
  }

  /** Rectangles in pixels of the canvas, or in CSS pixels of the tab or region. */
  #boxesOfPage(areas, frame) {
    if (this.#options.source instanceof HTMLCanvasElement) return this.#boxesOfPixels(frame);
    return areas.flatMap((area) => this.#boxesOfPixels(area));
  }

  /** Repeats an unchanged picture, and covers one that cannot be masked. Called at least twice a second. */
  tick() {
    if (!this.#painter || this.#over.signal.aborted) return;
    const { source } = this.#options;
    if (source instanceof HTMLCanvasElement) {
      refresh(source);
      if (document.hidden && this.#waiting.length > 0) this.#lookHidden();
    }
    // A page whose positions are unknown, or frames that are dropped.
    const isUnknown = this.#isMapped && this.#area() === null;
    const isStuck = isUnknown || (this.#waiting.length > 0 && performance.now() - this.#settledAt > COVER_AFTER_MS);
    if (this.#isMapped && isStuck && !this.#isBlocked) {
      this.#isBlocked = true;
      this.#painter.cover();
      this.#warn('mask_blocked', 'The picture is black because the masks cannot be applied just now. It returns when they can.');
    } else this.#painter.repeat();
  }

  async #openBubble(choice) {
    try {
      await this.#useCamera(choice);
    } catch (error) {
      this.#warn('no_camera', `Recording continues without the camera. ${error.message}`);
    }
  }

  async #useCamera(choice) {
    const stream = await openCamera({ fps: this.#options.fps }, detailsOf(choice));
    if (this.#over.signal.aborted) return stopTracks(stream);
    this.#removeCamera();
    this.#camera = stream;
    this.#owned.add(stream);
    this.#cameraReader = new FrameReader(stream.getVideoTracks()[0], (frame) => this.#painter.showCamera(frame), () => {
      this.#removeCamera();
      this.#warn('camera_ended', 'The camera has ended. Recording continues without it.');
    });
  }

  #removeCamera() {
    this.#cameraReader?.close();
    this.#painter.showCamera(undefined);
    this.#drop(this.#camera);
    this.#camera = undefined;
  }

  async #openAudio() {
    const { microphone } = this.#options;
    const own = this.#main.getAudioTracks();
    for (const track of own) {
      track.addEventListener('ended', () => this.#warn('audio_ended', 'The sound has ended. Recording continues without it.'), { signal: this.#over.signal });
    }
    if (!microphone) return own[0];
    try {
      this.#microphone = this.#watchMicrophone(await openMicrophone(detailsOf(microphone)));
    } catch (error) {
      this.#warn('no_microphone', `Recording continues without the microphone. ${error.message}`);
      return own[0];
    }
    this.#mixer = new AudioMixer();
    if (own.length > 0) this.#mixer.add(new MediaStream(own));
    this.#mixer.add(this.#microphone);
    if (own.length > 0 || (await this.#mixer.runs())) return this.#mixer.track;
    // A microphone alone needs no mixer, which the browser does not let run here.
    this.#mixer.close();
    this.#mixer = undefined;
    return this.#microphone.getAudioTracks()[0];
  }

  #watchMicrophone(stream) {
    this.#owned.add(stream);
    stream.getAudioTracks()[0].addEventListener('ended', () => {
      if (stream === this.#microphone) this.#warn('audio_ended', 'The microphone has ended. Recording continues without it.');
    }, { signal: this.#over.signal });
    return stream;
  }

  /** Changes devices. A device that cannot be opened rejects, and the former one continues. */
  async switchDevices({ microphone, camera }) {
    if (microphone !== undefined) await this.#switchMicrophone(microphone);
    if (camera !== undefined) await this.#switchCamera(camera);
  }

  async #switchMicrophone(choice) {
    if (!this.#mixer) throw new CompositionError('wrong_state', 'This recording has no microphone that could be changed: start it with the option microphone.');
    const next = choice ? this.#watchMicrophone(await openMicrophone(detailsOf(choice))) : undefined;
    if (this.#over.signal.aborted) return stopTracks(next);
    const former = this.#microphone;
    this.#microphone = next;
    if (next) this.#mixer.add(next);
    if (former) this.#mixer.remove(former);
    this.#drop(former);
  }

  async #switchCamera(choice) {
    const { source, camera } = this.#options;
    if (!camera) throw new CompositionError('wrong_state', 'This recording has no camera that could be changed: start it with the option camera.');
    if (source !== 'camera') return choice ? this.#useCamera(choice) : this.#removeCamera();
    const next = await openCamera(this.#options, detailsOf(choice));
    if (this.#over.signal.aborted) return stopTracks(next);
    const former = this.#main;
    this.#main = next;
    this.#owned.add(next);
    this.#read(next.getVideoTracks()[0]);
    this.#drop(former);
  }

  #drop(stream) {
    stopTracks(stream);
    this.#owned.delete(stream);
  }

  #warn(code, message) {
    if (!this.#over.signal.aborted) this.#onWarning(code, message);
  }

  /** Reason why the recording stops when the source ends. */
  get endReason() { return END_REASONS[this.#options.source] ?? 'track_ended'; }

  /** Ends the picture. A track that is stopped fires no event. */
  #ended() {
    if (this.#over.signal.aborted) return;
    const { track } = this.#painter;
    track.stop();
    track.dispatchEvent(new Event('ended'));
  }

  /** Stops what was opened here. */
  close() {
    if (this.#over.signal.aborted) return;
    this.#over.abort();
    this.#watcher?.close();
    this.#reader?.close();
    this.#cameraReader?.close();
    this.#waiting.splice(0).forEach((it) => it.close());
    this.#painter?.close();
    this.#mixer?.close();
    this.#owned.forEach(stopTracks);
  }
}

function captureCanvas(canvas, fps) {
  if (typeof canvas.captureStream !== 'function') {
    throw new CompositionError('unsupported', 'This browser cannot record: canvas.captureStream is missing.');
  }
  try {
    return canvas.captureStream(fps ?? DEFAULT_FPS);
  } catch (cause) {
    if (cause.name !== 'SecurityError') throw new CompositionError('unsupported', `This browser cannot record: ${cause.message}`, cause);
    const text = 'The canvas cannot be recorded because it shows pictures from another site. Load them with CORS.';
    throw new CompositionError('tainted_canvas', text, cause);
  }
}

/** Makes an unchanged canvas emit a frame: draws a transparent pixel. */
function refresh(canvas) {
  const context = canvas.getContext('2d');
  if (!context) return;
  context.save();
  context.resetTransform();
  context.fillStyle = 'transparent';
  context.fillRect(0, 0, 1, 1);
  context.restore();
}

/** Opens the sources of `options`. */
export const compose = (options, onWarning) => new Composition(options, onWarning).open();

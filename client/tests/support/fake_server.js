// Fake server inside the page: our REST routes and a tus 1.0 server in place of window.fetch and of the worker's requests.
// It refuses every request that a real server refuses.

const TUS = { 'tus-resumable': '1.0.0' };
const realFetch = window.fetch;
const realPost = Worker.prototype.postMessage;

/** Returns the answer of the recorder's worker to a request. */
function ask(worker, id, ...request) {
  return new Promise((resolve) => {
    worker.addEventListener('message', function heard({ data }) {
      const answer = data.find((it) => it[0] === id);
      if (!answer) return;
      worker.removeEventListener('message', heard);
      resolve(answer[1]);
    });
    realPost.call(worker, [id, ...request]);
  });
}

/** State of one server. */
export class FakeServer {
  constructor() {
    this.log = [];
    this.bytes = new Uint8Array();
    this.length = null;
    this.deleted = false;
    this.signedIn = true;
    this.startProblem = null;
    this.faults = [];
    /** Whether every body needs a checksum. */
    this.strict = true;
    this.tee = [];
    /** Chunks of each encoder. */
    this.tees = [];
    /** Contents of earlier recordings; `continues` of each start. */
    this.before = [];
    this.continued = [];
    this.silence = 600;
    this.busy = 0;
    this.stopped = false;
    this.count = 0;
    this.auth = [];
    window.fetch = (url, init) => this.#answer(String(url), init ?? {});
    const uploads = new Map();
    const answer = (...request) => this.#answerWorker(uploads, ...request);
    Worker.prototype.postMessage = function post(message, ...rest) {
      const [id, name, ...request] = message;
      if (name === 'send') answer(this, id, ...request);
      else if (name === 'cancel') uploads.get(request[0])?.abort();
      else realPost.call(this, message, ...rest);
    };
    this.#teeRecorders();
  }

  /** Restores the page. */
  close() {
    window.fetch = realFetch;
    Worker.prototype.postMessage = realPost;
    window.MediaRecorder = this.realRecorder;
  }

  /** Returns the encoder's output, which the server must hold at the end. */
  async recorded() {
    return new Uint8Array(await new Blob(this.tee).arrayBuffer());
  }

  /** Makes the next PATCH fail: 'network', 'cut' (half of it is stored, without an answer), or a status. */
  fault(what) {
    this.faults.push(what);
  }

  #teeRecorders() {
    const { tee, tees } = this;
    const fake = this;
    this.realRecorder = window.MediaRecorder;
    window.MediaRecorder = class extends this.realRecorder {
      constructor(...args) {
        super(...args);
        const own = [];
        tees.push(own);
        this.addEventListener('dataavailable', (event) => {
          const { data } = event;
          if (fake.splitsFirst && own.length === 0 && data.size > 1) {
            event.stopImmediatePropagation();
            for (const part of [data.slice(0, 1), data.slice(1)]) this.dispatchEvent(new BlobEvent('dataavailable', { data: part }));
            return;
          }
          tee.push(data);
          own.push(data);
        });
      }
    };
  }

  /** Answers a request that the recorder gives to its worker. */
  async #answerWorker(uploads, worker, id, url, { parts, hasChecksum, headers, ...init }) {
    const controller = new AbortController();
    uploads.set(id, controller);
    let result;
    try {
      const body = parts && await ask(worker, `body ${id}`, 'blob', parts);
      if (body && hasChecksum) headers.push(['upload-checksum', await checksum(await body.arrayBuffer())]);
      const answer = await this.#answer(url, { ...init, headers, body, signal: controller.signal });
      result = [[answer.status, Object.fromEntries(answer.headers), await answer.text()]];
    } catch (error) {
      result = [undefined, error.name];
    }
    worker.dispatchEvent(new MessageEvent('message', { data: [[id, ...result]] }));
  }

  async #answer(url, { method = 'GET', headers, body, signal, keepalive }) {
    const path = new URL(url, location.href).pathname;
    const sent = new Headers(headers);
    const offset = sent.get('upload-offset');
    const length = sent.get('upload-length');
    this.log.push([method, path, offset && `@${offset}`, length && `=${length}`].filter(Boolean).join(' '));
    this.auth.push(sent.get('authorization') ?? '');
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (signal?.aborted) throw new DOMException('aborted', 'AbortError');

    if (path === '/api/auth/refresh') {
      if (this.signedIn !== 'never') this.signedIn = true;
      return new Response(null, { status: this.signedIn === true ? 200 : 401 });
    }
    if (this.signedIn !== true) return new Response('{}', { status: 401, headers: TUS });
    if (path.startsWith('/api/') && !path.startsWith('/api/uploads')) return this.#api(path, body, signal);
    if (sent.get('tus-resumable') !== '1.0.0') return new Response(null, { status: 412, headers: TUS });
    return this.#tus(method, sent, body, keepalive, path === '/api/uploads');
  }

  #api(path, body, signal) {
    const json = (status, value) => new Response(late(JSON.stringify(value), signal), { status });
    if (path === '/api/sessions') {
      const { app_id } = JSON.parse(body);
      return json(201, {
        id: 's 1', user_id: 'u', app_id, status: 'running', recording_policy: '', created_at: '2026-01-01T00:00:00Z',
      });
    }
    if (path === '/api/sessions/s%201/recording/start') {
      if (this.busy > 0) {
        this.busy -= 1;
        return new Response('{}', { status: 429, headers: { 'retry-after': '1' } });
      }
      if (this.closed || this.length !== null) {
        this.before.push(this.bytes);
        Object.assign(this, { closed: false, bytes: new Uint8Array(), length: null });
      }
      if (this.startProblem) return json(this.startProblem.status, this.startProblem);
      this.count += 1;
      this.continued.push(JSON.parse(body).continues ?? '');
      const id = `r${this.count}`;
      return json(201, {
        recording_id: id, status: 'recording', upload_url: `/files/${id}`, max_size_bytes: 500_000_000,
        silence_seconds: this.silence,
      });
    }
    if (path === '/api/sessions/s%201/recording/stop') {
      const known = /^r\d$/.test(JSON.parse(body).recording_id);
      return known ? json(200, { status: 'uploading' }) : json(400, {});
    }
    if (/^\/api\/recordings\/r\d+\/markers$/.test(path)) return json(201, JSON.parse(body));
    return json(404, {});
  }

  async #tus(method, sent, body, keepalive, isOurs) {
    const told = this.stopped ? { ...TUS, 'sortie-stopped': '1' } : TUS;
    const answer = (status, headers = {}) => new Response(null, { status, headers: { ...told, ...headers } });
    const offset = () => ({ 'upload-offset': String(this.bytes.length) });
    if (method === 'POST') {
      // Checksums are required from senders to our server only.
      if (!isOurs) this.strict = false;
      if (sent.get('upload-defer-length') !== '1') return answer(400);
      this.metadata = sent.get('upload-metadata');
      return answer(201, { location: isOurs ? '/api/uploads/r1' : 'files/r1' });
    }
    if (this.deleted || this.closed || this.closesAll) return answer(410);
    if (method === 'HEAD') {
      return answer(200, this.length === null
        ? { ...offset(), 'upload-defer-length': '1' }
        : { ...offset(), 'upload-length': String(this.length) });
    }
    if (method === 'DELETE') {
      this.deleted = true;
      return answer(204);
    }
    if (method !== 'PATCH' || sent.get('content-type') !== 'application/offset+octet-stream') return answer(415);
    if (!(body instanceof Blob)) return answer(400);
    if (Number(sent.get('upload-offset')) !== this.bytes.length) return answer(409);
    const fault = this.faults.shift();
    if (fault === 'network') throw new TypeError('Failed to fetch');
    if (typeof fault === 'number') return answer(fault);
    const chunk = new Uint8Array(await body.arrayBuffer());
    const sum = sent.get('upload-checksum');
    // A page that is being closed has no time to compute a checksum.
    const needed = this.strict && chunk.length > 0 && !keepalive;
    if (sum ? sum !== await checksum(chunk) : needed) return answer(460);
    this.#store(fault === 'cut' ? chunk.subarray(0, chunk.length / 2) : chunk);
    if (fault === 'cut') throw new TypeError('Failed to fetch');
    if (sent.has('upload-length')) this.length = Number(sent.get('upload-length'));
    return answer(204, offset());
  }

  #store(chunk) {
    const bytes = new Uint8Array(this.bytes.length + chunk.length);
    bytes.set(this.bytes);
    bytes.set(chunk, this.bytes.length);
    this.bytes = bytes;
  }

  // wasm-bindgen reads fields through these methods.
  requests() { return this.log; }
  stored() { return this.bytes; }
  declared() { return this.length ?? undefined; }
  uploadMetadata() { return this.metadata; }
  isDeleted() { return this.deleted; }
  authorizations() { return this.auth; }
  /** Returns the output of encoder `number`. */
  async encoded(number) {
    return new Uint8Array(await new Blob(this.tees[number] ?? []).arrayBuffer());
  }
  partsBefore() { return this.before; }
  continues() { return this.continued; }
  setSilence(seconds) { this.silence = seconds; }
  answerBusy(times) { this.busy = times; }
  /** Ends every upload before it accepts a byte. */
  closeEveryUpload() { this.closesAll = true; }
  stopRecording() { this.stopped = true; }
  signInAgain() { this.signedIn = true; }
  expireSignIn(forGood) { this.signedIn = forGood ? 'never' : false; }
  /** Finishes the recording without the sender's remaining bytes; a new recording can begin. */
  closeUpload() { this.closed = true; }
  /** Makes the first chunk of each encoder a single byte, as busy browsers do. */
  splitFirstChunk() { this.splitsFirst = true; }
  refuseStart(status, detail) {
    const code = status === 403 ? 'forbidden' : 'session_not_running';
    this.startProblem = { status, detail, code, type: `urn:sortie:problem:${code}`, title: 'Refused' };
  }
}

async function checksum(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return `sha256 ${btoa(String.fromCharCode(...digest))}`;
}

/** Returns a body that arrives after the headers, unless the request is aborted before. */
function late(text, signal) {
  return new ReadableStream({
    async start(controller) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (signal?.aborted) return controller.error(new DOMException('aborted', 'AbortError'));
      controller.enqueue(new TextEncoder().encode(text));
      controller.close();
    },
  });
}

/** Canvas that is repainted continuously if `moving`. */
export class TestCanvas {
  constructor(moving) {
    this.canvas = document.createElement('canvas');
    this.canvas.width = 320;
    this.canvas.height = 180;
    const context = this.canvas.getContext('2d', { alpha: false });
    let step = 0;
    const paint = () => {
      step += 1;
      context.fillStyle = `hsl(${step * 7} 80% 50%)`;
      context.fillRect(0, 0, 320, 180);
      context.fillStyle = 'white';
      context.fillText(`step ${step}`, step % 300, 90);
    };
    paint();
    if (moving) this.timer = setInterval(paint, 30);
  }

  /** Paints noise, which makes a large recording. */
  paintNoise() {
    const context = this.canvas.getContext('2d', { alpha: false });
    const image = context.createImageData(320, 180);
    const pixels = new Uint32Array(image.data.buffer);
    this.timer = setInterval(() => {
      for (let at = 0; at < pixels.length; at += 1) pixels[at] = Math.random() * 0x1000000 | 0xff000000;
      context.putImageData(image, 0, 0);
    }, 30);
  }

  element() { return this.canvas; }
  close() { clearInterval(this.timer); }
}

/** Makes getUserMedia or getDisplayMedia fail until the returned function is called. */
export function refuse(method, name) {
  const devices = navigator.mediaDevices;
  devices[method] = () => Promise.reject(new DOMException('no', name));
  return () => delete devices[method];
}

/** Unplugs the device of a track. */
export function unplug(track) {
  track.stop();
  track.dispatchEvent(new Event('ended'));
}

export function camera(audio) {
  return navigator.mediaDevices.getUserMedia({ video: true, audio });
}

export function bytesOf(blob) {
  return blob.arrayBuffer().then((buffer) => new Uint8Array(buffer));
}

export function leavePage() {
  window.dispatchEvent(new Event('pagehide'));
}

export function goOffline(offline) {
  window.dispatchEvent(new Event(offline ? 'offline' : 'online'));
}

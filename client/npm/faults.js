// Makes the network and the storage of this page fail, to test how a recorder reacts. For development and tests only.

const NONE = Object.freeze({ drop: 0, lose: 0, fail: 0, unauthorized: 0, delay: 0, storage: 'ok' });

export function injectFaults(first = {}, { random = Math.random, matches = isUpload } = {}) {
  const realFetch = globalThis.fetch;
  const realPost = Worker.prototype.postMessage;
  const counts = { requests: 0, dropped: 0, lost: 0, failed: 0, unauthorized: 0, storage: 0 };
  let faults = { ...NONE, ...first };

  /** Decides whether a fault applies, and counts it. */
  const hits = (share, name) => {
    const hit = share > random();
    if (hit) counts[name] += 1;
    return hit;
  };
  /** Decides the fault of a request: `drop`, `lose` or a status; calls `proceed` after the delay. */
  const decide = (request, proceed) => {
    if (!matches(request)) return proceed();
    counts.requests += 1;
    const { delay, drop, unauthorized, fail, lose } = faults;
    let fault;
    if (hits(drop, 'dropped')) fault = 'drop';
    else if (hits(unauthorized, 'unauthorized')) fault = 401;
    else if (hits(fail, 'failed')) fault = 500;
    else if (hits(lose, 'lost')) fault = 'lose';
    return delay > 0 ? new Promise((resolve) => { setTimeout(() => resolve(proceed(fault)), delay); }) : proceed(fault);
  };
  const HEADERS = { 'tus-resumable': '1.0.0' };
  const gone = () => new TypeError('Failed to fetch (a fault that was asked for)');

  globalThis.fetch = async function fetchWithFaults(input, init) {
    const request = { url: String(input?.url ?? input), method: init?.method ?? input?.method ?? 'GET' };
    return decide(request, async (fault) => {
      if (fault === 'drop') throw gone();
      if (typeof fault === 'number') return new Response(null, { status: fault, headers: HEADERS });
      const real = await realFetch.call(this, input, init);
      if (fault === 'lose') throw gone();
      return real;
    });
  };

  // Messages of recorders to their worker: [id, name, …].
  Worker.prototype.postMessage = function postMessageWithFaults(message, ...rest) {
    const [id, name, url, init] = Array.isArray(message) ? message : [];
    const answer = (...data) => queueMicrotask(() => this.dispatchEvent(new MessageEvent('message', { data: [[id, ...data]] })));
    if (name === 'send') {
      decide({ url, method: init.method }, (fault) => {
        if (fault === 'drop') answer(undefined, 'TypeError');
        else if (typeof fault === 'number') answer([fault, HEADERS, '']);
        else if (fault === 'lose') lose(this, message, answer);
        else realPost.call(this, message, ...rest);
      });
      return;
    }
    if (name !== 'write' || faults.storage === 'ok') return realPost.call(this, message, ...rest);
    counts.storage += 1;
    if (faults.storage === 'full') answer(undefined, 'QuotaExceededError');
  };

  /** Sends a request whose answer the recorder does not get. */
  const lose = (worker, [id, ...request], answer) => {
    const lost = `lost ${id}`;
    worker.addEventListener('message', function ended({ data }) {
      if (!data.some((it) => it[0] === lost)) return;
      worker.removeEventListener('message', ended);
      answer(undefined, 'TypeError');
    });
    realPost.call(worker, [lost, ...request]);
  };

  return {
    counts,
    set(next) { faults = { ...NONE, ...next }; },
    restore() {
      globalThis.fetch = realFetch;
      Worker.prototype.postMessage = realPost;
    },
  };
}

/** Whether a request carries a recording. Pages, scripts and reads are unaffected. */
function isUpload({ method }) {
  return method !== 'GET';
}

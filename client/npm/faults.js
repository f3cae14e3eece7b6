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
  const answer = (status) => new Response(null, { status, headers: { 'tus-resumable': '1.0.0' } });
  const gone = () => new TypeError('Failed to fetch (a fault that was asked for)');

  globalThis.fetch = async function fetchWithFaults(input, init) {
    const request = { url: String(input?.url ?? input), method: init?.method ?? input?.method ?? 'GET' };
    if (!matches(request)) return realFetch.call(this, input, init);
    counts.requests += 1;
    const { delay, drop, unauthorized, fail, lose } = faults;
    if (delay > 0) await new Promise((resolve) => setTimeout(resolve, delay));
    if (hits(drop, 'dropped')) throw gone();
    if (hits(unauthorized, 'unauthorized')) return answer(401);
    if (hits(fail, 'failed')) return answer(500);
    const real = await realFetch.call(this, input, init);
    if (hits(lose, 'lost')) throw gone();
    return real;
  };

  // Messages of recorders to their worker: [id, name, …].
  Worker.prototype.postMessage = function postMessageWithFaults(message, ...rest) {
    const isWrite = Array.isArray(message) && message[1] === 'write';
    if (!isWrite || faults.storage === 'ok') return realPost.call(this, message, ...rest);
    counts.storage += 1;
    if (faults.storage === 'full') {
      const data = [message[0], undefined, 'QuotaExceededError'];
      queueMicrotask(() => this.dispatchEvent(new MessageEvent('message', { data })));
    }
    return undefined;
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

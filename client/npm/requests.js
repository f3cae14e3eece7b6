// Requests to our server beside uploads. Imported when they are first needed: a token that names its user needs none.

import { RecorderError } from './loading.js';

/** Timeout of a request to the server. */
const TIMEOUT_MS = 20_000;

/** Returns the id of the signed-in user of our server. */
export async function userOf(server, token) {
  const answer = await get(server, '/api/auth/me', token);
  const { id } = answer.ok ? await answer.json().catch(() => ({})) : {};
  if (typeof id === 'string' && id !== '') return id;
  const { status } = answer;
  if (status === 401 || status === 403) throw signedOut({ status });
  throw unreachable(new TypeError(`the answer was ${status}`), { status });
}

/** Sends a request to our server. Without a token it uses the page's cookies and renews them if needed. */
export async function get(server, path, token, signal) {
  const ask = async (method, url, body) => {
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    const headers = { ...(token && { authorization: `Bearer ${token}` }), ...(body && { 'content-type': 'application/json' }) };
    try {
      // Safari before 17.4 cannot combine signals; the caller's signal takes precedence.
      const ends = signal && AbortSignal.any ? AbortSignal.any([signal, timeout]) : signal ?? timeout;
      return await fetch(server.replace(/\/+$/, '') + url, { method, headers, body, credentials: 'same-origin', signal: ends });
    } catch (cause) {
      if (signal?.aborted) throw aborted();
      throw unreachable(cause);
    }
  };
  const answer = await ask('GET', path);
  if (answer.status !== 401 || token) return answer;
  const renewed = await ask('POST', '/api/auth/refresh', '{}');
  return renewed.ok ? ask('GET', path) : answer;
}

export const aborted = () => new RecorderError('aborted', 'The upload was cancelled.');

export const signedOut = (details) => new RecorderError('signed_out', 'The sign-in has expired or was refused. Sign in again.', details);

function unreachable(cause, details) {
  const message = 'The server cannot be reached, or is another one. Check its address and your network connection, and try again.';
  return new RecorderError('unreachable', message, { cause, retryable: true, ...details });
}

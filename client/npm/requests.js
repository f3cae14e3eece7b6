// Requests to our server beside uploads. Imported when they are first needed: a token that names its user needs none.

import { subjectOf } from './account.js';
import { RecorderError } from './loading.js';
import { aborted } from './options.js';

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
      if (signal?.aborted) throw uploadAborted();
      throw unreachable(cause);
    }
  };
  const answer = await ask('GET', path);
  if (answer.status !== 401 || token) return answer;
  const renewed = await ask('POST', '/api/auth/refresh', '{}');
  return renewed.ok ? ask('GET', path) : answer;
}

export const uploadAborted = () => aborted('The upload was cancelled.');

const signedOut = (details) => new RecorderError('signed_out', 'The sign-in has expired or was refused. Sign in again.', details);

function unreachable(cause, details) {
  const message = 'The server cannot be reached, or is another one. Check its address and your network connection, and try again.';
  return new RecorderError('unreachable', message, { cause, retryable: true, ...details });
}

/**
 * Returns the owner for `options`: `owner`, the subject of the token, or the user that the server names. `undefined`
 * where pages have no identity: another tus server without `getToken`.
 *
 * Throws a `RecorderError` when the owner cannot be determined.
 */
export async function ownerOf(options) {
  const { owner, server, getToken } = options;
  if (owner) return owner;
  const token = getToken && await tokenOf(getToken);
  const known = token && subjectOf(token);
  if (known) return known;
  if (server !== undefined && server !== null) return userOf(server, token);
  if (token === undefined) return undefined;
  const hash = await hashOf(token);
  if (hash) return hash;
  throw new TypeError('owner must be given: the token names no subject, and pages without a secure connection cannot hash it');
}

/** Returns the owner for an opaque token of another tus server, which has no accounts: the hash of the token. */
export async function hashOf(token) {
  const hash = await globalThis.crypto?.subtle?.digest('SHA-256', new TextEncoder().encode(token));
  return hash && `token-${[...new Uint8Array(hash)].map((it) => it.toString(16).padStart(2, '0')).join('')}`;
}

/** Asks the page for a token. */
export async function tokenOf(getToken) {
  let cause = new TypeError('getToken returned no token');
  try {
    const token = await getToken();
    if (typeof token === 'string' && token !== '') return token;
  } catch (thrown) {
    cause = thrown;
  }
  throw signedOut({ cause });
}

// Owner of a recording. On a shared computer, the copy that a crash has left is offered to its owner only.

/**
 * Returns the subject of a JSON Web Token; `undefined` for other tokens. The server verifies tokens, this only reads
 * them.
 */
export function subjectOf(token) {
  try {
    const payload = token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
    const bytes = Uint8Array.from(atob(payload), (it) => it.charCodeAt(0));
    const { sub } = JSON.parse(new TextDecoder().decode(bytes));
    return typeof sub === 'string' && sub !== '' ? sub : undefined;
  } catch {
    return undefined;
  }
}

/** Returns the owner for an opaque token of another tus server, which has no accounts: the hash of the token. */
export async function hashOf(token) {
  const hash = await globalThis.crypto?.subtle?.digest('SHA-256', new TextEncoder().encode(token));
  return hash && `token-${[...new Uint8Array(hash)].map((it) => it.toString(16).padStart(2, '0')).join('')}`;
}

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

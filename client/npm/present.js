/** Waits for an element that appears late. */
export function whenPresent(selector, { root = document, signal } = {}) {
  return new Promise((resolve, reject) => {
    const look = () => {
      const found = root.querySelector(selector);
      if (found) {
        end();
        resolve(found);
      }
    };
    const observer = new MutationObserver(look);
    const aborted = () => {
      end();
      reject(signal.reason);
    };
    const end = () => {
      observer.disconnect();
      signal?.removeEventListener('abort', aborted);
    };
    if (signal?.aborted) return aborted();
    signal?.addEventListener('abort', aborted);
    observer.observe(root, { childList: true, subtree: true });
    look();
  });
}

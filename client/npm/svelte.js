import { onMount } from 'svelte';
import { createSubscriber } from 'svelte/reactivity';
import { IDLE, RecorderStore } from './store.js';

export function createRecorder(options) {
  const store = new RecorderStore(() => (typeof options === 'function' ? options() : options));
  const track = createSubscriber(store.subscribe);
  onMount(store.mount);
  const { start, pause, resume, stop, abort } = store;
  const it = { start, pause, resume, stop, abort };
  for (const name of Object.keys(IDLE)) {
    const get = () => {
      track();
      return store.snapshot()[name];
    };
    Object.defineProperty(it, name, { enumerable: true, get });
  }
  return it;
}

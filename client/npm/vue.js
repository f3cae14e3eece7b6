import { computed, onScopeDispose, shallowRef, toValue } from 'vue';
import { IDLE, RecorderStore } from './store.js';

export function useRecorder(options) {
  const store = new RecorderStore(() => toValue(options));
  const snapshot = shallowRef(IDLE);
  store.subscribe(() => { snapshot.value = store.snapshot(); });
  onScopeDispose(store.mount());
  const refs = Object.keys(IDLE).map((name) => [name, computed(() => snapshot.value[name])]);
  const { start, pause, resume, stop, abort } = store;
  return { ...Object.fromEntries(refs), start, pause, resume, stop, abort };
}

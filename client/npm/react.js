'use client';

import { useEffect, useState, useSyncExternalStore } from 'react';
import { IDLE, RecorderStore } from './store.js';

export function useRecorder(options) {
  const [store] = useState(() => new RecorderStore());
  useEffect(() => {
    store.readOptions = () => options;
  });
  useEffect(store.mount, [store]);
  const snapshot = useSyncExternalStore(store.subscribe, store.snapshot, () => IDLE);
  const { start, pause, resume, stop, abort } = store;
  return { ...snapshot, start, pause, resume, stop, abort };
}

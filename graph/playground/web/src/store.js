// A value that components watch. It lives in this tab's memory only.
import { useSyncExternalStore } from 'react';

export function createStore(value) {
  const listeners = new Set();
  const subscribe = listener => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  const get = () => value;
  return {
    get,
    set(change) {
      value = { ...value, ...change };
      listeners.forEach(listener => listener());
    },
    use: () => useSyncExternalStore(subscribe, get),
  };
}

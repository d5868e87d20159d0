import { useMemo, useSyncExternalStore } from 'react';
import type { EntryStore, View } from './store';

/** Re-renders once a frame while the store changes; the number counts the changes. */
export function useStore(store: EntryStore): number {
  return useSyncExternalStore(store.subscribe, store.getVersion);
}

/** The rows to show: a new object only when the store changed. */
export function useView(store: EntryStore): View {
  const version = useStore(store);
  // eslint-disable-next-line react-hooks/exhaustive-deps -- the version stands for the store's rows
  return useMemo(() => store.view, [store, version]);
}

import { describe, expect, it, vi } from 'vitest';
import { row, rows } from '../test-data';
import { EntryStore } from './store';

/** A store whose frames come when the test says so. */
function storeOf(capacity: number) {
  const frames: (() => void)[] = [];
  const store = new EntryStore(capacity, (callback) => frames.push(callback));
  return { store, frames };
}

const ids = ({ view }: EntryStore) =>
  Array.from({ length: view.end - view.first }, (_, index) => view.at(view.first + index)?.id);

describe('EntryStore', () => {
  it('tells its subscribers once a frame, however much arrives', () => {
    const { store, frames } = storeOf(10);
    const listener = vi.fn();
    store.subscribe(listener);
    store.add(rows(2));
    store.add(rows(2, 2));
    store.set({ skipped: 1 });
    expect([listener.mock.calls.length, frames.length]).toEqual([0, 1]);
    frames.pop()?.();
    expect([listener.mock.calls.length, store.getVersion()]).toEqual([1, 1]);
    store.add(rows(1, 9));
    expect(frames.length).toBe(1);
  });

  it('shows what comes twice once, and again after it left', () => {
    const { store } = storeOf(2);
    store.add(rows(2));
    store.add(rows(1));
    expect(ids(store)).toEqual(['w/s.pcap-0', 'w/s.pcap-1']);
    store.add(rows(2, 2));
    store.add(rows(1));
    expect(ids(store)).toEqual(['w/s.pcap-3', 'w/s.pcap-0']);
  });

  it('tells entries of the same id by cluster, node and run', () => {
    const { store } = storeOf(9);
    store.add([row({ run: 'a' }), row({ run: 'b' }), row({ run: 'b' }), row({ node: 'n' })]);
    expect(store.view.end).toBe(3);
    expect(store.find(row({ run: 'b' }))).toBe(1);
    expect(store.find(row({ run: 'c' }))).toBeUndefined();
  });

  it('keeps what is shown while paused, and counts what arrives', () => {
    const { store } = storeOf(3);
    store.add(rows(2));
    store.pause(true);
    store.add(rows(3, 2));
    expect([ids(store), store.arrived]).toEqual([['w/s.pcap-0', 'w/s.pcap-1'], 3]);
    store.pause(false);
    expect([ids(store), store.arrived]).toEqual([['w/s.pcap-2', 'w/s.pcap-3', 'w/s.pcap-4'], 0]);
  });
});

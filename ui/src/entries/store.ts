import type { EntryRef, ErrorBody, Row } from '../api/types';
import { Ring } from './ring';

/** Rows kept in the browser; older ones leave when more arrive. */
export const CAPACITY = 50_000;

/** Where the feed that fills the list stands. */
export type Feed =
  | { phase: 'connecting' }
  /** Live: connected. Recorded: all that was asked for is here, and more can be asked for. */
  | { phase: 'open' }
  | { phase: 'loading' }
  /** Recorded: there are no further entries. */
  | { phase: 'ended' }
  /** Recorded: there are more, but the browser keeps no more rows. */
  | { phase: 'full' }
  | { phase: 'reconnecting'; attempt: number; message: string }
  | { phase: 'failed'; message: string }
  | { phase: 'invalid'; error: ErrorBody };

export function rowKey({ cluster, node, run, id }: EntryRef): string {
  return [cluster, node, run, id].map((part) => part ?? '').join('\n');
}

export function rowRef({ id, cluster, node, run }: EntryRef): EntryRef {
  return { id, cluster, node, run };
}

/** A stretch of rows to show: the running list, or one frozen while paused. */
export interface View {
  /** Differs from list to list; within one, `first` grows only because old rows left. */
  generation: number;
  first: number;
  end: number;
  at(seq: number): Row | undefined;
}

/**
 * The rows of the list, outside React: however many arrive, subscribers are told once a frame.
 */
export class EntryStore {
  private readonly ring: Ring<Row>;
  /** Sequence number of each row kept. */
  private readonly keys = new Map<string, number>();
  private readonly listeners = new Set<() => void>();
  private scheduled = false;
  private generation = 0;
  private frozen: View | null = null;
  /** Counts notifications. */
  version = 0;
  feed: Feed = { phase: 'connecting' };
  /** Live: what the server left out because this browser was too slow. */
  skipped = 0;
  /** Recorded: how many match in all, where the server knows. */
  matched: number | null = null;

  constructor(
    capacity = CAPACITY,
    private readonly onFrame: (callback: () => void) => void = (callback) => {
      requestAnimationFrame(callback);
    },
  ) {
    this.ring = new Ring(capacity);
  }

  /** The rows to show: all, or those that were there when the list was paused. */
  get view(): View {
    return this.frozen ?? this.running;
  }

  /** Rows that came since the list was paused. */
  get arrived(): number {
    return this.frozen ? this.ring.end - this.frozen.end : 0;
  }

  /** Freezes what is shown; rows go on arriving behind it. */
  pause(paused: boolean): void {
    if (paused === (this.frozen !== null)) return;
    const { first, end } = this.ring;
    const rows = paused ? this.ring.toArray() : [];
    this.frozen = paused
      ? { generation: this.generation, first, end, at: (seq) => rows[seq - first] }
      : null;
    this.changed();
  }

  private get running(): View {
    const { ring, generation } = this;
    return { generation, first: ring.first, end: ring.end, at: (seq) => ring.at(seq) };
  }

  /** Whether `more` further rows would push the oldest ones out. */
  nearlyFull(more: number): boolean {
    return this.ring.length + more > this.ring.capacity;
  }

  /** Appends rows that are not there yet. */
  add(rows: readonly Row[]): void {
    for (const row of rows) {
      const key = rowKey(row);
      if (this.keys.has(key)) continue;
      this.keys.set(key, this.ring.end);
      const evicted = this.ring.push(row);
      if (evicted) this.keys.delete(rowKey(evicted));
    }
    this.changed();
  }

  clear(): void {
    this.ring.clear();
    this.generation += 1;
    this.keys.clear();
    this.frozen = null;
    this.skipped = 0;
    this.matched = null;
    this.changed();
  }

  set(patch: Partial<Pick<EntryStore, 'feed' | 'skipped' | 'matched'>>): void {
    Object.assign(this, patch);
    this.changed();
  }

  /** The row's sequence number while it is in the list. */
  find(ref: EntryRef): number | undefined {
    return this.keys.get(rowKey(ref));
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  getVersion = (): number => this.version;

  private changed(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    this.onFrame(() => {
      this.scheduled = false;
      this.version += 1;
      for (const listener of this.listeners) listener();
    });
  }
}

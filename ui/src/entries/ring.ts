/**
 * The newest `capacity` items of a stream, addressed by a sequence number that never repeats, so
 * that a row keeps its address while older ones leave.
 */
export class Ring<T> {
  private readonly slots: (T | undefined)[] = [];
  /** Sequence number of the oldest item kept. */
  first = 0;
  /** Sequence number that the next item gets. */
  end = 0;

  constructor(readonly capacity: number) {}

  get length(): number {
    return this.end - this.first;
  }

  /** Adds an item and returns the one that had to leave for it. */
  push(item: T): T | undefined {
    const slot = this.end % this.capacity;
    const evicted = this.length === this.capacity ? this.slots[slot] : undefined;
    this.slots[slot] = item;
    this.end += 1;
    if (this.length > this.capacity) this.first += 1;
    return evicted;
  }

  at(seq: number): T | undefined {
    if (seq < this.first || seq >= this.end) return undefined;
    return this.slots[seq % this.capacity];
  }

  /** Forgets all items; sequence numbers go on. */
  clear(): void {
    this.slots.length = 0;
    this.first = this.end;
  }

  toArray(): T[] {
    const items: T[] = [];
    for (let seq = this.first; seq < this.end; seq += 1) items.push(this.at(seq) as T);
    return items;
  }
}

import { describe, expect, it } from 'vitest';
import { Ring } from './ring';

describe('Ring', () => {
  it('keeps the newest items and hands out the one that leaves', () => {
    const ring = new Ring<string>(3);
    const evicted = ['a', 'b', 'c', 'd', 'e'].map((item) => ring.push(item));
    expect(evicted).toEqual([undefined, undefined, undefined, 'a', 'b']);
    expect(ring.toArray()).toEqual(['c', 'd', 'e']);
    expect([ring.first, ring.end, ring.length]).toEqual([2, 5, 3]);
  });

  it('answers by sequence number, which stays the same while others leave', () => {
    const ring = new Ring<string>(2);
    for (const item of ['a', 'b', 'c']) ring.push(item);
    expect([0, 1, 2, 3].map((seq) => ring.at(seq))).toEqual([undefined, 'b', 'c', undefined]);
  });

  it('goes on counting after it was cleared', () => {
    const ring = new Ring<string>(2);
    ring.push('a');
    ring.clear();
    expect([ring.length, ring.at(0), ring.toArray()]).toEqual([0, undefined, []]);
    ring.push('b');
    expect([ring.first, ring.end, ring.at(1)]).toEqual([1, 2, 'b']);
    ring.push('c');
    expect(ring.push('d')).toBe('b');
  });
});

import { describe, expect, it } from 'vitest';
import { targetOf } from './list';

const view = { generation: 0, first: 10, end: 20, at: () => undefined };

describe('targetOf', () => {
  it.each([
    ['j', 12, 13],
    ['ArrowDown', 19, 19],
    ['k', 12, 11],
    ['ArrowUp', 10, 10],
    ['ArrowDown', undefined, 10],
    ['ArrowUp', undefined, 19],
    ['PageDown', 12, 16],
    ['PageUp', 12, 10],
    ['Home', 15, 10],
    ['G', 15, 19],
    ['x', 15, undefined],
  ])('%s from %s leads to %s', (key, seq, target) => {
    expect(targetOf(key, view, seq, 4)).toBe(target);
  });

  it('leads nowhere in an empty list', () => {
    expect(targetOf('j', { ...view, end: 10 }, undefined, 4)).toBeUndefined();
  });
});

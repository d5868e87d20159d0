import { describe, expect, it } from 'vitest';
import { binsOf, heightsOf, stepOf, stepText } from './bins';

const DAY = 86_400_000;

describe('stepOf', () => {
  it.each([
    [1, 1],
    [120, 1],
    [121, 2],
    [60_000, 500],
    [3_600_000, 30_000],
    [7 * DAY, 2 * 3_600_000],
    [10_000 * DAY, 84 * DAY],
  ])('%s ms in at most 120 bins: %s ms', (span, step) => {
    expect(stepOf(span, 120)).toBe(step);
    expect(span / stepOf(span, 120)).toBeLessThanOrEqual(120);
  });

  it('writes it as the server reads it', () => {
    expect([20, 1_000, 90_000].map(stepText)).toEqual(['20ms', '1s', '90s']);
  });
});

describe('binsOf', () => {
  const row = (time: string, more: object) => ({ time: `2026-11-27T00:00:${time}Z`, ...more });
  const from = Date.parse('2026-11-27T00:00:01.5Z');

  it('counts by what became of entries, and leaves none out', () => {
    const rows = [
      row('01.000000000', { ok: true, statusCode: 200, 'error.type': null, count: 5 }),
      row('01.000000000', { ok: true, statusCode: 304, 'error.type': null, count: 2 }),
      row('03.000000000', { ok: false, statusCode: 404, 'error.type': null, count: 1 }),
      row('03.000000000', { ok: false, statusCode: 503, 'error.type': null, count: 3 }),
      row('03.000000000', { ok: true, statusCode: null, 'error.type': 'timeout', count: 4 }),
      row('03.000000000', { ok: true, statusCode: null, 'error.type': null, count: 6 }),
    ];
    const bins = binsOf(rows, 1_000, from, from + 2_000);
    expect(bins.map(({ total }) => total)).toEqual([7, 0, 14]);
    expect(bins[0]?.at).toBe(from - 500);
    expect(bins[0]?.counts).toEqual({ good: 5, moved: 2, warn: 0, bad: 0 });
    expect(bins[2]?.counts).toEqual({ good: 6, moved: 0, warn: 1, bad: 7 });
  });

  it('leaves out what is outside', () => {
    const rows = [row('09.000000000', { ok: true, count: 5 })];
    expect(binsOf(rows, 1_000, from, from + 2_000).every(({ total }) => total === 0)).toBe(true);
  });
});

describe('heightsOf', () => {
  it('shows one failure among a million, inside the height', () => {
    const counts = { good: 999_999, moved: 0, warn: 0, bad: 1 };
    const heights = heightsOf({ at: 0, counts, total: 1_000_000 }, 1_000_000, 100);
    expect(heights.map(([kind]) => kind)).toEqual(['good', 'bad']);
    expect(heights[1]?.[1]).toBe(3);
    expect(heights.reduce((sum, [, height]) => sum + height, 0)).toBeCloseTo(100);
  });
});

import { describe, expect, it } from 'vitest';
import {
  endpointTitle,
  formatAddress,
  formatAgo,
  formatBytes,
  formatElapsed,
  formatShare,
  formatShort,
  splitTime,
} from './format';

describe('formatElapsed', () => {
  it.each([
    [null, '–'],
    [0, '0 µs'],
    [999, '999 µs'],
    [1_000, '1.00 ms'],
    [12_345, '12.3 ms'],
    [999_900, '1000 ms'],
    [1_234_000, '1.23 s'],
    [61_000_000, '1 min 1 s'],
  ])('%s µs is %s', (micros, text) => {
    expect(formatElapsed(micros)).toBe(text);
  });
});

describe('formatBytes', () => {
  it.each([
    [undefined, '–'],
    [0, '0 B'],
    [999, '999 B'],
    [1_000, '1.00 kB'],
    [99_960, '100 kB'],
    [999_600, '1.00 MB'],
    [5_000_000_000, '5.00 GB'],
  ])('%s is %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

describe('counts and shares', () => {
  it.each([
    [999, '999'],
    [1_000, '1.00k'],
    [12_345, '12.3k'],
    [999_600, '1.00M'],
  ])('%s is %s in short', (count, text) => expect(formatShort(count)).toBe(text));
  it.each([
    [0, '0.0 %'],
    [0.0001, '< 0.1 %'],
    [0.125, '12.5 %'],
    [0.99999, '99.9 %'],
    [1, '100 %'],
    [Number.NaN, '–'],
  ])('%s of 1 is %s', (share, text) => expect(formatShare(share)).toBe(text));
});

describe('splitTime', () => {
  it('keeps milliseconds of a timestamp with nanoseconds', () => {
    expect(splitTime('2026-11-24T21:04:05.123999999Z', 'utc')).toEqual({
      date: '2026-11-24',
      time: '21:04:05.123',
    });
  });
  it('gives the local time of day', () => {
    const noon = new Date(2026, 5, 1, 12, 30, 15, 7);
    expect(splitTime(noon.toISOString(), 'local')?.time).toBe('12:30:15.007');
  });
  it('knows what is no time', () => {
    expect(splitTime('soon', 'utc')).toBeNull();
  });
});

describe('addresses', () => {
  it.each([
    [{ ip: '10.0.0.1', port: 80 }, '10.0.0.1:80'],
    [{ ip: 'fd00::1', port: '80' }, '[fd00::1]:80'],
    [{ ip: 'fd00::1', port: 0 }, 'fd00::1'],
  ])('%o is %s', (end, text) => {
    expect(formatAddress(end)).toBe(text);
  });
  it('has names before addresses', () => {
    const end = { ip: '10.0.0.1', port: 80, name: 'cart', namespace: 'shop' };
    expect(endpointTitle(end)).toBe('cart.shop (10.0.0.1:80)');
    expect(endpointTitle({ ...end, name: '' })).toBe('10.0.0.1:80');
  });
});

describe('formatAgo', () => {
  it.each([
    [5_000, '5 s ago'],
    [125_000, '2 min ago'],
    [7_300_000, '2 h ago'],
    [200_000_000, '2 d ago'],
    [-5_000, '0 s ago'],
  ])('%s ms before is %s', (ms, text) => {
    const then = Date.parse('2026-11-24T00:00:00Z');
    expect(formatAgo(new Date(then).toISOString(), then + ms)).toBe(text);
  });
});

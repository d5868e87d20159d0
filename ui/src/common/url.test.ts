import { describe, expect, it } from 'vitest';
import { type Place, readPlace, writePlace } from './url';

const places: Place[] = [
  { kfl: '', order: 'asc', view: 'entries', entry: null },
  {
    kfl: '',
    since: '2026-11-27T00:00:00.000Z',
    until: '2026-11-27T00:00:10.000Z',
    view: 'services',
    order: 'asc',
    entry: null,
  },
  {
    kfl: 'http and request.path == "/a&b=ü"',
    lang: 'kfl1',
    view: 'entries',
    order: 'desc',
    entry: null,
  },
  {
    kfl: 'dns',
    view: 'entries',
    order: 'asc',
    entry: { id: '10.0.0.4:48999/000000017720.pcap-0', cluster: 'c', node: 'n', run: '9f3a' },
  },
];

describe('the address', () => {
  it.each(places)('brings back %o', (place) => {
    expect(readPlace(writePlace(place))).toEqual(place);
  });
  it('is empty for what one sees at first', () => {
    expect(writePlace({ kfl: '', view: 'entries', order: 'asc', entry: null })).toBe('');
  });
  it('drops what it does not know, the token above all', () => {
    const place = readPlace('?token=secret&lang=sql&order=up&q=dns&since=soon&view=x');
    expect(place).toEqual({ kfl: 'dns', view: 'entries', order: 'asc', entry: null });
    expect(writePlace(place)).toBe('?q=dns');
  });
});

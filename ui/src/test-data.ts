import type { Cell, Entry, Row, Stats, Status } from './api/types';

/** Rows and entries for tests, as the server writes them. */
export const HTTP = {
  name: 'http',
  abbr: 'HTTP',
  longName: 'Hypertext Transfer Protocol -- HTTP/1.1',
  backgroundColor: '#416CDE',
  foregroundColor: '#ffffff',
};

const DNS = { ...HTTP, name: 'dns', abbr: 'DNS', longName: 'Domain Name System' };

export function row(patch: Partial<Row> = {}): Row {
  return {
    id: '10.0.0.4:48999/000000017720.pcap-0',
    stream: '000000017720.pcap',
    index: 0,
    timestamp: '2026-11-24T21:04:05.123456789Z',
    protocol: HTTP,
    method: 'GET',
    summary: '/catalogue/3?tags=blue',
    status: '200',
    statusCode: 200,
    ok: true,
    src: { ip: '10.0.0.5', port: 36848, name: 'front-end', namespace: 'shop' },
    dst: { ip: '10.0.0.9', port: 8086, name: '', namespace: '' },
    elapsedTime: 2_345,
    requestSize: 321,
    responseSize: 12_345,
    error: null,
    ...patch,
  };
}

/** `count` rows with ids of their own. */
export function rows(count: number, from = 0): Row[] {
  return Array.from({ length: count }, (_, index) => row({ id: `w/s.pcap-${from + index}` }));
}

export function httpEntry(patch: Partial<Entry> = {}): Entry {
  const { id, stream, index, elapsedTime, requestSize, responseSize } = row();
  return {
    id,
    stream,
    index,
    protocol: HTTP,
    src: { ip: '10.0.0.5', port: '36848', name: 'front-end', namespace: 'shop' },
    dst: { ip: '10.0.0.9', port: '8086', name: '', namespace: '' },
    timestamp: Date.parse('2026-11-24T21:04:05.123Z'),
    elapsedTime,
    requestSize,
    responseSize,
    error: null,
    request: {
      method: 'POST',
      url: '/cart?item=3',
      path: '/cart',
      httpVersion: 'HTTP/1.1',
      headers: { Host: 'cart', 'X-Note': "it's <b>bold</b>" },
      queryString: { item: ['3', '4'] },
      cookies: {},
      bodySize: 5,
      postData: { mimeType: 'text/plain', text: 'hello' },
    },
    response: {
      status: 500,
      statusText: 'Internal Server Error',
      headers: { 'Content-Type': 'application/json' },
      cookies: {},
      content: {
        mimeType: 'application/json',
        size: 26,
        encoding: 'base64',
        text: btoa('{"id":12345678901234567890}').slice(0, 36),
      },
    },
    ...patch,
  };
}

export function dnsEntry(): Entry {
  return httpEntry({
    protocol: DNS,
    request: { opCode: 'Query', questions: [{ name: 'cart.shop.', type: 'A', class: 'IN' }] },
    response: {
      code: 'No Error',
      rcode: 0,
      answers: [
        { name: 'cart.shop.', type: 'A', class: 'IN', ttl: 30, ip: '10.96.0.11', txts: [] },
      ],
      authorities: [],
      additionals: [],
    },
  });
}

export function status(mode: Status['mode']): Status {
  return {
    version: '0.1.0',
    mode,
    node: '',
    cluster: '',
    source: 'x',
    recording: null,
    defaultFilter: '',
    counters: {},
    drops: {},
    progress: null,
    span: null,
  };
}

export function stats(rows: Record<string, Cell>[], patch: Partial<Stats> = {}): Stats {
  const entries = rows.reduce((sum, row) => sum + Number(row.count), 0);
  return {
    columns: Object.keys(rows[0] ?? {}),
    rows,
    more: 0,
    otherEntries: 0,
    total: { count: entries },
    entries,
    partial: false,
    notes: [],
    ...patch,
  };
}

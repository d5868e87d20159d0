import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { LiveMessage, Page } from '../api/types';
import { rows } from '../test-data';
import { LiveSource, PAGE, PagedSource } from './feed';
import { EntryStore } from './store';

const question = { kfl: 'http', order: 'asc' as const };

type Answer = Page | { status: number; error: unknown };

/** Answers requests in turn; those without an answer fail as if nobody listened. */
function stubFetch(...answers: Answer[]) {
  const fetch = vi.fn(async (_url: string) => {
    const answer = answers.shift();
    if (!answer) throw new TypeError('connection refused');
    if ('status' in answer) {
      return new Response(JSON.stringify({ error: answer.error }), { status: answer.status });
    }
    return Response.json(answer);
  });
  vi.stubGlobal('fetch', fetch);
  return fetch;
}

const page = (count: number, from: number, next: string | null): Page => ({
  entries: rows(count, from),
  next,
  matched: 5,
});

function newStore(capacity?: number): EntryStore {
  return new EntryStore(capacity, () => undefined);
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 0));
const size = ({ view }: EntryStore) => view.end - view.first;

describe('PagedSource', () => {
  it('reads page after page until there is no next', async () => {
    const fetch = stubFetch(page(2, 0, 'c1'), page(1, 2, null));
    const store = newStore();
    const source = new PagedSource(store, question);
    source.start();
    await settled();
    expect([store.feed.phase, size(store), store.matched]).toEqual(['open', 2, 5]);
    source.more();
    expect(store.feed.phase).toBe('loading');
    await settled();
    expect([store.feed.phase, size(store)]).toEqual(['ended', 3]);
    source.more();
    await settled();
    expect(fetch.mock.calls.map(([url]) => url)).toEqual([
      `/api/entries?kfl=http&order=asc&limit=${PAGE}`,
      `/api/entries?kfl=http&order=asc&limit=${PAGE}&cursor=c1`,
    ]);
  });

  it('says where a filter is wrong', async () => {
    const error = { message: 'unknown field', errors: [] };
    stubFetch({ status: 400, error });
    const store = newStore();
    new PagedSource(store, question).start();
    await settled();
    expect(store.feed).toEqual({ phase: 'invalid', error });
  });

  it('keeps its rows when a page fails, and takes up there again', async () => {
    const fetch = stubFetch(page(2, 0, 'c1'));
    const store = newStore();
    const source = new PagedSource(store, question);
    source.start();
    await settled();
    source.more();
    await settled();
    expect([store.feed, size(store)]).toEqual([
      { phase: 'failed', message: 'Gillnet does not answer.' },
      2,
    ]);
    fetch.mockImplementation(async () => Response.json(page(1, 2, null)));
    source.retry();
    await settled();
    expect([store.feed.phase, size(store)]).toEqual(['ended', 3]);
    expect(fetch.mock.lastCall?.[0]).toContain('cursor=c1');
  });

  it('asks anew when the recording grew, also while a page was on its way', async () => {
    stubFetch(page(1, 0, null), page(2, 0, null), page(4, 0, null));
    const store = newStore();
    const source = new PagedSource(store, question);
    source.start();
    source.refresh(false);
    await settled();
    expect(size(store)).toBe(2);
    source.refresh(true);
    await settled();
    expect(size(store)).toBe(4);
  });

  it('stops before its first rows would leave', async () => {
    stubFetch(page(2, 0, 'c1'));
    const store = newStore(PAGE + 1);
    new PagedSource(store, question).start();
    await settled();
    expect(store.feed.phase).toBe('full');
  });
});

class FakeSocket {
  static all: FakeSocket[] = [];
  onopen?: () => void;
  onmessage?: (event: { data: string }) => void;
  onclose?: () => void;
  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }
  close(): void {
    this.onclose?.();
  }
  send(message: LiveMessage): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

function socket(index: number): FakeSocket {
  const found = FakeSocket.all[index];
  if (!found) throw new Error(`no socket ${index}`);
  return found;
}

describe('LiveSource', () => {
  beforeEach(() => {
    FakeSocket.all = [];
    vi.stubGlobal('WebSocket', FakeSocket);
  });

  it('puts the older rows before those that came meanwhile, each once', async () => {
    stubFetch({ ...page(3, 0, null), entries: rows(3).reverse() });
    const store = newStore();
    new LiveSource(store, question).start();
    expect(socket(0).url).toBe('ws://localhost:3000/api/live?kfl=http');
    socket(0).onopen?.();
    socket(0).send({ type: 'entries', entries: rows(2, 2) });
    await settled();
    const { view } = store;
    expect([0, 1, 2, 3].map((seq) => view.at(seq)?.id)).toEqual(rows(4).map(({ id }) => id));
    expect([view.end, store.feed.phase]).toEqual([4, 'open']);
    socket(0).send({ type: 'status', drops: {}, skipped: 7 });
    expect(store.skipped).toBe(7);
  });

  it('connects again after a loss and keeps the rows', async () => {
    stubFetch(page(1, 0, null), page(1, 0, null));
    const store = newStore();
    const source = new LiveSource(store, question);
    source.start();
    socket(0).onopen?.();
    await settled();
    socket(0).close();
    expect(store.feed).toMatchObject({ phase: 'reconnecting', attempt: 1 });
    source.retry();
    socket(1).onopen?.();
    socket(1).send({ type: 'entries', entries: rows(1, 1) });
    await settled();
    expect([store.feed.phase, size(store)]).toEqual(['open', 2]);
  });

  it('does not connect again when the filter was refused', () => {
    stubFetch();
    const store = newStore();
    new LiveSource(store, question).start();
    const error = { message: 'unknown field', errors: [] };
    socket(0).send({ type: 'error', error });
    socket(0).close();
    expect(store.feed).toEqual({ phase: 'invalid', error });
  });
});

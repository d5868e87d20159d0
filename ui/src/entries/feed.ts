import { ApiError, type Selected, api, liveUrl } from '../api/client';
import type { ErrorBody, LiveMessage, Order, Page, Row } from '../api/types';
import type { EntryStore } from './store';

export interface Question extends Selected {
  order: Order;
}

/** Fills a store with the answer to one question until it is stopped. */
export interface Source {
  start(): void;
  stop(): void;
  /** Recorded: asks for the next page; live: nothing. */
  more(): void;
  /** Tries at once what failed, or asks again from the start. */
  retry(): void;
}

/** Rows that a new list starts with, and that a page of a recording holds. */
export const PAGE = 200;
const RETRY_MS = [500, 1_000, 2_000, 4_000, 8_000];

function failure(store: EntryStore, error: unknown): void {
  if (error instanceof ApiError && error.status === 400) {
    store.set({ feed: { phase: 'invalid', error: error.body } });
  } else {
    const message = error instanceof Error ? error.message : String(error);
    store.set({ feed: { phase: 'failed', message } });
  }
}

/**
 * Live entries over the WebSocket, begun with the newest ones from before. The socket is opened
 * first, so that nothing falls between the two; the store drops what both bring.
 */
export class LiveSource implements Source {
  private socket: WebSocket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private attempt = 0;
  private stopped = false;
  /** Rows of the socket that wait until the older ones are in. */
  private waiting: Row[] | null = null;
  private fresh = true;
  /** Set when the server said why it ends; no reconnection then. */
  private refused: ErrorBody | null = null;

  constructor(
    private readonly store: EntryStore,
    private readonly question: Question,
  ) {}

  start(): void {
    this.store.set({ feed: { phase: 'connecting' } });
    this.connect();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }

  more(): void {
    // A live feed brings what there is by itself.
  }

  retry(): void {
    clearTimeout(this.timer);
    this.connect();
  }

  private connect(): void {
    const { kfl, lang } = this.question;
    const socket = new WebSocket(liveUrl(kfl, lang, window.location));
    this.socket?.close();
    this.socket = socket;
    this.refused = null;
    socket.onopen = () => void this.opened(socket);
    socket.onmessage = (event: MessageEvent<string>) => {
      if (socket === this.socket) this.received(JSON.parse(event.data) as LiveMessage);
    };
    socket.onclose = () => {
      if (socket === this.socket) this.closed();
    };
  }

  private async opened(socket: WebSocket): Promise<void> {
    this.attempt = 0;
    this.waiting = [];
    try {
      const page = await api.entries({ ...this.question, order: 'desc', limit: PAGE });
      if (this.stopped || socket !== this.socket) return;
      this.begin(page.entries.reverse());
    } catch (error) {
      if (this.stopped || socket !== this.socket) return;
      if (error instanceof ApiError && error.status === 400) this.refused = error.body;
      this.begin([]);
    }
  }

  private begin(older: Row[]): void {
    if (this.fresh) this.store.clear();
    this.fresh = false;
    const waiting = this.waiting ?? [];
    this.waiting = null;
    this.store.add(older);
    this.store.add(waiting);
    this.store.set({ feed: { phase: 'open' } });
  }

  private received(message: LiveMessage): void {
    switch (message.type) {
      case 'entries':
        if (this.waiting) this.waiting.push(...message.entries);
        else this.store.add(message.entries);
        break;
      case 'status':
        this.store.set({ skipped: message.skipped });
        break;
      case 'error':
        this.refused = message.error;
        break;
    }
  }

  private closed(): void {
    if (this.stopped) return;
    this.waiting = null;
    if (this.refused) {
      this.store.set({ feed: { phase: 'invalid', error: this.refused } });
      return;
    }
    const wait = RETRY_MS[Math.min(this.attempt, RETRY_MS.length - 1)];
    this.attempt += 1;
    const message = 'The connection to Gillnet is lost.';
    this.store.set({ feed: { phase: 'reconnecting', attempt: this.attempt, message } });
    this.timer = setTimeout(() => this.connect(), wait);
  }
}

/** Entries of a recording or of a span of time, page by page as the reader scrolls. */
export class PagedSource implements Source {
  private cursor: string | null = null;
  private readonly abort = new AbortController();
  private busy = false;
  /** Pages that the list holds. */
  private pages = 0;
  /** The recording grew while a page was on its way. */
  private grown = false;

  constructor(
    private readonly store: EntryStore,
    private readonly question: Question,
  ) {}

  start(): void {
    this.store.set({ feed: { phase: 'loading' } });
    void this.reload();
  }

  stop(): void {
    this.abort.abort();
  }

  more(): void {
    if (this.busy || this.store.feed.phase !== 'open') return;
    this.store.set({ feed: { phase: 'loading' } });
    void this.next();
  }

  /** From the failed page on; from the start when nothing failed. */
  retry(): void {
    if (this.store.feed.phase === 'failed' && this.pages > 0) void this.next();
    else void this.reload();
  }

  /**
   * More of the recording was read: what is listed is asked for anew. While it grows only the first
   * page is worth it; at its end, all that the reader has scrolled through.
   */
  refresh(finished: boolean): void {
    if (this.busy) this.grown = true;
    else if (finished || this.pages <= 1) void this.reload();
  }

  private next(): Promise<void> {
    return this.run(async () => {
      const page = await this.ask(this.cursor);
      this.show([page]);
    });
  }

  private reload(): Promise<void> {
    return this.run(async () => {
      const pages = [await this.ask(null)];
      while (pages.length < this.pages) {
        const next = pages[pages.length - 1]?.next ?? null;
        if (next === null) break;
        pages.push(await this.ask(next));
      }
      this.store.clear();
      this.pages = 0;
      this.show(pages);
    });
  }

  private ask(cursor: string | null): Promise<Page> {
    const request = { ...this.question, limit: PAGE, cursor: cursor ?? undefined };
    return api.entries(request, this.abort.signal);
  }

  private async run(work: () => Promise<void>): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      await work();
    } catch (error) {
      if (!this.abort.signal.aborted) failure(this.store, error);
    }
    this.busy = false;
    if (!this.grown || this.abort.signal.aborted) return;
    this.grown = false;
    await this.reload();
  }

  private show(pages: Page[]): void {
    if (this.abort.signal.aborted) return;
    for (const page of pages) {
      this.store.add(page.entries);
      this.store.set({ matched: page.matched });
      this.cursor = page.next;
    }
    this.pages += pages.length;
    // A further page would push the first rows out of the browser's list.
    const phase = this.cursor === null ? 'ended' : this.store.nearlyFull(PAGE) ? 'full' : 'open';
    this.store.set({ feed: { phase } });
  }
}

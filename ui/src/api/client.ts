import type {
  Assistance,
  Entry,
  EntryRef,
  ErrorBody,
  Lang,
  Order,
  Page,
  Stats,
  Status,
  Validation,
} from './types';

/** An answer other than 2xx, or none at all (`status` 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly body: ErrorBody,
  ) {
    super(body.message);
  }
}

type Denied = (status: 401 | 403) => void;
let denied: Denied = () => undefined;

/** Called whenever the server refuses this browser. */
export function onDenied(listener: Denied): void {
  denied = listener;
}

async function call<T>(path: string, init?: RequestInit): Promise<T> {
  return (await (await answer(path, init)).json()) as T;
}

/** An answer of 2xx. */
async function answer(path: string, init?: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: 'same-origin', ...init });
  } catch (cause) {
    if (init?.signal?.aborted) throw cause;
    throw new ApiError(0, { message: 'Gillnet does not answer.' });
  }
  if (response.ok) return response;
  if (response.status === 401 || response.status === 403) denied(response.status);
  throw new ApiError(response.status, await errorBody(response));
}

async function errorBody(response: Response): Promise<ErrorBody> {
  try {
    const json = (await response.json()) as { error?: Partial<ErrorBody> };
    if (typeof json.error?.message === 'string') {
      return { message: json.error.message, errors: json.error.errors ?? [] };
    }
  } catch {
    // Not JSON: the status line has to do.
  }
  return { message: `The server answered ${response.status} ${response.statusText}`.trim() };
}

/** Gives each line of JSON of an answer as it comes. */
async function* lines<T>(response: Response): AsyncGenerator<T> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
    const parts = (rest + (value ?? '')).split('\n');
    rest = done ? '' : (parts.pop() ?? '');
    for (const part of parts) if (part !== '') yield JSON.parse(part) as T;
    if (done) return;
  }
}

function query(params: Record<string, string | number | boolean | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== '') search.set(name, String(value));
  }
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}

function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  return call<T>(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal,
  });
}

/** Which entries; open ends of time where they are not given. */
export interface Selected {
  kfl: string;
  lang?: Lang;
  /** RFC 3339 */
  since?: string;
  until?: string;
}

export interface StatsRequest extends Selected {
  /** Fields, separated by commas */
  by?: string;
  every?: string;
  measures: string;
  top?: number;
  /** Whether filters are wanted that narrow to each group. */
  filters?: boolean;
}

export interface PageRequest extends Selected {
  order: Order;
  limit: number;
  cursor?: string;
}

export const api = {
  status: (signal?: AbortSignal) => call<Status>('/api/status', { signal }),

  entries: (request: PageRequest, signal?: AbortSignal) =>
    call<Page>(`/api/entries${query({ ...request })}`, { signal }),

  /** One entry, without what the filter hides. */
  entry: (
    { id, cluster, node, run }: EntryRef,
    { kfl, lang }: { kfl: string; lang?: Lang },
    signal?: AbortSignal,
  ) => {
    const params = query({ cluster, node, run, kfl, lang });
    return call<Entry>(`/api/entries/${encodeURIComponent(id)}${params}`, { signal });
  },

  /** What was found so far, again and again, and at last all of it. */
  async *stats(request: StatsRequest, signal?: AbortSignal): AsyncGenerator<Stats> {
    const headers = { accept: 'application/x-ndjson' };
    const response = await answer(`/api/stats${query({ ...request })}`, { signal, headers });
    for await (const line of lines<Stats | { error: ErrorBody }>(response)) {
      if ('error' in line) throw new ApiError(response.status, line.error);
      yield line;
    }
  },

  validate: (kfl: string, lang?: Lang, signal?: AbortSignal) =>
    post<Validation>('/api/kfl/validate', { kfl, lang }, signal),

  complete: (kfl: string, cursor: number, lang?: Lang, signal?: AbortSignal) =>
    post<Assistance>('/api/kfl/complete', { kfl, cursor, lang }, signal),
};

export const EXPORT_FORMATS = ['pcapng', 'pcap', 'har', 'jsonl', 'csv'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** Address of a file of what is selected, or of a stream, to be followed by the browser. */
export function exportUrl(
  { kfl, lang, since, until }: Selected,
  format: ExportFormat,
  stream?: EntryRef & { stream: string },
): string {
  const { cluster, node, run } = stream ?? {};
  const of = { stream: stream?.stream, cluster, node, run };
  return `/api/export${query({ q: kfl, lang, from: since, to: until, format, ...of })}`;
}

/** Address of the live feed on the page's own host. */
export function liveUrl(kfl: string, lang: Lang | undefined, page: Location): string {
  const scheme = page.protocol === 'https:' ? 'wss' : 'ws';
  return `${scheme}://${page.host}/api/live${query({ kfl, lang })}`;
}

// The HTTP API as the dashboard uses it. All paths are below `/api` of the page's own origin.

export type Lang = 'kfl1' | 'kfl2';
export type Order = 'asc' | 'desc';

/** Why something was refused; `errors` points into the filter where there is one. */
export interface ErrorBody {
  message: string;
  errors?: Diagnostic[];
}

/** A place in a filter. `offset` and `length` count UTF-16 code units; `line` and `column` start at 1. */
export interface Diagnostic {
  kind: 'syntax' | 'name' | 'type' | 'value' | 'limit' | 'surprise';
  offset: number;
  length: number;
  line: number;
  column: number;
  message: string;
  /** A sentence; `did you mean "NAME"?` where one name is near. */
  suggestion: string | null;
}

/** `GET /api/status` */
export interface Status {
  version: string;
  mode: 'live' | 'recorded';
  node: string;
  cluster: string;
  /** What is shown: an interface, a folder, `gs://bucket/` … */
  source: string;
  recording: Recording | null;
  /** The filter to start with, where the address names none. */
  defaultFilter: string;
  counters: Record<string, number>;
  drops: Record<string, number>;
  progress: Progress | null;
  /** When the first and the last entry that can be shown began; null where there is none. */
  span: { first: string; last: string } | null;
}

export interface Recording {
  rule: string;
  kfl: string;
  destination: string;
  state: 'recording' | 'waiting' | 'done' | 'expired' | 'stopped' | 'disk-full' | 'spool-full';
  /** RFC 3339 */
  lastUpload: string | null;
  spoolBytes: number;
  pendingObjects: number;
  uploadedObjects: number;
  error: string | null;
}

export interface Progress {
  done: number;
  total: number;
  unit: 'bytes' | 'objects';
  finished: boolean;
  error: string | null;
}

export interface Protocol {
  name: string;
  abbr: string;
  longName: string;
  backgroundColor: string;
  foregroundColor: string;
}

export interface Endpoint {
  ip: string;
  port: number;
  name: string;
  namespace: string;
}

/** One line of the list. */
export interface Row {
  id: string;
  stream: string;
  index: number;
  /** RFC 3339 with nanoseconds, UTC */
  timestamp: string;
  protocol: Protocol;
  method: string;
  summary: string;
  status: string;
  statusCode: number | null;
  ok: boolean;
  src: Endpoint;
  dst: Endpoint;
  /** Microseconds */
  elapsedTime: number | null;
  /** Bytes */
  requestSize: number;
  /** Bytes */
  responseSize: number;
  error: EntryError | null;
  /** What a script's test says of it. */
  passed?: true;
  failed?: true;
  cluster?: string;
  node?: string;
  run?: string;
}

export interface EntryError {
  type: string;
  msg: string;
}

/** `GET /api/entries` */
export interface Page {
  entries: Row[];
  /** Where the next page starts; null: this was the last. */
  next: string | null;
  matched: number | null;
}

/** What names one entry over all runs of a source. */
export interface EntryRef {
  id: string;
  cluster?: string;
  node?: string;
  run?: string;
}

/** `GET /api/entries/{id}`: the entry in full; `request` and `response` are the protocol's own. */
export interface Entry {
  id: string;
  index: number;
  stream: string;
  worker?: string;
  node?: { ip?: string; name?: string } | string | null;
  cluster?: string;
  run?: string;
  protocol: Protocol & { version?: string };
  tls?: boolean;
  src: EntryEndpoint;
  dst: EntryEndpoint;
  /** Milliseconds since 1970 */
  timestamp: number;
  startTime?: string;
  /** Microseconds */
  elapsedTime: number | null;
  requestSize: number;
  responseSize: number;
  request: Message | null;
  response: Message | null;
  error: EntryError | null;
  notes?: string[];
  [more: string]: unknown;
}

export type EntryEndpoint = {
  ip: string;
  port: string | number;
  name: string;
  namespace: string;
} & Record<string, unknown>;

export type Message = Record<string, unknown>;

/** HAR-like body of an HTTP message. */
export interface Content {
  mimeType?: string;
  /** Bytes on the wire after decoding; more than `text` holds when the body was cut. */
  size?: number;
  encoding?: string;
  text?: string;
}

/** What `WS /api/live` sends. */
export type LiveMessage =
  | { type: 'entries'; entries: Row[] }
  | { type: 'status'; drops: Record<string, number>; skipped: number }
  | { type: 'error'; error: ErrorBody };

/** `POST /api/kfl/validate` */
export interface Validation {
  ok: boolean;
  lang: Lang;
  errors: Diagnostic[];
  warnings: Diagnostic[];
}

/** A stretch of a filter; `class` is one that styles/filter.css has a colour for. */
export interface Token {
  offset: number;
  length: number;
  class: string;
}

export interface CompletionItem {
  label: string;
  kind: 'field' | 'flag' | 'function' | 'macro' | 'keyword' | 'value';
  detail: string;
  doc: string;
  from: number;
  to: number;
  insert: string;
}

/** `POST /api/kfl/complete` */
export interface Assistance {
  lang: Lang;
  tokens: Token[];
  errors: Diagnostic[];
  warnings: Diagnostic[];
  completions: CompletionItem[];
}

/** What a group has in common, or what is measured of it; null where there is no such thing. */
export type Cell = string | number | boolean | null;

/** `GET /api/stats`, or a line of it. */
export interface Stats {
  columns: string[];
  rows: Record<string, Cell>[];
  /** Groups beyond the first that were asked for. */
  more: number;
  /** Entries that came when there were too many groups. */
  otherEntries: number;
  total: Record<string, Cell>;
  entries: number;
  /** Reading goes on: this is what is known so far. */
  partial: boolean;
  /** What is missing from the numbers. */
  notes: string[];
  /** For each row, where they were asked for. */
  filters?: { only: string | null; without: string | null }[];
}

import type { Cell } from '../api/types';
import { statusKind } from '../entries/row';

/** What became of entries, the worst last; the colours are those of the list. */
export const KINDS = ['good', 'moved', 'warn', 'bad'] as const;
export type Kind = (typeof KINDS)[number];
export const KIND_LABEL: Record<Kind, string> = {
  good: 'succeeded',
  moved: 'redirected',
  warn: 'refused (4xx)',
  bad: 'failed',
};

/** What the timeline is grouped by. */
export const BY = 'ok,statusCode,error.type';

/** Milliseconds. */
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((count) => count * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE),
  ...[1, 2, 3, 6, 12].map((count) => count * HOUR),
  ...[1, 2, 7, 14, 28].map((count) => count * DAY),
];

/** The shortest step, in milliseconds, that gives a span at most so many bins. */
export function stepOf(span: number, most: number): number {
  const step = STEPS.find((candidate) => span / candidate <= most);
  return step ?? Math.ceil(span / most / DAY) * DAY;
}

/** A step as the server reads it. */
export function stepText(step: number): string {
  return step % SECOND === 0 ? `${step / SECOND}s` : `${step}ms`;
}

export interface Bin {
  /** When it begins: milliseconds since 1970. */
  at: number;
  counts: Record<Kind, number>;
  total: number;
}

function kindOf(row: Record<string, Cell>): Kind {
  const fault = row['error.type'];
  const kind = statusKind({
    ok: row.ok === true,
    statusCode: typeof row.statusCode === 'number' ? row.statusCode : null,
    status: ' ',
    error: typeof fault === 'string' ? { type: fault, msg: '' } : null,
  });
  return KINDS.find((known) => known === kind) ?? 'good';
}

/** The bins of a span of time [from, to), empty ones included. */
export function binsOf(
  rows: readonly Record<string, Cell>[],
  step: number,
  from: number,
  to: number,
): Bin[] {
  const first = Math.floor(from / step);
  const count = Math.max(1, Math.ceil(to / step) - first);
  const bins = Array.from({ length: count }, (_, index) => ({
    at: (first + index) * step,
    counts: { good: 0, moved: 0, warn: 0, bad: 0 },
    total: 0,
  }));
  for (const row of rows) {
    const bin = bins[Math.floor(Date.parse(String(row.time)) / step) - first];
    if (!bin || typeof row.count !== 'number') continue;
    bin.counts[kindOf(row)] += row.count;
    bin.total += row.count;
  }
  return bins;
}

/** What is there can be seen, however little it is. */
const LEAST = 3;

/** The heights of a bin's parts in the order of the kinds, at most `height` together. */
export function heightsOf({ counts }: Bin, max: number, height: number): [Kind, number][] {
  const there = KINDS.filter((kind) => counts[kind] > 0);
  const heights = there.map((kind) => Math.max(LEAST, (counts[kind] / max) * height));
  const over = heights.reduce((sum, part) => sum + part, 0) - height;
  const largest = heights.indexOf(Math.max(...heights));
  return there.map((kind, index) => {
    const part = heights[index] ?? 0;
    return [kind, index === largest && over > 0 ? part - over : part];
  });
}

import { useMemo, useState } from 'react';
import type { Cell, Stats } from '../api/types';
import { useApp, useFollows } from '../app-state';
import { formatBytes, formatCount, formatElapsed, formatShare } from '../common/format';
import { ArrowDown, ArrowUp } from '../common/icons';
import { Notice } from '../entries/state';
import { Completeness } from '../stats/complete';
import { type Asked, useStats } from '../stats/use-stats';

/** By what entries are put together; the first that tells anything is shown until one is chosen. */
const GROUPINGS = [
  { name: 'service', label: 'Service', by: ['dst.service', 'dst.namespace'] },
  { name: 'name', label: 'Name', by: ['dst.name', 'dst.namespace'] },
  { name: 'address', label: 'Address', by: ['dst.ip', 'dst.port'] },
  { name: 'namespace', label: 'Namespace', by: ['dst.namespace'] },
  { name: 'protocol', label: 'Protocol', by: ['protocol'] },
] as const;
type Grouping = (typeof GROUPINGS)[number];

const COLUMNS: { name: string; label: string; show: (value: number) => string; title: string }[] = [
  { name: 'count', label: 'Requests', show: formatCount, title: 'Entries' },
  { name: 'errors', label: 'Errors', show: formatCount, title: 'Entries that failed' },
  { name: 'errorRate', label: 'Error share', show: formatShare, title: 'Part that failed' },
  { name: 'p50', label: 'p50', show: formatElapsed, title: 'Half took at most this long' },
  { name: 'p95', label: 'p95', show: formatElapsed, title: '95 % took at most this long' },
  { name: 'p99', label: 'p99', show: formatElapsed, title: '99 % took at most this long' },
  { name: 'bytes', label: 'Bytes', show: formatBytes, title: 'Requests and responses' },
];
const MEASURES = COLUMNS.map(({ name }) => name).join(',');

/** Services that are asked for. */
const MOST = 500;

function named(row: Record<string, Cell>, { by }: Grouping): boolean {
  return row[by[0]] !== null;
}

/** The first grouping, after the one that was asked for, that names something. */
function useGrouping(): [Grouping, Asked, (name: string) => void] {
  const kfl = useApp((state) => state.kfl);
  const lang = useApp((state) => state.lang);
  const since = useApp((state) => state.since);
  const until = useApp((state) => state.until);
  const paused = useApp((state) => state.paused);
  const follows = useFollows();
  const [chosen, choose] = useState<string | null>(null);
  const [guess, setGuess] = useState(0);
  const grouping =
    GROUPINGS.find(({ name }) => name === chosen) ?? GROUPINGS[guess] ?? GROUPINGS[0];
  const by = grouping.by.join(',');
  const request = { kfl, lang, since, until, by, measures: MEASURES, top: MOST, filters: true };
  const asked = useStats(request, follows && !paused);
  const { stats, request: of } = asked;
  const silent =
    chosen === null &&
    guess < 2 &&
    stats !== null &&
    of?.by === by &&
    !stats.partial &&
    stats.rows.length > 0 &&
    !stats.rows.some((row) => named(row, grouping));
  if (silent) setGuess(guess + 1);
  return [grouping, asked, choose];
}

/** How each service did: a line each, which narrows the filter. */
export default function Services() {
  const [grouping, { stats, request, busy, failure, retry }, choose] = useGrouping();
  const answered = request?.by === grouping.by.join(',') ? stats : null;
  return (
    <section className="stats" aria-label="Services" aria-busy={busy} data-testid="services">
      <div className="stats-bar">
        <label>
          Group by{' '}
          <select value={grouping.name} onChange={(event) => choose(event.target.value)}>
            {GROUPINGS.map(({ name, label }) => (
              <option key={name} value={name}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <span className="dim">of the responder</span>
        <span className="spacer" />
        {answered && (
          <span className="num">
            {formatCount(answered.rows.length + answered.more)} in {formatCount(answered.entries)}{' '}
            entries
          </span>
        )}
        {answered && <Completeness stats={answered} what="groups" />}
      </div>
      {failure !== null ? (
        <Notice
          title="The services could not be counted"
          action={
            <button type="button" onClick={retry}>
              Try again
            </button>
          }
        >
          {failure}
        </Notice>
      ) : !answered ? (
        <Notice busy title="Counting entries…" />
      ) : answered.rows.length === 0 ? (
        <Notice title="No entry matches">Clear the filter or choose another time.</Notice>
      ) : (
        <Table stats={answered} grouping={grouping} />
      )}
    </section>
  );
}

function Table({ stats, grouping }: { stats: Stats; grouping: Grouping }) {
  const [sort, setSort] = useState({ by: 'count', down: true });
  const rows = useMemo(() => sorted(stats, grouping, sort), [stats, grouping, sort]);
  const { propose } = useApp.getState();
  const head = (name: string, label: string, title: string) => (
    <th
      key={name}
      scope="col"
      aria-sort={sort.by !== name ? undefined : sort.down ? 'descending' : 'ascending'}
    >
      <button
        type="button"
        className="ghost"
        title={title}
        onClick={() => setSort({ by: name, down: sort.by === name ? !sort.down : name !== NAME })}
      >
        {label}
        {sort.by === name && (sort.down ? <ArrowDown /> : <ArrowUp />)}
      </button>
    </th>
  );
  return (
    <div className="stats-scroll" tabIndex={0} role="region" aria-label="Table of services">
      <table className="stats-table">
        <thead>
          <tr>
            {head(NAME, grouping.label, 'What the responder is called')}
            {COLUMNS.map(({ name, label, title }) => head(name, label, title))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ row, label, only }, index) => (
            <tr key={index}>
              <th scope="row">
                {only === null ? (
                  <span className="dim">{label}</span>
                ) : (
                  <button
                    type="button"
                    className="link"
                    title={`Filter: ${only}`}
                    onClick={() => propose(only)}
                  >
                    {label}
                  </button>
                )}
              </th>
              {COLUMNS.map(({ name, show }) => {
                const value = row[name];
                const bad = (name === 'errors' || name === 'errorRate') && Number(value) > 0;
                return (
                  <td key={name} data-status={bad ? 'bad' : undefined}>
                    {typeof value === 'number' ? show(value) : '–'}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const NAME = 'name';

interface Line {
  row: Record<string, Cell>;
  label: string;
  /** The filter that has it alone. */
  only: string | null;
}

/** `cart.shop`, `10.0.0.1:80`; what stands there where nothing is known. */
export function labelOf(row: Record<string, Cell>, by: readonly string[]): string {
  const [first, second] = by.map((name) => row[name] ?? null);
  if (first === null || first === undefined) return '(unknown)';
  if (second === null || second === undefined) return String(first);
  if (by[1]?.endsWith('.port')) {
    return String(first).includes(':') ? `[${first}]:${second}` : `${first}:${second}`;
  }
  return `${first}.${second}`;
}

export function sorted(
  { rows, filters }: Pick<Stats, 'rows' | 'filters'>,
  { by }: Pick<Grouping, 'by'>,
  sort: { by: string; down: boolean },
): Line[] {
  const lines = rows.map((row, index) => {
    return { row, label: labelOf(row, by), only: filters?.[index]?.only ?? null };
  });
  const sign = sort.down ? -1 : 1;
  return lines.sort((a, b) => {
    if (sort.by === NAME) return sign * a.label.localeCompare(b.label);
    const [x, y] = [a.row[sort.by], b.row[sort.by]];
    // what has no such number comes last either way
    if (typeof x !== 'number' || typeof y !== 'number') {
      return Number(typeof y === 'number') - Number(typeof x === 'number');
    }
    return sign * (x - y) || a.label.localeCompare(b.label);
  });
}

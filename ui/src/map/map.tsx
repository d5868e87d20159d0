import { useMemo, useState } from 'react';
import type { Cell, Stats } from '../api/types';
import { useApp, useFollows } from '../app-state';
import { formatCount, formatElapsed, formatShare } from '../common/format';
import { Notice } from '../entries/state';
import { labelOf } from '../services/services';
import { Completeness } from '../stats/complete';
import { useStats } from '../stats/use-stats';
import { layout } from './layout';

/** What a box stands for: fields of both ends. */
const GROUPINGS = [
  { name: 'name', label: 'Name', by: ['name', 'namespace'] },
  { name: 'service', label: 'Service', by: ['service', 'namespace'] },
  { name: 'namespace', label: 'Namespace', by: ['namespace'] },
  { name: 'address', label: 'Address', by: ['ip'] },
] as const;
type Grouping = (typeof GROUPINGS)[number];

/** Lines that are drawn: more can't be read. */
const MOST = 200;

function fields({ by }: Grouping): string {
  return ['src', 'dst'].flatMap((side) => by.map((field) => `${side}.${field}`)).join(',');
}

export interface Edge {
  src: string;
  dst: string;
  count: number;
  errorRate: number;
  p99: number | null;
  /** The filter that has it alone. */
  only: string | null;
}

export function edgesOf(
  { rows, filters }: Pick<Stats, 'rows' | 'filters'>,
  by: readonly string[],
): Edge[] {
  const end = (row: Record<string, Cell>, side: string) =>
    labelOf(
      row,
      by.map((field) => `${side}.${field}`),
    );
  return rows.map((row, index) => ({
    src: end(row, 'src'),
    dst: end(row, 'dst'),
    count: Number(row.count),
    errorRate: Number(row.errorRate),
    p99: typeof row.p99 === 'number' ? row.p99 : null,
    only: filters?.[index]?.only ?? null,
  }));
}

/** Who calls whom, how often, and with what success. */
export default function ServiceMap() {
  const kfl = useApp((state) => state.kfl);
  const lang = useApp((state) => state.lang);
  const since = useApp((state) => state.since);
  const until = useApp((state) => state.until);
  const span = useApp((state) => state.status?.span);
  const paused = useApp((state) => state.paused);
  const follows = useFollows();
  const [chosen, choose] = useState<string>(GROUPINGS[0].name);
  const [failing, setFailing] = useState(false);
  const grouping = GROUPINGS.find(({ name }) => name === chosen) ?? GROUPINGS[0];
  const by = fields(grouping);
  const measures = 'count,errorRate,p99';
  const request = { kfl, lang, since, until, by, measures, top: MOST, filters: true };
  const { stats, request: of, busy, failure, retry } = useStats(request, follows && !paused);
  const answered = of?.by === by ? stats : null;
  const edges = useMemo(() => {
    const all = answered ? edgesOf(answered, grouping.by) : [];
    return failing ? all.filter(({ errorRate }) => errorRate > 0) : all;
  }, [answered, grouping, failing]);
  const seconds =
    (Date.parse(until ?? span?.last ?? '') - Date.parse(since ?? span?.first ?? '')) / 1e3;
  return (
    <section className="stats" aria-label="Service map" aria-busy={busy} data-testid="map">
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
        <label>
          <input
            type="checkbox"
            checked={failing}
            onChange={(event) => setFailing(event.target.checked)}
          />{' '}
          Only with errors
        </label>
        <span className="spacer" />
        {answered && <Completeness stats={answered} what="connections" />}
      </div>
      {failure !== null ? (
        <Notice
          title="The map could not be made"
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
      ) : edges.length === 0 ? (
        <Notice title={failing ? 'No connection has errors' : 'No entry matches'} />
      ) : (
        <Drawing edges={edges} seconds={seconds} />
      )}
    </section>
  );
}

const WIDTH = 170;
const HEIGHT = 28;
const STEP_X = 330;
const STEP_Y = 48;
const EDGE = 16;

/** Requests a second; how many where no time is known. */
export function rateOf(count: number, seconds: number): string {
  if (!(seconds > 0)) return `${formatCount(count)}×`;
  const rate = count / seconds;
  if (rate >= 100) return `${formatCount(Math.round(rate))}/s`;
  return rate >= 0.01 ? `${rate.toFixed(rate >= 1 ? 1 : 2)}/s` : `${(rate * 3_600).toFixed(1)}/h`;
}

function Drawing({ edges, seconds }: { edges: readonly Edge[]; seconds: number }) {
  const { propose } = useApp.getState();
  const places = useMemo(() => new Map(layout(edges).map((place) => [place.name, place])), [edges]);
  const most = Math.max(...edges.map(({ count }) => count));
  const at = (name: string): [number, number] => {
    const { layer, row } = places.get(name) ?? { layer: 0, row: 0 };
    return [EDGE + layer * STEP_X, EDGE + row * STEP_Y];
  };
  const all = [...places.values()];
  const width = EDGE * 2 + Math.max(...all.map(({ layer }) => layer)) * STEP_X + WIDTH;
  const height = EDGE * 2 + Math.max(...all.map(({ row }) => row)) * STEP_Y + STEP_Y;
  return (
    <div className="stats-scroll" tabIndex={0} role="region" aria-label="Drawing of services">
      <svg className="map" width={width} height={height} role="group" aria-label="Connections">
        <defs>
          <marker
            id="map-arrow"
            viewBox="0 0 8 8"
            refX="7"
            refY="4"
            markerWidth="7"
            markerHeight="7"
            markerUnits="userSpaceOnUse"
            orient="auto-start-reverse"
          >
            <path d="M0 0L8 4L0 8z" className="map-arrow" />
          </marker>
        </defs>
        {edges.map((edge) => {
          const path = pathOf(at(edge.src), at(edge.dst), edge.src === edge.dst);
          const text = [
            rateOf(edge.count, seconds),
            ...(edge.errorRate > 0 ? [`${formatShare(edge.errorRate)} errors`] : []),
            ...(edge.p99 === null ? [] : [`p99 ${formatElapsed(edge.p99)}`]),
          ].join(' · ');
          const pick = () => edge.only !== null && propose(edge.only);
          return (
            <g
              key={`${edge.src}\n${edge.dst}`}
              className="map-edge"
              data-failing={edge.errorRate > 0 || undefined}
              role="button"
              tabIndex={0}
              aria-disabled={edge.only === null}
              aria-label={`${edge.src} to ${edge.dst}: ${formatCount(edge.count)} requests, ${text}`}
              onClick={pick}
              onKeyDown={(event) => {
                if (event.key !== 'Enter' && event.key !== ' ') return;
                event.preventDefault();
                event.stopPropagation();
                pick();
              }}
            >
              <title>{edge.only === null ? text : `Filter: ${edge.only}`}</title>
              <path className="map-hit" d={path.d} />
              <path
                className="map-line"
                d={path.d}
                strokeWidth={1 + 3 * (Math.log1p(edge.count) / Math.log1p(most))}
                markerEnd="url(#map-arrow)"
              />
              <text x={path.x} y={path.y} textAnchor="middle">
                {text}
              </text>
            </g>
          );
        })}
        {all.map(({ name }) => {
          const [x, y] = at(name);
          return (
            <g key={name} className="map-node" transform={`translate(${x} ${y})`}>
              <title>{name}</title>
              <rect width={WIDTH} height={HEIGHT} rx={5} />
              <text x={WIDTH / 2} y={HEIGHT / 2 + 4} textAnchor="middle">
                {name.length > 24 ? `${name.slice(0, 23)}…` : name}
              </text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}

/** A line from one box to another, and where its text stands. */
function pathOf([x1, y1]: [number, number], [x2, y2]: [number, number], own: boolean) {
  const [a, b] = [y1 + HEIGHT / 2, y2 + HEIGHT / 2];
  if (own) {
    const right = x1 + WIDTH;
    const d = `M${right} ${a - 6}C${right + 50} ${a - 26} ${right + 50} ${a + 26} ${right} ${a + 6}`;
    return { d, x: right + 80, y: a + 4 };
  }
  const back = x2 <= x1;
  const [from, to] = back ? [x1, x2 + WIDTH] : [x1 + WIDTH, x2];
  const bend = back && x1 === x2 ? -60 : (to - from) / 2;
  const [start, end] = back && x1 === x2 ? [x1, x1] : [from, to];
  const d = `M${start} ${a}C${start + bend} ${a} ${end - (x1 === x2 ? -bend : bend)} ${b} ${end} ${b}`;
  // nearer to the caller than to the middle, where lines cross
  return { d, x: start + (end - start) * 0.5, y: a + (b - a) * 0.5 - 5 };
}

import { useMemo, useRef, useState } from 'react';
import type { Stats } from '../api/types';
import { useApp, useFollows } from '../app-state';
import { type Zone, formatCount, formatShort, splitTime } from '../common/format';
import { Close } from '../common/icons';
import { Completeness } from '../stats/complete';
import { useStats } from '../stats/use-stats';
import { BY, type Bin, KINDS, KIND_LABEL, binsOf, heightsOf, stepOf, stepText } from './bins';

/** Bins, at most: each is some pixels wide. */
const MOST = 120;

/** The span of time to show, in milliseconds: [from, to). */
function useSpan(): [number, number] | null {
  const since = useApp((state) => state.since);
  const until = useApp((state) => state.until);
  const first = useApp((state) => state.status?.span?.first);
  const last = useApp((state) => state.status?.span?.last);
  const from = since ?? first;
  const to = until ?? last;
  if (from === undefined || to === undefined) return null;
  const start = Date.parse(from);
  // the last entry is in it
  const end = Date.parse(to) + (until === undefined ? 1 : 0);
  return end > start ? [start, end] : [start, start + 1];
}

/** How many entries there were when, above the list; what is marked in it is the time that is shown. */
export function Timeline() {
  const kfl = useApp((state) => state.kfl);
  const lang = useApp((state) => state.lang);
  const since = useApp((state) => state.since);
  const until = useApp((state) => state.until);
  const paused = useApp((state) => state.paused);
  const follows = useFollows();
  const span = useSpan();
  const step = span ? stepOf(span[1] - span[0], MOST) : null;
  const every = step === null ? undefined : stepText(step);
  const asked = useStats(
    every === undefined ? null : { kfl, lang, since, until, every, by: BY, measures: 'count' },
    follows && !paused,
  );
  const { stats, request, busy, failure, retry } = asked;
  const answered = stats && request?.every === every ? stats : null;
  const [from, to] = span ?? [0, 0];
  const bins = useMemo(
    () => (answered && step !== null ? binsOf(answered.rows, step, from, to) : null),
    [answered, step, from, to],
  );
  if (!span || step === null) return null;
  return (
    <section className="timeline" aria-label="Timeline" aria-busy={busy} data-testid="timeline">
      {failure !== null ? (
        <p className="timeline-state panel-error" role="alert">
          The timeline could not be made: {failure}{' '}
          <button type="button" className="link" onClick={retry}>
            Try again
          </button>
        </p>
      ) : bins ? (
        <Chart bins={bins} step={step} />
      ) : (
        <p className="timeline-state dim" role="status">
          Counting entries…
        </p>
      )}
      <Side stats={answered} />
    </section>
  );
}

function Side({ stats }: { stats: Stats | null }) {
  const since = useApp((state) => state.since);
  const until = useApp((state) => state.until);
  const zone = useApp((state) => state.zone);
  const { setRange } = useApp.getState();
  const limited = since !== undefined || until !== undefined;
  const text = (moment: string | undefined) =>
    moment ? (splitTime(moment, zone)?.time ?? '') : '';
  const range = `${text(since)} – ${text(until)}`;
  return (
    <div className="timeline-side">
      <span className="num" data-testid="timeline-total">
        {stats ? `${formatCount(stats.entries)} ${stats.entries === 1 ? 'entry' : 'entries'}` : ''}
      </span>
      {limited && (
        <button
          type="button"
          aria-label={`${range}: show all times`}
          title="Show all times"
          onClick={() => setRange()}
        >
          <span className="num">{range}</span>
          <Close />
        </button>
      )}
      {stats && <Completeness stats={stats} what="spans of time" />}
    </div>
  );
}

/** Height in units of the drawing; its width is one unit a bin. */
const HEIGHT = 100;

interface ChartProps {
  bins: Bin[];
  /** Milliseconds */
  step: number;
}

/** Bars that can be marked by pointer and by keyboard. */
function Chart({ bins, step }: ChartProps) {
  const zone = useApp((state) => state.zone);
  const { setRange } = useApp.getState();
  const plot = useRef<HTMLDivElement>(null);
  /** The bin that the pointer or the keyboard is at. */
  const [at, setAt] = useState<number | null>(null);
  /** Where marking began. */
  const [anchor, setAnchor] = useState<number | null>(null);
  const max = Math.max(1, ...bins.map((bin) => bin.total));
  const here = at === null ? null : Math.min(at, bins.length - 1);
  const marked =
    anchor !== null && here !== null ? [Math.min(anchor, here), Math.max(anchor, here)] : null;

  const binAt = (event: React.PointerEvent) => {
    const box = plot.current?.getBoundingClientRect();
    if (!box || box.width === 0) return 0;
    const share = (event.clientX - box.left) / box.width;
    return Math.min(bins.length - 1, Math.max(0, Math.floor(share * bins.length)));
  };
  const apply = (from: number, to: number) => {
    const [first, last] = [bins[Math.min(from, to)], bins[Math.max(from, to)]];
    setAnchor(null);
    if (first && last) {
      setRange(new Date(first.at).toISOString(), new Date(last.at + step).toISOString());
    }
  };
  const onKey = (event: React.KeyboardEvent) => {
    const steps: Record<string, number> = {
      ArrowLeft: -1,
      ArrowRight: 1,
      PageUp: 10,
      PageDown: -10,
      Home: -bins.length,
      End: bins.length,
    };
    const move = steps[event.key];
    if (move !== undefined) {
      const now = here ?? (move > 0 ? -1 : bins.length);
      const next = Math.min(bins.length - 1, Math.max(0, now + move));
      if (!event.shiftKey) setAnchor(null);
      else if (anchor === null) setAnchor(Math.min(bins.length - 1, Math.max(0, now)));
      setAt(next);
    } else if (event.key === 'Enter' && here !== null) {
      apply(anchor ?? here, here);
    } else if (event.key === 'Escape' && anchor !== null) {
      setAnchor(null);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    event.nativeEvent.stopImmediatePropagation();
  };

  const shown = here === null ? null : bins[here];
  const text = shown ? describe(shown, step, zone) : `${bins.length} spans of ${stepText(step)}`;
  return (
    <div className="timeline-chart">
      <div
        className="timeline-plot"
        ref={plot}
        role="slider"
        tabIndex={0}
        aria-label="Entries over time. Arrow keys move, with Shift they mark, Enter shows what is marked"
        aria-valuemin={0}
        aria-valuemax={bins.length - 1}
        aria-valuenow={here ?? 0}
        aria-valuetext={text}
        onKeyDown={onKey}
        onBlur={() => setAt(null)}
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          setAt(binAt(event));
          setAnchor(binAt(event));
        }}
        onPointerMove={(event) => setAt(binAt(event))}
        onPointerUp={(event) => {
          if (anchor !== null) apply(anchor, binAt(event));
        }}
        onPointerCancel={() => setAnchor(null)}
        onPointerLeave={(event) => {
          if (!event.currentTarget.hasPointerCapture(event.pointerId)) setAt(null);
        }}
      >
        <svg
          viewBox={`0 0 ${bins.length} ${HEIGHT}`}
          preserveAspectRatio="none"
          aria-hidden="true"
          data-testid="timeline-bars"
        >
          {marked && (
            <rect
              className="timeline-marked"
              x={marked[0]}
              width={(marked[1] ?? 0) - (marked[0] ?? 0) + 1}
              height={HEIGHT}
            />
          )}
          {bins.map((bin, index) => (
            <Bar key={bin.at} bin={bin} index={index} max={max} here={index === here} />
          ))}
        </svg>
        <span className="timeline-max num" aria-hidden="true">
          {formatShort(max)}
        </span>
        {shown && (
          <span
            className="timeline-tip num"
            data-side={(here ?? 0) > bins.length / 2 ? 'left' : 'right'}
            aria-hidden="true"
          >
            {text}
          </span>
        )}
      </div>
      <Axis bins={bins} step={step} zone={zone} />
    </div>
  );
}

function Bar(props: { bin: Bin; index: number; max: number; here: boolean }) {
  const { bin, index, max, here } = props;
  let below = 0;
  return (
    <g data-here={here || undefined}>
      {here && <rect className="timeline-here" x={index} width={1} height={HEIGHT} />}
      {heightsOf(bin, max, HEIGHT).map(([kind, height]) => {
        below += height;
        return (
          <rect
            key={kind}
            data-kind={kind}
            x={index + 0.08}
            width={0.84}
            y={HEIGHT - below}
            height={height}
          />
        );
      })}
    </g>
  );
}

function describe(bin: Bin, step: number, zone: Zone): string {
  const time = splitTime(new Date(bin.at).toISOString(), zone);
  const parts = KINDS.filter((kind) => bin.counts[kind] > 0 && kind !== 'good');
  const kinds = parts.map((kind) => `${formatCount(bin.counts[kind])} ${KIND_LABEL[kind]}`);
  const count = `${formatCount(bin.total)} ${bin.total === 1 ? 'entry' : 'entries'}`;
  return [`${time?.date} ${time?.time}, ${stepText(step)}`, count, ...kinds].join(' · ');
}

const TICKS = 6;

function Axis({ bins, step, zone }: ChartProps & { zone: Zone }) {
  const every = Math.max(1, Math.ceil(bins.length / TICKS));
  const ticks = bins.filter((_, index) => index % every === 0);
  const label = (at: number) => {
    const time = splitTime(new Date(at).toISOString(), zone);
    if (!time) return '';
    if (step >= 24 * 3_600_000) return time.date;
    if (step >= 3_600_000) return `${time.date.slice(5)} ${time.time.slice(0, 5)}`;
    return step < 1_000 ? time.time : time.time.slice(0, 8);
  };
  return (
    <div className="timeline-axis num" aria-hidden="true">
      {ticks.map((bin, index) => (
        <span key={bin.at} style={{ left: `${((index * every) / bins.length) * 100}%` }}>
          {label(bin.at)}
        </span>
      ))}
    </div>
  );
}

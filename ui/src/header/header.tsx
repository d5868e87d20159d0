import type { Recording, Status } from '../api/types';
import { type AppState, useApp } from '../app-state';
import { formatAgo, formatBytes, formatCount } from '../common/format';
import { Help, Logo, Monitor, Moon, Sun, Warning } from '../common/icons';
import { Popover } from '../common/popover';
import type { Theme } from '../common/theme';
import type { Feed } from '../entries/store';

export function Header({ feed, help }: { feed: Feed; help: () => void }) {
  const status = useApp((state) => state.status);
  const unreachable = useApp((state) => state.unreachable);
  return (
    <header className="header">
      <h1 className="logo">
        <Logo /> Gillnet
      </h1>
      {status && <Source status={status} />}
      <Connection feed={feed} status={status} unreachable={unreachable} />
      <span className="spacer" />
      {status?.recording && <RecordingBadge recording={status.recording} />}
      {status && <Drops status={status} />}
      <ThemeMenu />
      <button
        type="button"
        className="ghost"
        aria-label="Keyboard shortcuts"
        title="Keyboard shortcuts (?)"
        onClick={help}
      >
        <Help />
      </button>
    </header>
  );
}

function Source({ status: { mode, source, node, cluster } }: { status: Status }) {
  const where = [node && `node ${node}`, cluster && `cluster ${cluster}`].filter(Boolean);
  return (
    <span className="source" title={where.join(', ')}>
      <span className="mode">{mode === 'live' ? 'Live' : 'Recording'}</span>
      <span className="clip">{source}</span>
    </span>
  );
}

interface ConnectionProps {
  feed: Feed;
  status: Status | null;
  unreachable: boolean;
}

export function connectionOf({ feed, status, unreachable }: ConnectionProps): [string, string] {
  if (unreachable) return ['bad', 'Not reachable'];
  if (!status || feed.phase === 'connecting') return ['busy', 'Connecting'];
  if (feed.phase === 'reconnecting') return ['bad', 'Reconnecting'];
  if (status.mode === 'live') return feed.phase === 'open' ? ['good', 'Live'] : ['bad', 'Stopped'];
  const { progress } = status;
  if (progress?.error) return ['bad', 'Read with errors'];
  if (progress && !progress.finished) {
    const share =
      progress.total > 0 ? ` ${Math.floor((progress.done / progress.total) * 100)} %` : '';
    return ['busy', `Reading${share}`];
  }
  return ['good', 'Ready'];
}

function Connection(props: ConnectionProps) {
  const [kind, text] = connectionOf(props);
  return (
    <span className="connection" data-kind={kind} role="status" data-testid="connection">
      <span className="dot" aria-hidden="true" />
      {text}
    </span>
  );
}

const RECORDING_TEXT: Record<Recording['state'], string> = {
  recording: 'REC',
  waiting: 'Rec. waits',
  done: 'Rec. done',
  expired: 'Rec. expired',
  stopped: 'Rec. stopped',
  'disk-full': 'Disk full',
  'spool-full': 'Spool full',
};

function RecordingBadge({ recording }: { recording: Recording }) {
  const now = useApp((state) => state.statusAt);
  const { rule, kfl, destination, state, lastUpload, error } = recording;
  const kind = error ? 'error' : state;
  return (
    <Popover
      className="badge-button"
      label={`${RECORDING_TEXT[state]}: ${rule}${error ? ', with an error' : ''}`}
      button={
        <span className="recording" data-kind={kind}>
          {error ? <Warning /> : <span className="dot" aria-hidden="true" />}
          {RECORDING_TEXT[state]}: {rule}
        </span>
      }
    >
      {() => (
        <>
          {error && <p className="panel-error">{error}</p>}
          <dl className="facts">
            <Fact name="Rule" value={rule} />
            <Fact name="Filter" value={kfl === '' ? 'everything' : kfl} mono />
            <Fact name="Destination" value={destination} mono />
            <Fact
              name="Last upload"
              value={lastUpload ? formatAgo(lastUpload, now) : 'none yet'}
              title={lastUpload ?? undefined}
            />
            <Fact name="Uploaded objects" value={formatCount(recording.uploadedObjects)} />
            <Fact name="Waiting objects" value={formatCount(recording.pendingObjects)} />
            <Fact name="Spool" value={formatBytes(recording.spoolBytes)} />
          </dl>
        </>
      )}
    </Popover>
  );
}

function Fact(props: { name: string; value: string; title?: string; mono?: boolean }) {
  return (
    <>
      <dt>{props.name}</dt>
      <dd className={props.mono ? 'mono' : undefined} title={props.title}>
        {props.value}
      </dd>
    </>
  );
}

function Drops({ status: { drops, counters } }: { status: Status }) {
  const lost = Object.entries(drops).filter(([, count]) => count > 0);
  lost.sort(([, a], [, b]) => b - a);
  const total = lost.reduce((sum, [, count]) => sum + count, 0);
  return (
    <Popover
      className="badge-button"
      label={`Dropped: ${formatCount(total)}`}
      button={
        <span className="drops" data-kind={total > 0 ? 'some' : 'none'}>
          {total > 0 && <Warning />}
          Dropped: {formatCount(total)}
        </span>
      }
    >
      {() => (
        <>
          <h2>Left out, by reason</h2>
          {lost.length === 0 ? (
            <p className="dim">Nothing has been dropped.</p>
          ) : (
            <Counts entries={lost} />
          )}
          <h2>Counters</h2>
          <Counts entries={Object.entries(counters)} />
        </>
      )}
    </Popover>
  );
}

function Counts({ entries }: { entries: [string, number][] }) {
  return (
    <dl className="facts counts">
      {entries.map(([name, count]) => (
        <Fact key={name} name={name} value={formatCount(count)} />
      ))}
    </dl>
  );
}

const THEMES: { theme: Theme; label: string; Icon: typeof Sun }[] = [
  { theme: 'light', label: 'Light', Icon: Sun },
  { theme: 'dark', label: 'Dark', Icon: Moon },
  { theme: 'system', label: 'System', Icon: Monitor },
];

function ThemeMenu() {
  const theme = useApp((state: AppState) => state.theme);
  const { setTheme } = useApp.getState();
  return (
    <div className="segmented" role="group" aria-label="Colours">
      {THEMES.map(({ theme: value, label, Icon }) => (
        <button
          type="button"
          key={value}
          aria-label={`${label} colours`}
          title={`${label} colours`}
          aria-pressed={theme === value}
          onClick={() => setTheme(value)}
        >
          <Icon />
        </button>
      ))}
    </div>
  );
}

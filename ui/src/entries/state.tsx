import type { ReactNode } from 'react';
import type { Progress, Status } from '../api/types';
import { useApp } from '../app-state';
import { formatBytes, formatCount } from '../common/format';
import type { Feed } from './store';

interface Props {
  feed: Feed;
  status: Status | null;
  kfl: string;
  retry: () => void;
}

/** What stands in the list's place while it has no rows: never nothing, and with the next step. */
export function EmptyState({ feed, status, kfl, retry }: Props) {
  const clear = () => useApp.getState().propose('');
  const tryAgain = (
    <button type="button" onClick={retry}>
      Try again
    </button>
  );
  const clearFilter = (
    <button type="button" onClick={clear}>
      Clear filter
    </button>
  );
  switch (feed.phase) {
    case 'connecting':
      return <Notice busy title="Connecting to Gillnet…" />;
    case 'loading':
      return <Notice busy title="Asking for entries…" />;
    case 'reconnecting':
      return (
        <Notice busy title={feed.message} action={tryAgain}>
          Trying again (attempt {feed.attempt}). Is the process still running?
        </Notice>
      );
    case 'failed':
      return (
        <Notice title="The entries could not be read" action={tryAgain}>
          {feed.message}
        </Notice>
      );
    case 'invalid':
      return (
        <Notice title="This filter is not valid" action={clearFilter}>
          {feed.error.message}
        </Notice>
      );
    case 'open':
    case 'ended':
    case 'full':
      return <NoEntries status={status} kfl={kfl} clearFilter={clearFilter} />;
  }
}

function NoEntries(props: { status: Status | null; kfl: string; clearFilter: ReactNode }) {
  const { status, kfl, clearFilter } = props;
  const progress = status?.progress;
  if (progress && !progress.finished) {
    return (
      <Notice busy title="Reading the recording…">
        <ProgressLine progress={progress} />
      </Notice>
    );
  }
  if (progress?.error) {
    return <Notice title="The recording could not be read whole">{progress.error}</Notice>;
  }
  const { since, until, setRange } = useApp.getState();
  if (since !== undefined || until !== undefined) {
    const all = (
      <button type="button" onClick={() => setRange()}>
        Show all times
      </button>
    );
    return (
      <Notice title="No entry in this span of time" action={all}>
        {kfl !== '' && (
          <>
            Filter: <code>{kfl}</code>
          </>
        )}
      </Notice>
    );
  }
  if (kfl !== '') {
    const title = status?.mode === 'live' ? 'Nothing has matched yet' : 'No entry matches';
    return (
      <Notice title={title} action={clearFilter}>
        {status?.mode === 'live' && 'Matching entries appear here as they come. '}
        Filter: <code>{kfl}</code>
      </Notice>
    );
  }
  if (status?.mode === 'live') {
    return (
      <Notice busy title={`Listening on ${status.source}`}>
        No traffic has been seen yet. Entries appear here as soon as some passes.
      </Notice>
    );
  }
  return (
    <Notice title="This recording holds no entries">
      {status ? `Nothing in ${status.source} was recognised as a request or a response.` : null}
    </Notice>
  );
}

interface NoticeProps {
  title: string;
  busy?: boolean;
  action?: ReactNode;
  children?: ReactNode;
}

export function Notice({ title, busy, action, children }: NoticeProps) {
  return (
    <div className="notice" role="status">
      {busy && <span className="spinner" aria-hidden="true" />}
      <p className="notice-title">{title}</p>
      {children && <div className="notice-text">{children}</div>}
      {action}
    </div>
  );
}

function amount(value: number, unit: Progress['unit']): string {
  return unit === 'bytes' ? formatBytes(value) : formatCount(value);
}

export function ProgressLine({ progress: { done, total, unit } }: { progress: Progress }) {
  const share = total > 0 ? Math.min(100, Math.floor((done / total) * 100)) : null;
  return (
    <span className="progress">
      <progress aria-label="Reading the recording" max={100} value={share ?? undefined} />
      <span>
        {share !== null && `${share} % · `}
        {amount(done, unit)}
        {total > 0 && ` of ${amount(total, unit)}`}
        {unit === 'objects' && ' objects'}
      </span>
    </span>
  );
}

/** What stands below the rows. */
export function Footer({ feed, retry }: Pick<Props, 'feed' | 'retry'>) {
  switch (feed.phase) {
    case 'loading':
      return <div className="list-footer">Asking for more…</div>;
    case 'failed':
      return (
        <div className="list-footer" data-kind="error">
          {feed.message}{' '}
          <button type="button" className="link" onClick={retry}>
            Try again
          </button>
        </div>
      );
    case 'reconnecting':
      return (
        <div className="list-footer" data-kind="error">
          {feed.message} Trying again (attempt {feed.attempt}).{' '}
          <button type="button" className="link" onClick={retry}>
            Try now
          </button>
        </div>
      );
    case 'full':
      return (
        <div className="list-footer">
          The browser keeps no more rows. Narrow the filter to see later ones.
        </div>
      );
    case 'invalid':
      return (
        <div className="list-footer" data-kind="error">
          {feed.error.message}
        </div>
      );
    default:
      return null;
  }
}

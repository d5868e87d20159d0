import { useEffect, useRef, useState } from 'react';
import { useApp, useFollows } from '../app-state';
import { formatCount } from '../common/format';
import { Pause, Play, Sort } from '../common/icons';
import { VIEWS, type View } from '../common/url';
import { ProgressLine } from '../entries/state';
import { type EntryStore, CAPACITY } from '../entries/store';
import { useStore, useView } from '../entries/use-view';
import { ExportMenu } from './export';

/** The line above the list: how much there is, and what moves it. */
export function Toolbar({ store, retry }: { store: EntryStore; retry: () => void }) {
  const status = useApp((state) => state.status);
  const live = useFollows();
  const view = useApp((state) => state.view);
  return (
    <div className="toolbar" role="toolbar" aria-label="List">
      <ViewButtons />
      {view !== 'entries' ? null : live ? <PauseButton store={store} /> : status && <OrderButton />}
      {view === 'entries' && <Counts store={store} live={live} />}
      <span className="spacer" />
      {status?.progress && !status.progress.finished && <ProgressLine progress={status.progress} />}
      {status?.progress?.error && (
        <span className="panel-error" role="alert">
          {status.progress.error}
          <button type="button" className="link" onClick={retry}>
            Reload
          </button>
        </span>
      )}
      <button type="button" onClick={() => useApp.setState({ top: '' })}>
        Top values
      </button>
      <ExportMenu />
      <ZoneButton />
    </div>
  );
}

const VIEW_LABEL: Record<View, string> = {
  entries: 'Entries',
  services: 'Services',
  map: 'Map',
};

function ViewButtons() {
  const view = useApp((state) => state.view);
  const { setView } = useApp.getState();
  return (
    <div className="segmented views" role="group" aria-label="View">
      {VIEWS.map((name) => (
        <button type="button" key={name} aria-pressed={view === name} onClick={() => setView(name)}>
          {VIEW_LABEL[name]}
        </button>
      ))}
    </div>
  );
}

function PauseButton({ store }: { store: EntryStore }) {
  const paused = useApp((state) => state.paused);
  useStore(store);
  const { togglePause } = useApp.getState();
  return (
    <button
      type="button"
      className="pause"
      aria-pressed={paused}
      title={paused ? 'Resume (space)' : 'Pause (space)'}
      onClick={togglePause}
    >
      {paused ? <Play /> : <Pause />}
      {paused ? `Paused: ${formatCount(store.arrived)} new` : 'Pause'}
    </button>
  );
}

function OrderButton() {
  const order = useApp((state) => state.order);
  const { setOrder } = useApp.getState();
  return (
    <button
      type="button"
      aria-pressed={order === 'desc'}
      onClick={() => setOrder(order === 'desc' ? 'asc' : 'desc')}
    >
      <Sort /> Newest first
    </button>
  );
}

/** Time between two announcements of the counts, so that readers of the screen are not flooded. */
const ANNOUNCE_MS = 5_000;

function Counts({ store, live }: { store: EntryStore; live: boolean }) {
  const view = useView(store);
  const rows = view.end - view.first;
  const { matched, skipped } = store;
  const text =
    matched !== null && !live
      ? `${formatCount(rows)} of ${formatCount(matched)}`
      : formatCount(rows);
  const label = `${text} ${rows === 1 && !text.includes('of') ? 'entry' : 'entries'}`;
  return (
    <>
      <span className="counts" data-testid="counts">
        {label}
        {live && rows >= CAPACITY && <span className="dim"> (older ones left)</span>}
      </span>
      {skipped > 0 && (
        <span className="skipped" title="More came than the live feed could bring to this browser.">
          {formatCount(skipped)} not shown
        </span>
      )}
      <Announcement text={label} />
    </>
  );
}

function Announcement({ text }: { text: string }) {
  const [said, say] = useState(text);
  const latest = useRef(text);
  useEffect(() => {
    latest.current = text;
  }, [text]);
  useEffect(() => {
    const timer = setInterval(() => say(latest.current), ANNOUNCE_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <span className="off-screen" role="status">
      {said}
    </span>
  );
}

function ZoneButton() {
  const zone = useApp((state) => state.zone);
  const { setZone } = useApp.getState();
  return (
    <div className="segmented" role="group" aria-label="Times">
      {(['local', 'utc'] as const).map((value) => (
        <button
          type="button"
          key={value}
          aria-pressed={zone === value}
          onClick={() => setZone(value)}
        >
          {value === 'utc' ? 'UTC' : 'Local'}
        </button>
      ))}
    </div>
  );
}

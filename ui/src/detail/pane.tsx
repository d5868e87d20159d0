import { type ReactNode, useEffect, useMemo, useState } from 'react';
import { api } from '../api/client';
import type { Entry, EntryRef } from '../api/types';
import { DETAIL_TABS, type DetailTab, useApp } from '../app-state';
import { formatAddress, formatElapsed } from '../common/format';
import { ArrowRight, Close, Copy, DockBottom, DockRight, Warning } from '../common/icons';
import { ExportMenu } from '../header/export';
import { ProtocolTag, statusKind } from '../entries/row';
import { rowKey } from '../entries/store';
import { JsonText } from './body';
import { prettyJson } from './body-data';
import { Connection } from './connection';
import { curlOf } from './curl';
import { Exchange } from './messages';
import { copy } from './values';

type Loaded = { ref: EntryRef } & ({ entry: Entry } | { failure: string });

/** Time the selection must rest before its details are asked for. */
const REST_MS = 60;

function useEntry(ref: EntryRef): { loaded: Loaded | null; stale: boolean; retry: () => void } {
  const [loaded, setLoaded] = useState<Loaded | null>(null);
  const [attempt, setAttempt] = useState(0);
  const key = rowKey(ref);
  useEffect(() => {
    const abort = new AbortController();
    const timer = setTimeout(() => {
      api.entry(ref, useApp.getState(), abort.signal).then(
        (entry) => setLoaded({ ref, entry }),
        (error: unknown) => {
          if (abort.signal.aborted) return;
          setLoaded({ ref, failure: error instanceof Error ? error.message : String(error) });
        },
      );
    }, REST_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the key says all that the ref does
  }, [key, attempt]);
  return {
    loaded,
    stale: !loaded || rowKey(loaded.ref) !== key,
    retry: () => setAttempt(attempt + 1),
  };
}

export function DetailPane({ entryRef }: { entryRef: EntryRef }) {
  const { loaded, stale, retry } = useEntry(entryRef);
  let content: ReactNode;
  if (!loaded) {
    content = <Placeholder>Asking for the entry…</Placeholder>;
  } else if ('failure' in loaded) {
    content = (
      <Placeholder>
        <p>The entry could not be read: {loaded.failure}</p>
        <button type="button" onClick={retry}>
          Try again
        </button>
      </Placeholder>
    );
  } else {
    content = <EntryView key={rowKey(loaded.ref)} entry={loaded.entry} entryRef={loaded.ref} />;
  }
  return (
    <section className="detail" aria-label="Details" aria-busy={stale} data-testid="detail">
      {content}
    </section>
  );
}

function PaneButtons() {
  const dock = useApp((state) => state.dock);
  const { open, setDock } = useApp.getState();
  const other = dock === 'bottom' ? 'right' : 'bottom';
  return (
    <>
      <button
        type="button"
        className="ghost"
        aria-label={`Dock to the ${other}`}
        title={`Dock to the ${other}`}
        onClick={() => setDock(other)}
      >
        {other === 'right' ? <DockRight /> : <DockBottom />}
      </button>
      <button
        type="button"
        className="ghost"
        aria-label="Close details"
        title="Close details (Esc)"
        onClick={() => open(null)}
      >
        <Close />
      </button>
    </>
  );
}

function Placeholder({ children }: { children: ReactNode }) {
  return (
    <>
      <div className="detail-head">
        <span className="spacer" />
        <PaneButtons />
      </div>
      <div className="notice">{children}</div>
    </>
  );
}

const TAB_LABEL: Record<DetailTab, string> = {
  exchange: 'Exchange',
  connection: 'Connection',
  json: 'JSON',
};

function EntryView({ entry, entryRef }: { entry: Entry; entryRef: EntryRef }) {
  const tab = useApp((state) => state.tab);
  return (
    <>
      <EntryHead entry={entry} />
      <div className="detail-bar">
        <Tabs />
        <span className="spacer" />
        <Actions entry={entry} entryRef={entryRef} />
      </div>
      <div
        className="detail-body"
        role="tabpanel"
        id={`panel-${tab}`}
        aria-labelledby={`tab-${tab}`}
        tabIndex={0}
      >
        <Notes entry={entry} />
        {tab === 'exchange' && <Exchange entry={entry} />}
        {tab === 'connection' && <Connection entry={entry} />}
        {tab === 'json' && <WholeJson entry={entry} />}
      </div>
    </>
  );
}

/** The entry in a line, from what its own messages say. */
export function headline({ protocol, request, response, error }: Entry) {
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  if (protocol.name === 'dns') {
    const questions = (request?.questions ?? []) as { name?: unknown; type?: unknown }[];
    const [question] = Array.isArray(questions) ? questions : [];
    return {
      method: text(question?.type),
      subject: text(question?.name),
      status: text(response?.code) || (error?.type ?? ''),
      code: null,
      ok: !error && (response?.rcode ?? 0) === 0,
    };
  }
  const code = typeof response?.status === 'number' ? response.status : null;
  return {
    method: text(request?.method) || text(request?.command),
    subject: text(request?.url) || text(request?.path),
    status: code === null ? (error?.type ?? '') : `${code} ${text(response?.statusText)}`.trim(),
    code,
    ok: !error && (code === null || code < 400),
  };
}

function EntryHead({ entry }: { entry: Entry }) {
  const { method, subject, status, code, ok } = headline(entry);
  const kind = statusKind({ ok, statusCode: code, status, error: entry.error });
  const end = (side: Entry['src']) => side.name || formatAddress(side);
  return (
    <div className="detail-head">
      <ProtocolTag protocol={entry.protocol} />
      <h2 className="mono clip" title={subject}>
        {method} {subject}
      </h2>
      {status && (
        <span className="mono" data-status={kind}>
          {status}
        </span>
      )}
      <span className="num">{formatElapsed(entry.elapsedTime)}</span>
      <span className="detail-ends dim">
        {end(entry.src)} <ArrowRight /> {end(entry.dst)}
      </span>
      <span className="spacer" />
      <PaneButtons />
    </div>
  );
}

function Tabs() {
  const tab = useApp((state) => state.tab);
  const { setTab } = useApp.getState();
  const onKey = (event: React.KeyboardEvent) => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    const next = step && DETAIL_TABS[DETAIL_TABS.indexOf(tab) + step];
    if (!next) return;
    setTab(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <div className="tabs" role="tablist" aria-label="Details" onKeyDown={onKey}>
      {DETAIL_TABS.map((name) => (
        <button
          type="button"
          key={name}
          role="tab"
          id={`tab-${name}`}
          aria-selected={tab === name}
          aria-controls={tab === name ? `panel-${name}` : undefined}
          tabIndex={tab === name ? 0 : -1}
          onClick={() => setTab(name)}
        >
          {TAB_LABEL[name]}
        </button>
      ))}
    </div>
  );
}

function Actions({ entry, entryRef }: { entry: Entry; entryRef: EntryRef }) {
  const curl = useMemo(() => curlOf(entry), [entry]);
  return (
    <div className="actions">
      <ExportMenu stream={{ ...entryRef, stream: entry.stream }} />
      <button
        type="button"
        onClick={() => void copy(JSON.stringify(entry, null, 2), 'Entry')}
        title="Copy the entry as JSON"
      >
        <Copy /> JSON
      </button>
      {curl && (
        <button
          type="button"
          title="Copy the request as a curl command"
          onClick={() =>
            void copy(
              curl.command,
              curl.left ? `Command without its body (${curl.left})` : 'Command',
            )
          }
        >
          <Copy /> cURL
        </button>
      )}
    </div>
  );
}

function Notes({ entry: { error, notes } }: { entry: Entry }) {
  const lines = [...(error ? [`${error.type}: ${error.msg}`] : []), ...(notes ?? [])];
  if (lines.length === 0) return null;
  return (
    <ul className="notes" aria-label="Notes">
      {lines.map((line, index) => (
        <li key={index} data-kind={error && index === 0 ? 'error' : 'note'}>
          <Warning /> {line}
        </li>
      ))}
    </ul>
  );
}

function WholeJson({ entry }: { entry: Entry }) {
  const pieces = useMemo(() => prettyJson(JSON.stringify(entry)), [entry]);
  return <JsonText pieces={pieces ?? []} />;
}

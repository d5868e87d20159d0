import { useEffect, useRef, useState } from 'react';
import { api } from '../api/client';
import type { Stats } from '../api/types';
import { useApp } from '../app-state';
import { formatCount, formatShare } from '../common/format';
import { Close } from '../common/icons';
import { Completeness } from '../stats/complete';
import { useStats } from '../stats/use-stats';

/** Values that are asked for. */
const MOST = 50;

/** The most frequent values of a field among what is shown; open while the page's state names a field. */
export function TopValues() {
  const field = useApp((state) => state.top);
  const dialog = useRef<HTMLDialogElement>(null);
  const open = field !== null;
  useEffect(() => {
    const element = dialog.current;
    if (open && element && !element.open) element.showModal();
    if (!open) element?.close();
  }, [open]);
  return (
    <dialog
      ref={dialog}
      className="help top-values"
      aria-labelledby="top-title"
      onClose={() => useApp.setState({ top: null })}
      data-testid="top-values"
    >
      <div className="help-head">
        <h2 id="top-title">Top values</h2>
        <button
          type="button"
          className="ghost"
          aria-label="Close"
          onClick={() => dialog.current?.close()}
        >
          <Close />
        </button>
      </div>
      {open && (
        <div className="stats">
          <Chooser key={field} field={field} />
          {field !== '' && <Values field={field} />}
        </div>
      )}
    </dialog>
  );
}

function Chooser({ field }: { field: string }) {
  const [text, setText] = useState(field);
  const [names, setNames] = useState<string[]>([]);
  useEffect(() => {
    const abort = new AbortController();
    api.complete('', 0, 'kfl2', abort.signal).then(
      ({ completions }) =>
        setNames(completions.filter(({ kind }) => kind === 'field').map(({ label }) => label)),
      () => undefined, // names can be typed without help
    );
    return () => abort.abort();
  }, []);
  return (
    <form
      className="top-field"
      onSubmit={(event) => {
        event.preventDefault();
        useApp.setState({ top: text.trim() });
      }}
    >
      <label>
        Field{' '}
        <input
          value={text}
          list="top-fields"
          placeholder="dst.service, status_code, request.path …"
          onChange={(event) => setText(event.target.value)}
        />
      </label>
      <datalist id="top-fields">
        {names.map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
      <button type="submit" className="primary" disabled={text.trim() === field}>
        Show
      </button>
    </form>
  );
}

function Values({ field }: { field: string }) {
  const kfl = useApp((state) => state.kfl);
  const lang = useApp((state) => state.lang);
  const since = useApp((state) => state.since);
  const until = useApp((state) => state.until);
  const request = {
    kfl,
    lang,
    since,
    until,
    by: field,
    measures: 'count',
    top: MOST,
    filters: true,
  };
  const { stats, request: of, failure, retry } = useStats(request, false);
  const answered = of?.by === field ? stats : null;
  if (failure !== null) {
    return (
      <p className="panel-error" role="alert">
        {failure}{' '}
        <button type="button" className="link" onClick={retry}>
          Try again
        </button>
      </p>
    );
  }
  if (!answered) return <p role="status">Counting entries…</p>;
  if (answered.rows.length === 0) return <p role="status">No entry matches.</p>;
  return <Table stats={answered} field={field} />;
}

function Table({ stats, field }: { stats: Stats; field: string }) {
  const use = (kfl: string) => {
    useApp.setState({ top: null });
    useApp.getState().propose(kfl);
  };
  return (
    <>
      <div className="stats-bar">
        <span className="num">{formatCount(stats.entries)} entries</span>
        <span className="spacer" />
        <Completeness stats={stats} what="values" />
      </div>
      <div className="stats-scroll" tabIndex={0} role="region" aria-label={`Values of ${field}`}>
        <table className="stats-table">
          <thead>
            <tr>
              <th scope="col">{field}</th>
              <th scope="col">Entries</th>
              <th scope="col">Share</th>
              <th scope="col">Filter</th>
            </tr>
          </thead>
          <tbody>
            {stats.rows.map((row, index) => {
              const value = row[field] ?? null;
              const { only = null, without = null } = stats.filters?.[index] ?? {};
              const text = value === null ? '(none)' : String(value);
              return (
                <tr key={index}>
                  <th scope="row" title={text} className={value === null ? 'dim' : 'mono'}>
                    {text}
                  </th>
                  <td>{formatCount(Number(row.count))}</td>
                  <td>{formatShare(Number(row.count) / stats.entries)}</td>
                  <td>
                    {only !== null && (
                      <button type="button" className="link" title={only} onClick={() => use(only)}>
                        Add
                      </button>
                    )}{' '}
                    {without !== null && (
                      <button
                        type="button"
                        className="link"
                        title={without}
                        onClick={() => use(without)}
                      >
                        Exclude
                      </button>
                    )}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </>
  );
}

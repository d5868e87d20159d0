import { memo } from 'react';
import type { Endpoint, Row } from '../api/types';
import { tagColors } from '../common/color';
import {
  type Zone,
  endpointTitle,
  formatAddress,
  formatBytes,
  formatElapsed,
  splitTime,
} from '../common/format';
import { Warning } from '../common/icons';

/** Pixels; every row has the same height, so that fifty thousand need no measuring. */
export const ROW_HEIGHT = 26;

export const COLUMNS = [
  { name: 'time', label: 'Time' },
  { name: 'protocol', label: 'Protocol' },
  { name: 'method', label: 'Method' },
  { name: 'status', label: 'Status' },
  { name: 'summary', label: 'Summary' },
  { name: 'src', label: 'Source' },
  { name: 'dst', label: 'Destination' },
  { name: 'elapsed', label: 'Elapsed' },
  { name: 'reqsize', label: 'Request' },
  { name: 'respsize', label: 'Response' },
] as const;

export function ProtocolTag({ protocol }: { protocol: Row['protocol'] }) {
  const [backgroundColor, color] = tagColors(protocol.backgroundColor, protocol.foregroundColor);
  return (
    <span className="tag" style={{ backgroundColor, color }} title={protocol.longName}>
      {protocol.abbr || protocol.name}
    </span>
  );
}

/** The meaning of a status, for its colour; the text says it too. */
export function statusKind(row: Pick<Row, 'ok' | 'statusCode' | 'status' | 'error'>): string {
  const { statusCode: code } = row;
  if (row.error) return 'bad';
  if (code !== null && code >= 300 && code < 400) return 'moved';
  if (code !== null && code >= 400 && code < 500) return 'warn';
  if (row.ok) return row.status === '' ? 'none' : 'good';
  return 'bad';
}

/** A client's port says little beside its name; the title has it. */
function EndpointCell({ end, withPort }: { end: Endpoint; withPort: boolean }) {
  const port = withPort && end.port !== 0 ? `:${end.port}` : '';
  return (
    <>
      {end.name ? end.name + port : formatAddress(end)}
      {end.namespace && <span className="badge">{end.namespace}</span>}
    </>
  );
}

/** What a script's test says, for the row's colour; the status's title says it too. */
export function verdict({ passed, failed }: Row): 'failed' | 'passed' | undefined {
  if (failed) return 'failed';
  return passed ? 'passed' : undefined;
}

function statusTitle(row: Row): string {
  const { error, status } = row;
  const kind = error && (error.msg ? `${error.type}: ${error.msg}` : error.type);
  const said = verdict(row);
  return [kind ?? status, said && `${said} a script's test`].filter(Boolean).join(', ');
}

interface Props {
  row: Row;
  /** 1-based, counted with the header. */
  rowIndex: number;
  id: string;
  top: number;
  current: boolean;
  open: boolean;
  zone: Zone;
  withDate: boolean;
  onPick: (row: Row) => void;
}

export const EntryRow = memo(function EntryRow(props: Props) {
  const { row, rowIndex, id, top, current, open, zone, withDate, onPick } = props;
  const time = splitTime(row.timestamp, zone);
  return (
    <div
      role="row"
      id={id}
      aria-rowindex={rowIndex}
      aria-selected={open}
      className="row"
      data-current={current || undefined}
      data-verdict={verdict(row)}
      style={{ transform: `translateY(${top}px)` }}
      onClick={() => onPick(row)}
    >
      <div role="gridcell" className="c-time mono" title={row.timestamp}>
        {time ? (
          <>
            {withDate && <span className="date">{time.date} </span>}
            {time.time}
          </>
        ) : (
          row.timestamp
        )}
      </div>
      <div role="gridcell" className="c-protocol">
        <ProtocolTag protocol={row.protocol} />
      </div>
      <div role="gridcell" className="c-method mono">
        {row.method}
      </div>
      <div
        role="gridcell"
        className="c-status mono"
        data-status={statusKind(row)}
        title={statusTitle(row)}
      >
        {row.error && <Warning />}
        {row.status || row.error?.type}
      </div>
      <div role="gridcell" className="c-summary mono" title={row.summary}>
        {row.summary}
      </div>
      <div role="gridcell" className="c-src" title={endpointTitle(row.src)}>
        <EndpointCell end={row.src} withPort={false} />
      </div>
      <div role="gridcell" className="c-dst" title={endpointTitle(row.dst)}>
        <EndpointCell end={row.dst} withPort />
      </div>
      <div role="gridcell" className="c-elapsed num">
        {formatElapsed(row.elapsedTime)}
      </div>
      <div role="gridcell" className="c-reqsize num">
        {formatBytes(row.requestSize)}
      </div>
      <div role="gridcell" className="c-respsize num">
        {formatBytes(row.responseSize)}
      </div>
    </div>
  );
});

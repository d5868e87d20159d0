import { EXPORT_FORMATS, type ExportFormat, exportUrl } from '../api/client';
import type { EntryRef } from '../api/types';
import { useApp } from '../app-state';
import { splitTime } from '../common/format';
import { Download } from '../common/icons';
import { Popover } from '../common/popover';

const DETAIL: Record<ExportFormat, string> = {
  pcapng: 'packets, with interfaces, names and entries',
  pcap: 'packets, for programs that read nothing else',
  har: 'HTTP Archive: entries of HTTP',
  jsonl: 'entries, a line of JSON each',
  csv: 'entries as a table',
};

interface Props {
  /** Only this stream, whatever the filter and the time. */
  stream?: EntryRef & { stream: string };
}

/** Files of what is shown, or of one stream. */
export function ExportMenu({ stream }: Props) {
  const kfl = useApp((state) => state.kfl);
  const lang = useApp((state) => state.lang);
  const since = useApp((state) => state.since);
  const until = useApp((state) => state.until);
  const zone = useApp((state) => state.zone);
  const live = useApp((state) => state.status?.mode === 'live');
  const selected = stream ? { kfl: '' } : { kfl, lang, since, until };
  const time = (moment: string | undefined) => moment && splitTime(moment, zone)?.time;
  const label = stream ? 'Export the stream' : 'Export what is shown';
  return (
    <Popover
      label={label}
      button={
        <>
          <Download /> Export
        </>
      }
    >
      {(close) => (
        <div className="menu">
          <p>
            {stream ? (
              <>
                Stream <code>{stream.stream}</code>
              </>
            ) : (
              <>
                Filter: {kfl === '' ? 'everything' : <code>{kfl}</code>}
                <br />
                Time: {since || until ? `${time(since) ?? ''} – ${time(until) ?? ''}` : 'all'}
              </>
            )}
          </p>
          {EXPORT_FORMATS.map((format) => (
            <a
              key={format}
              className="button menu-item"
              aria-label={`${format} ${DETAIL[format]}`}
              href={exportUrl(selected, format, stream)}
              download
              onClick={close}
            >
              <span>{format}</span>
              <span className="dim">{DETAIL[format]}</span>
            </a>
          ))}
          <p className="dim">
            {live
              ? 'Of live traffic there are the newest entries, and the packets that the ring still holds.'
              : 'Where something cannot be read, the download breaks off.'}
          </p>
        </div>
      )}
    </Popover>
  );
}

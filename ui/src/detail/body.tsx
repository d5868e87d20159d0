import { useMemo, useState } from 'react';
import { formatBytes } from '../common/format';
import { Warning } from '../common/icons';
import { type Body, type Piece, formFields, hexDump, prettyJson } from './body-data';

/** Shown at first; a click shows the rest. */
const TEXT_LIMIT = 128 * 1024;
const HEX_LIMIT = 16 * 1024;
/** Above this many characters colours would cost more than they tell. */
const COLOR_LIMIT = 64 * 1024;

type Mode = 'pretty' | 'raw' | 'hex';

export function BodyView({ body, label }: { body: Body; label: string }) {
  const pretty = useMemo(() => (body.text === null ? null : prettyJson(body.text)), [body]);
  const form = useMemo(
    () => (body.text === null ? null : formFields(body.text, body.mimeType)),
    [body],
  );
  const modes: Mode[] = [];
  if (pretty || form) modes.push('pretty');
  if (body.text !== null) modes.push('raw');
  modes.push('hex');
  const [chosen, choose] = useState<Mode | null>(null);
  const mode = chosen !== null && modes.includes(chosen) ? chosen : (modes[0] ?? 'hex');

  return (
    <div className="body">
      <div className="body-bar">
        <span className="dim">
          {body.mimeType || 'no type'} · {formatBytes(body.bytes.length)}
        </span>
        <span className="spacer" />
        {body.bytes.length > 0 && (
          <div className="segmented" role="group" aria-label={`${label}: show as`}>
            {modes.map((name) => (
              <button
                type="button"
                key={name}
                aria-pressed={mode === name}
                onClick={() => choose(name)}
              >
                {MODE_LABEL[name]}
              </button>
            ))}
          </div>
        )}
      </div>
      {body.fullSize !== null && (
        <p className="truncated">
          <Warning /> Truncated: {formatBytes(body.bytes.length)} of {formatBytes(body.fullSize)}{' '}
          were kept.
        </p>
      )}
      {body.bytes.length > 0 && <Shown body={body} mode={mode} pretty={pretty} form={form} />}
    </div>
  );
}

const MODE_LABEL: Record<Mode, string> = { pretty: 'Pretty', raw: 'Raw', hex: 'Hex' };

interface ShownProps {
  body: Body;
  mode: Mode;
  pretty: Piece[] | null;
  form: [string, string][] | null;
}

function Shown({ body, mode, pretty, form }: ShownProps) {
  if (mode === 'hex') return <HexText bytes={body.bytes} />;
  if (mode === 'pretty' && pretty) return <JsonText pieces={pretty} />;
  if (mode === 'pretty' && form) {
    return (
      <table className="values">
        <tbody>
          {form.map(([name, value], index) => (
            <tr key={index}>
              <th scope="row">{name}</th>
              <td className="mono">{value}</td>
            </tr>
          ))}
        </tbody>
      </table>
    );
  }
  return <LongText text={body.text ?? ''} />;
}

function HexText({ bytes }: { bytes: Uint8Array }) {
  const [all, setAll] = useState(false);
  const shown = all ? bytes : bytes.subarray(0, HEX_LIMIT);
  const text = useMemo(() => hexDump(shown), [shown]);
  return (
    <>
      <pre className="code hex" tabIndex={0} aria-label="Bytes">
        {text}
      </pre>
      {shown.length < bytes.length && (
        <More shown={formatBytes(shown.length)} whole={formatBytes(bytes.length)} all={setAll} />
      )}
    </>
  );
}

function LongText({ text }: { text: string }) {
  const [all, setAll] = useState(false);
  const shown = all ? text : text.slice(0, TEXT_LIMIT);
  return (
    <>
      <pre className="code" tabIndex={0} aria-label="Text">
        {shown}
      </pre>
      {shown.length < text.length && (
        <More shown={`${shown.length}`} whole={`${text.length} characters`} all={setAll} />
      )}
    </>
  );
}

function More(props: { shown: string; whole: string; all: (all: true) => void }) {
  return (
    <p className="more">
      The first {props.shown} of {props.whole}.{' '}
      <button type="button" className="link" onClick={() => props.all(true)}>
        Show all
      </button>
    </p>
  );
}

/** JSON as text, its tokens coloured while that is cheap. */
export function JsonText({ pieces }: { pieces: Piece[] }) {
  const text = useMemo(() => pieces.map((piece) => piece.text).join(''), [pieces]);
  if (text.length > COLOR_LIMIT) return <LongText text={text} />;
  return (
    <pre className="code" tabIndex={0} aria-label="JSON">
      {pieces.map(({ kind, text: part }, index) =>
        kind === 'plain' ? (
          part
        ) : (
          <span key={index} className={`json-${kind}`}>
            {part}
          </span>
        ),
      )}
    </pre>
  );
}

import type { Content, Entry, Message } from '../api/types';
import { formatBytes } from '../common/format';
import { bodyOf } from './body-data';
import { BodyView } from './body';
import { type PathPart, type Scalar, fieldPath } from '../filter/expression';
import { type Field, FieldTable, Section, Value, fieldsOf, isScalar, valuesOf } from './values';

type Side = 'request' | 'response';

const TITLE: Record<Side, string> = { request: 'Request', response: 'Response' };

/** Request and response side by side, as the protocol shows them. */
export function Exchange({ entry }: { entry: Entry }) {
  const size: Record<Side, number> = {
    request: entry.requestSize,
    response: entry.responseSize,
  };
  return (
    <div className="exchange">
      {(['request', 'response'] as const).map((side) => (
        <section className="message" key={side} aria-labelledby={`${side}-title`}>
          <h3 id={`${side}-title`}>
            {TITLE[side]} <span className="dim">{formatBytes(size[side])}</span>
          </h3>
          <MessageView entry={entry} side={side} />
        </section>
      ))}
    </div>
  );
}

function MessageView({ entry, side }: { entry: Entry; side: Side }) {
  const message = entry[side];
  if (!message || Object.keys(message).length === 0) {
    return (
      <p className="absent">
        {entry.error
          ? `No ${side} was seen: ${entry.error.msg || entry.error.type}.`
          : `No ${side} was seen.`}
      </p>
    );
  }
  switch (entry.protocol.name) {
    case 'http':
      return <HttpMessage message={message} side={side} />;
    case 'dns':
      return <DnsMessage message={message} side={side} />;
    default:
      return <AnyMessage message={message} path={[side]} />;
  }
}

const HTTP_GENERAL: Record<Side, readonly string[]> = {
  request: ['method', 'url', 'path', 'httpVersion'],
  response: ['status', 'statusText', 'httpVersion', 'redirectURL'],
};

function pick(message: Message, names: readonly string[], path: readonly PathPart[]): Field[] {
  return names.flatMap((name) => {
    const value = message[name];
    return isScalar(value) && value !== '' ? [{ name, path: [...path, name], value }] : [];
  });
}

function HttpMessage({ message, side }: { message: Message; side: Side }) {
  const content = (side === 'request' ? message.postData : message.content) as Content | undefined;
  const body = bodyOf(content, side === 'request' ? message.bodySize : content?.size);
  const maps = [
    { title: 'Headers', key: 'headers' },
    { title: 'Query', key: 'queryString' },
    { title: 'Cookies', key: 'cookies' },
  ].map(({ title, key }) => ({ title, fields: valuesOf(message[key], [side, key]) }));
  return (
    <>
      <Section title="General">
        <FieldTable
          label={`${TITLE[side]}: general`}
          fields={pick(message, HTTP_GENERAL[side], [side])}
        />
      </Section>
      {maps.map(
        ({ title, fields }) =>
          fields.length > 0 && (
            <Section key={title} title={title} count={fields.length}>
              <FieldTable label={`${TITLE[side]}: ${title.toLowerCase()}`} fields={fields} />
            </Section>
          ),
      )}
      <Section title="Body">
        {body ? (
          <BodyView body={body} label={`${TITLE[side]} body`} />
        ) : (
          <p className="absent">No body.</p>
        )}
      </Section>
    </>
  );
}

interface DnsRecord {
  record: Message;
  path: PathPart[];
}

function recordsOf(message: Message, side: Side, key: string): DnsRecord[] {
  const list = message[key];
  if (!Array.isArray(list)) return [];
  return list.map((record: unknown, index) => ({
    record: (record ?? {}) as Message,
    path: [side, key, index],
  }));
}

const DNS_LISTS: Record<Side, readonly [string, string][]> = {
  request: [['questions', 'Questions']],
  response: [
    ['answers', 'Answers'],
    ['authorities', 'Authorities'],
    ['additionals', 'Additionals'],
  ],
};

/** Columns of their own; what else a record has is its data. */
const RECORD_COLUMNS = ['name', 'type', 'class', 'ttl'];

function DnsMessage({ message, side }: { message: Message; side: Side }) {
  const general = fieldsOf(message, [side]);
  return (
    <>
      {general.length > 0 && (
        <Section title="General">
          <FieldTable label={`${TITLE[side]}: general`} fields={general} />
        </Section>
      )}
      {DNS_LISTS[side].map(([key, title]) => {
        const records = recordsOf(message, side, key);
        // An empty answer section is news; an empty additional one is not.
        if (records.length === 0 && key !== 'answers') return null;
        return (
          <Section key={key} title={title} count={records.length}>
            {records.length > 0 ? (
              <RecordTable records={records} label={title} data={side === 'response'} />
            ) : (
              <p className="absent">None.</p>
            )}
          </Section>
        );
      })}
    </>
  );
}

function RecordTable(props: { records: DnsRecord[]; label: string; data: boolean }) {
  const { records, label, data } = props;
  const columns = data ? RECORD_COLUMNS : RECORD_COLUMNS.filter((name) => name !== 'ttl');
  return (
    <div className="table-scroll" tabIndex={0} role="region" aria-label={label}>
      <table className="records">
        <thead>
          <tr>
            {columns.map((name) => (
              <th scope="col" key={name}>
                {name}
              </th>
            ))}
            {data && <th scope="col">data</th>}
          </tr>
        </thead>
        <tbody>
          {records.map(({ record, path }, index) => (
            <tr key={index}>
              {columns.map((name) => (
                <td className="mono" key={name}>
                  {isScalar(record[name]) && <Value path={[...path, name]} value={record[name]} />}
                </td>
              ))}
              {data && (
                <td className="mono">
                  <RecordData record={record} path={path} />
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function RecordData({ record, path }: DnsRecord) {
  const rest = Object.entries(record).filter(([name]) => !RECORD_COLUMNS.includes(name));
  const data = rest.filter(([, value]) => !isEmpty(value));
  return data.map(([name, value]) =>
    isScalar(value) ? (
      <Value key={name} path={[...path, name]} value={value} />
    ) : (
      <span key={name}>{describe(value)}</span>
    ),
  );
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === '') return true;
  return Array.isArray(value) && value.length === 0;
}

/** `10 mail.example.` of `{preference: 10, name: "mail.example."}` */
function describe(value: unknown): string {
  if (Array.isArray(value)) return value.map(describe).join(' ');
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value)
      .map(([name, part]: [string, unknown]) => `${name}=${describe(part)}`)
      .join(' ');
  }
  return String(value);
}

/** How deep the maps of a protocol without a view of its own are opened. */
const DEPTH = 6;

function flatten(value: unknown, path: readonly PathPart[], name: string): Field[] {
  if (isScalar(value)) return [{ name, path, value: value satisfies Scalar }];
  if (typeof value !== 'object' || value === null || path.length > DEPTH) return [];
  const isList = Array.isArray(value);
  return Object.entries(value).flatMap(([key, part]: [string, unknown]) =>
    flatten(
      part,
      [...path, isList ? Number(key) : key],
      isList ? `${name}[${key}]` : name === '' ? key : `${name}.${key}`,
    ),
  );
}

export function AnyMessage({ message, path }: { message: Message; path: readonly PathPart[] }) {
  return <FieldTable label={fieldPath(path)} fields={flatten(message, path, '')} />;
}

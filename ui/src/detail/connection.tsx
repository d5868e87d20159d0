import type { Entry, EntryEndpoint } from '../api/types';
import { formatElapsed } from '../common/format';
import { AnyMessage } from './messages';
import { type Field, FieldTable, Section, fieldsOf, isScalar } from './values';

/** Who spoke to whom, and where the packets are. */
export function Connection({ entry }: { entry: Entry }) {
  return (
    <div className="exchange">
      <section className="message" aria-labelledby="ends-title">
        <h3 id="ends-title">Ends</h3>
        <EndpointSection title="Source" side="src" end={entry.src} />
        <EndpointSection title="Destination" side="dst" end={entry.dst} />
      </section>
      <section className="message" aria-labelledby="stream-title">
        <h3 id="stream-title">Stream</h3>
        <StreamFacts entry={entry} />
      </section>
    </div>
  );
}

interface EndpointProps {
  title: string;
  side: 'src' | 'dst';
  end: EntryEndpoint;
}

function EndpointSection({ title, side, end }: EndpointProps) {
  const fields = fieldsOf(end, [side]).filter(({ value }) => value !== '' && value !== 0);
  const objects = Object.entries(end).filter(([, value]) => {
    return typeof value === 'object' && value !== null && Object.keys(value).length > 0;
  });
  return (
    <>
      <Section title={title}>
        <FieldTable label={title} fields={fields} />
      </Section>
      {objects.map(([name, value]) => (
        <Section key={name} title={`${title}: ${name}`} closed>
          <AnyMessage message={value as Record<string, unknown>} path={[side, name]} />
        </Section>
      ))}
    </>
  );
}

function StreamFacts({ entry }: { entry: Entry }) {
  const own = ['id', 'stream', 'index', 'worker', 'tls', 'cluster', 'run', 'size', 'record'];
  const fields: Field[] = own.flatMap((name) => fieldsOf({ [name]: entry[name] }, []));
  const named = (name: string) =>
    isScalar(entry[name])
      ? fieldsOf({ [name]: entry[name] }, [])
      : fieldsOf(entry[name], [name]).map((field) => ({ ...field, name: `${name}.${field.name}` }));
  fields.push(...named('node'), ...named('capture'));
  return (
    <>
      <Section title="Place">
        <FieldTable label="Place" fields={fields.filter(({ value }) => value !== '')} />
      </Section>
      <Section title="Time">
        <table className="values" aria-label="Time">
          <tbody>
            <tr>
              <th scope="row">started</th>
              <td className="mono">{entry.startTime ?? new Date(entry.timestamp).toISOString()}</td>
            </tr>
            <tr>
              <th scope="row">elapsed</th>
              <td className="mono">{formatElapsed(entry.elapsedTime)}</td>
            </tr>
          </tbody>
        </table>
      </Section>
    </>
  );
}

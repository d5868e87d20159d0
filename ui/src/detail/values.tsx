import type { ReactNode } from 'react';
import { useApp } from '../app-state';
import { copyText } from '../common/clipboard';
import { Plus } from '../common/icons';
import { Popover } from '../common/popover';
import { type PathPart, type Scalar, comparison, fieldPath, narrowed } from '../filter/expression';

export function isScalar(value: unknown): value is Scalar {
  return ['string', 'number', 'boolean'].includes(typeof value);
}

export async function copy(text: string, what: string): Promise<void> {
  const done = await copyText(text);
  useApp.getState().say(done ? `${what} copied` : 'The browser did not allow copying');
}

interface ValueProps {
  path: readonly PathPart[];
  value: Scalar;
  /** How it is shown, where other than as its text. */
  children?: ReactNode;
}

/** A value of an entry, with a menu that filters by it. */
export function Value({ path, value, children }: ValueProps) {
  const field = fieldPath(path);
  return (
    <span className="value">
      <span className="value-text">{children ?? String(value)}</span>
      <Popover
        className="value-button"
        label={`Filter by ${field}`}
        title="Filter by this value"
        button={<Plus />}
      >
        {(close) => (
          <FilterMenu
            field={field}
            // a place in a list and a header are no columns
            column={path.every((part) => typeof part === 'string')}
            value={value}
            close={close}
          />
        )}
      </Popover>
    </span>
  );
}

interface MenuProps {
  field: string;
  /** Whether entries can be counted by it. */
  column: boolean;
  value: Scalar;
  close: () => void;
}

function FilterMenu({ field, column, value, close }: MenuProps) {
  const kfl = useApp((state) => state.kfl);
  const detected = useApp((state) => state.detected);
  const { propose } = useApp.getState();
  const equal = comparison(field, '==', value);
  const other = comparison(field, '!=', value);
  // Field names differ between the two languages; a new term is written in the first one.
  const foreign = kfl !== '' && detected === 'kfl2';
  const run = (action: () => void) => () => {
    action();
    close();
  };
  return (
    <div className="menu">
      <MenuItem
        label="Add"
        detail={equal}
        disabled={foreign}
        run={run(() => propose(narrowed(kfl, equal)))}
      />
      <MenuItem
        label="Exclude"
        detail={other}
        disabled={foreign}
        run={run(() => propose(narrowed(kfl, other)))}
      />
      {foreign && <p className="dim">The filter is written in KFL2; it can be replaced.</p>}
      <MenuItem label="Replace filter" detail={equal} run={run(() => propose(equal))} />
      {column && <MenuItem label="Top values" run={run(() => useApp.setState({ top: field }))} />}
      <MenuItem label="Copy value" run={run(() => void copy(String(value), 'Value'))} />
    </div>
  );
}

interface ItemProps {
  label: string;
  detail?: string;
  disabled?: boolean;
  run: () => void;
}

function MenuItem({ label, detail, disabled, run }: ItemProps) {
  return (
    <button type="button" className="menu-item" disabled={disabled} onClick={run}>
      <span>{label}</span>
      {detail && <code className="clip">{detail}</code>}
    </button>
  );
}

export interface Field {
  name: string;
  path: readonly PathPart[];
  value: Scalar;
}

/** The scalars of an object, each a field of its own. */
export function fieldsOf(object: unknown, path: readonly PathPart[]): Field[] {
  if (typeof object !== 'object' || object === null) return [];
  return Object.entries(object).flatMap(([name, value]: [string, unknown]) =>
    isScalar(value) ? [{ name, path: [...path, name], value }] : [],
  );
}

/** The values of a map whose keys are data; a list gives one for each of its elements. */
export function valuesOf(map: unknown, path: readonly PathPart[]): Field[] {
  if (typeof map !== 'object' || map === null) return [];
  return Object.entries(map).flatMap(([key, value]: [string, unknown]) => {
    const items = Array.isArray(value) ? (value as unknown[]) : [value];
    return items
      .filter(isScalar)
      .map((item) => ({ name: key, path: [...path, { key }], value: item }));
  });
}

export function FieldTable({ fields, label }: { fields: readonly Field[]; label: string }) {
  return (
    <table className="values" aria-label={label}>
      <tbody>
        {fields.map(({ name, path, value }, index) => (
          <tr key={index}>
            <th scope="row">{name}</th>
            <td className="mono">
              <Value path={path} value={value} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface SectionProps {
  title: string;
  count?: number;
  closed?: boolean;
  children: ReactNode;
}

/** A part of the details that can be folded. */
export function Section({ title, count, closed, children }: SectionProps) {
  return (
    <details className="section" open={!closed}>
      <summary>
        {title}
        {count !== undefined && <span className="count">{count}</span>}
      </summary>
      {children}
    </details>
  );
}

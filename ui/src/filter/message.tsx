import type { Diagnostic } from '../api/types';
import { Warning } from '../common/icons';

interface Props {
  errors: readonly Diagnostic[];
  warnings: readonly Diagnostic[];
  trouble: string | null;
  /** The text differs from the filter that the list shows. */
  unapplied: boolean;
  /** Puts a text in a diagnostic's place. */
  replace(diagnostic: Diagnostic, text: string): void;
}

/** The name that the server takes a wrong one for; other suggestions are to be read only. */
function nearName({ suggestion }: Diagnostic): string | undefined {
  return /^did you mean "([^"]+)"\?$/.exec(suggestion ?? '')?.[1];
}

/** The line below the filter: what is wrong with it and where, or what one can do. */
export function FilterMessage({ errors, warnings, trouble, unapplied, replace }: Props) {
  const [error] = errors;
  const [warning] = warnings;
  const shown = error ?? (trouble ? undefined : warning);
  const name = shown && nearName(shown);
  const kind = error || trouble ? 'error' : warning ? 'warning' : 'hint';
  return (
    <div className="filter-message" id="filter-message" role="status" data-kind={kind}>
      {kind !== 'hint' && <Warning />}
      {shown && (
        <>
          <span className="place">
            {shown.line > 1 ? `Line ${shown.line}, column ` : 'Column '}
            {shown.column}:
          </span>{' '}
          <span>{shown.message}</span>
          {shown.suggestion && <span>{shown.suggestion}</span>}
          {name && (
            <button type="button" className="link" onClick={() => replace(shown, name)}>
              Use <code>{name}</code>
            </button>
          )}
          {errors.length > 1 && <span className="dim">and {errors.length - 1} more</span>}
          {error && unapplied && <span className="dim">The list keeps the last valid filter.</span>}
        </>
      )}
      {!shown && trouble}
      {kind === 'hint' && (
        <span>
          {unapplied ? (
            <>
              <kbd>Enter</kbd> applies, <kbd>Esc</kbd> reverts
            </>
          ) : (
            <>
              <kbd>/</kbd> goes to the filter, <kbd>Ctrl Space</kbd> completes, <kbd>?</kbd> lists
              all keys
            </>
          )}
        </span>
      )}
    </div>
  );
}

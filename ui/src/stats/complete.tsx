import type { Stats } from '../api/types';
import { formatCount } from '../common/format';
import { Warning } from '../common/icons';
import { Popover } from '../common/popover';

/** What is missing from statistics, in sentences. */
export function missing({ partial, notes, more, otherEntries }: Stats, what: string): string[] {
  const lines = [...notes];
  if (partial) lines.unshift('Reading goes on: the numbers are those of what was read so far.');
  if (more > 0) lines.push(`${formatCount(more)} more ${what} are not shown.`);
  if (otherEntries > 0) {
    lines.push(
      `There are too many ${what}: ${formatCount(otherEntries)} entries are in none, and those shown may have more.`,
    );
  }
  return lines;
}

/** Says that numbers are not whole, and why; nothing where they are. `what`: what the groups are. */
export function Completeness({ stats, what }: { stats: Stats; what: string }) {
  const lines = missing(stats, what);
  if (lines.length === 0) return null;
  const title = stats.partial ? 'Reading…' : 'Not complete';
  return (
    <Popover
      className="badge-button"
      label={`${title}: what is missing`}
      button={
        <span className="incomplete">
          <Warning /> {title}
        </span>
      }
    >
      {() => (
        <ul className="plain">
          {lines.map((line) => (
            <li key={line}>{line}</li>
          ))}
        </ul>
      )}
    </Popover>
  );
}

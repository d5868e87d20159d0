import { type Saved, load, save } from '../common/saved';

const KEPT = 50;

const FILTERS: Saved<string[]> = {
  key: 'gillnet.filters',
  check: (value): value is string[] =>
    Array.isArray(value) && value.every((item) => typeof item === 'string'),
  fallback: [],
};

/** Applied filters, oldest first, walked like a shell's history. */
export class FilterHistory {
  private items = load(FILTERS);
  /** Steps back from the draft; 0 is the draft itself. */
  private back = 0;
  private draft = '';

  remember(kfl: string): void {
    this.back = 0;
    if (kfl === '') return;
    // Another tab may have added some meanwhile.
    this.items = [...load(FILTERS).filter((item) => item !== kfl), kfl].slice(-KEPT);
    save(FILTERS, this.items);
  }

  /** The text one step older (`step` 1) or newer (-1) than the one shown; null at the ends. */
  walk(step: 1 | -1, shown: string): string | null {
    const back = this.back + step;
    if (back < 0 || back > this.items.length) return null;
    if (this.back === 0) this.draft = shown;
    this.back = back;
    return back === 0 ? this.draft : (this.items[this.items.length - back] ?? null);
  }

  /** The reader typed: walking starts anew from what is there. */
  typed(): void {
    this.back = 0;
  }
}

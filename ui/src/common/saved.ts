/** A preference kept in this browser; unreadable or foreign values give the fallback. */
export interface Saved<T> {
  key: string;
  check: (value: unknown) => value is T;
  fallback: T;
}

export function load<T>({ key, check, fallback }: Saved<T>): T {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(key) ?? 'null');
    return check(value) ? value : fallback;
  } catch {
    return fallback;
  }
}

export function save<T>({ key }: Saved<T>, value: T): void {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Storage is full or forbidden: the preference holds until the page closes.
  }
}

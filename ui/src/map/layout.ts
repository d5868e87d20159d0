/** A directed connection between two names. */
export interface Link {
  src: string;
  dst: string;
}

export interface Place {
  name: string;
  /** From the left: callers stand before whom they call. */
  layer: number;
  /** From the top of its layer. */
  row: number;
}

/** Sweeps over the layers that bring neighbours near each other. */
const SWEEPS = 4;

/** Puts names into layers, so that most links lead to the right; those of circles lead back. */
export function layout(links: readonly Link[]): Place[] {
  const names = [...new Set(links.flatMap(({ src, dst }) => [src, dst]))];
  const calls = new Map(names.map((name) => [name, [] as string[]]));
  for (const { src, dst } of links) if (src !== dst) calls.get(src)?.push(dst);
  const layer = layersOf(names, calls);
  const layers: string[][] = [];
  for (const name of names) (layers[layer.get(name) ?? 0] ??= []).push(name);
  const near = new Map(names.map((name) => [name, [] as string[]]));
  for (const { src, dst } of links) {
    near.get(src)?.push(dst);
    near.get(dst)?.push(src);
  }
  const row = new Map<string, number>();
  const number = (line: string[]) => line.forEach((name, index) => row.set(name, index));
  layers.forEach(number);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const order = sweep % 2 === 0 ? layers : [...layers].reverse();
    for (const line of order) {
      const middle = new Map(
        line.map((name) => {
          const rows = (near.get(name) ?? []).map((other) => row.get(other) ?? 0);
          const sum = rows.reduce((total, at) => total + at, 0);
          return [name, rows.length > 0 ? sum / rows.length : (row.get(name) ?? 0)];
        }),
      );
      line.sort((a, b) => (middle.get(a) ?? 0) - (middle.get(b) ?? 0));
      number(line);
    }
  }
  return names.map((name) => ({
    name,
    layer: layer.get(name) ?? 0,
    row: row.get(name) ?? 0,
  }));
}

/** The longest way to each name that passes no link twice back. */
function layersOf(names: readonly string[], calls: Map<string, string[]>): Map<string, number> {
  const called = new Set([...calls.values()].flat());
  // those that nobody calls begin
  const order = [...names].sort((a, b) => Number(called.has(a)) - Number(called.has(b)));
  const state = new Map<string, 'open' | 'done'>();
  const sorted: string[] = [];
  const forward = new Map<string, string[]>(names.map((name) => [name, []]));
  for (const start of order) {
    if (state.has(start)) continue;
    state.set(start, 'open');
    const stack = [{ name: start, next: 0 }];
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const to = calls.get(top.name)?.[top.next];
      top.next += 1;
      if (to === undefined) {
        state.set(top.name, 'done');
        sorted.unshift(top.name);
        stack.pop();
      } else if (state.get(to) !== 'open') {
        // one that leads back into an open name closes a circle
        forward.get(top.name)?.push(to);
        if (!state.has(to)) {
          state.set(to, 'open');
          stack.push({ name: to, next: 0 });
        }
      }
    }
  }
  const layer = new Map<string, number>(names.map((name) => [name, 0]));
  for (const name of sorted) {
    const at = layer.get(name) ?? 0;
    for (const to of forward.get(name) ?? []) layer.set(to, Math.max(layer.get(to) ?? 0, at + 1));
  }
  return layer;
}

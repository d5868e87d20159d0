import { describe, expect, it } from 'vitest';
import { layout } from './layout';

const link = (text: string) => {
  const [src = '', dst = ''] = text.split('>');
  return { src, dst };
};
const places = (...links: string[]) =>
  Object.fromEntries(layout(links.map(link)).map(({ name, layer, row }) => [name, [layer, row]]));

describe('layout', () => {
  it('has callers before whom they call', () => {
    const at = places('web>cart', 'cart>db', 'web>db', 'jobs>db');
    expect([at.web?.[0], at.jobs?.[0], at.cart?.[0], at.db?.[0]]).toEqual([0, 0, 1, 2]);
  });

  it('survives circles and calls of oneself', () => {
    const at = places('a>b', 'b>c', 'c>a', 'c>c', 'x>a');
    expect([at.x?.[0], at.a?.[0], at.b?.[0], at.c?.[0]]).toEqual([0, 1, 2, 3]);
    expect(places('a>a')).toEqual({ a: [0, 0] });
  });

  it('puts neighbours side by side, each on a place of its own', () => {
    const at = places('a>x', 'b>y', 'c>z', 'a>z');
    const rows = ['x', 'y', 'z'].map((name) => at[name]?.[1]);
    expect(new Set(rows)).toEqual(new Set([0, 1, 2]));
    const big = layout(Array.from({ length: 2_000 }, (_, n) => link(`${n}>${n + 1}`)));
    expect(Math.max(...big.map(({ layer }) => layer))).toBe(2_000);
  });
});

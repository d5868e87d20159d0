import { fireEvent, render, screen } from '@testing-library/react';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { useApp } from '../app-state';
import { stats, status } from '../test-data';
import ServiceMap, { rateOf } from './map';

const edge = (src: string, dst: string, count: number, errorRate: number) => ({
  'src.name': src,
  'src.namespace': 'shop',
  'dst.name': dst,
  'dst.namespace': 'shop',
  count,
  errorRate,
  p99: 2_000,
});

beforeEach(() => {
  const span = { first: '2026-11-27T00:00:00Z', last: '2026-11-27T00:00:10Z' };
  useApp.setState({ status: { ...status('recorded'), span }, kfl: '', proposal: null });
  vi.stubGlobal('fetch', async () => {
    const rows = [edge('front', 'cart', 500, 0), edge('cart', 'db', 20, 0.25)];
    const filters = [
      { only: 'front to cart', without: null },
      { only: null, without: null },
    ];
    return new Response(JSON.stringify({ ...stats(rows), filters }));
  });
});

describe('ServiceMap', () => {
  it('has a line for each connection, which narrows the filter', async () => {
    render(<ServiceMap />);
    const line = await screen.findByRole('button', { name: /^front.shop to cart.shop/ });
    expect(line.textContent).toContain('50.0/s · p99 2.00 ms');
    fireEvent.keyDown(line, { key: 'Enter' });
    expect(useApp.getState().proposal).toEqual({ text: 'front to cart' });
    fireEvent.click(screen.getByRole('checkbox', { name: 'Only with errors' }));
    expect(screen.queryByRole('button', { name: /^front.shop to/ })).toBeNull();
    const failing = screen.getByRole('button', { name: /^cart.shop to db.shop/ });
    expect(failing.textContent).toContain('25.0 % errors');
  });
});

describe('rateOf', () => {
  it.each([
    [5, 0, '5×'],
    [12_345, 10, '1,235/s'],
    [5, 10, '0.50/s'],
    [1, 3_600, '1.0/h'],
  ])('%s in %s s is %s', (count, seconds, text) => expect(rateOf(count, seconds)).toBe(text));
});

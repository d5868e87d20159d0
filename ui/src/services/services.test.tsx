import { fireEvent, render, screen, waitFor } from '@testing-library/react';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Cell } from '../api/types';
import { useApp } from '../app-state';
import { stats, status } from '../test-data';
import Services, { labelOf, sorted } from './services';

const line = (service: string | null, count: number, p99: number | null) => ({
  'dst.service': service,
  'dst.namespace': service && 'shop',
  count,
  errors: service === 'cart' ? 1 : 0,
  errorRate: service === 'cart' ? 1 / count : 0,
  p50: 100,
  p95: 200,
  p99,
  bytes: 2_500,
});

/** What the server finds, by what is asked for. */
let found: Record<string, Record<string, Cell>[]>;

beforeEach(() => {
  useApp.setState({ status: status('recorded'), kfl: 'http', since: undefined, proposal: null });
  vi.stubGlobal('fetch', async (path: string) => {
    const by = new URL(path, 'http://x').searchParams.get('by') ?? '';
    const rows = found[by] ?? [];
    const filters = rows.map((row) => {
      const [first] = Object.values(row);
      return { only: first === null ? null : `http and ${String(first)}`, without: null };
    });
    return new Response(JSON.stringify({ ...stats(rows), filters }));
  });
});

describe('Services', () => {
  it('shows a line each, which is sorted and narrows the filter', async () => {
    found = {
      'dst.service,dst.namespace': [line('front', 1_234, 2_000), line('cart', 8, null)],
    };
    render(<Services />);
    const names = () =>
      screen.getAllByRole('rowheader').map((header) => header.textContent?.trim());
    await waitFor(() => expect(names()).toEqual(['front.shop', 'cart.shop']));
    expect(screen.getByText('1,234')).toBeTruthy();
    expect(screen.getByText('12.5 %')).toBeTruthy();
    fireEvent.click(screen.getByRole('button', { name: 'Errors' }));
    expect(names()).toEqual(['cart.shop', 'front.shop']);
    const errors = screen.getByRole('columnheader', { name: 'Errors' });
    expect(errors.getAttribute('aria-sort')).toBe('descending');
    fireEvent.click(screen.getByRole('button', { name: 'cart.shop' }));
    expect(useApp.getState().proposal).toEqual({ text: 'http and cart' });
  });

  it('goes by addresses where nothing has a name', async () => {
    found = {
      'dst.service,dst.namespace': [line(null, 5, 1)],
      'dst.name,dst.namespace': [{ ...line(null, 5, 1), 'dst.name': null }],
      'dst.ip,dst.port': [{ 'dst.ip': '10.0.0.1', 'dst.port': 80, count: 5 }],
    };
    render(<Services />);
    expect(await screen.findByRole('button', { name: '10.0.0.1:80' })).toBeTruthy();
    const choice = screen.getByRole<HTMLSelectElement>('combobox', { name: 'Group by' });
    expect(choice.value).toBe('address');
  });

  it('says when nothing matches', async () => {
    found = {};
    render(<Services />);
    expect(await screen.findByText('No entry matches')).toBeTruthy();
  });
});

describe('a line', () => {
  it('is called by what is known', () => {
    expect(labelOf({ 'dst.ip': 'fd00::1', 'dst.port': 80 }, ['dst.ip', 'dst.port'])).toBe(
      '[fd00::1]:80',
    );
    expect(labelOf({ a: null, b: null }, ['a', 'b'])).toBe('(unknown)');
    expect(labelOf({ a: 'x', b: null }, ['a', 'b'])).toBe('x');
  });

  it('without a number comes last either way', () => {
    const rows = [line('a', 1, null), line('b', 1, 5), line('c', 1, 7)];
    const by = ['dst.service'] as const;
    for (const down of [true, false]) {
      const lines = sorted({ rows }, { by } as never, { by: 'p99', down });
      expect(lines.map(({ label }) => label)).toEqual(down ? ['c', 'b', 'a'] : ['b', 'c', 'a']);
    }
  });
});

import { fireEvent, render, screen, waitFor } from '@testing-library/react';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { useApp } from '../app-state';
import { stats, status } from '../test-data';
import { TopValues } from './top-values';

beforeEach(() => {
  useApp.setState({ status: status('recorded'), kfl: 'http', top: 'path', proposal: null });
  // this DOM has no modal dialogs
  HTMLDialogElement.prototype.showModal = function showModal() {
    this.open = true;
  };
  HTMLDialogElement.prototype.close = function close() {
    this.open = false;
  };
  vi.stubGlobal('fetch', async (path: string) => {
    if (path.startsWith('/api/kfl')) return Response.json({ completions: [] });
    const by = new URL(path, 'http://x').searchParams.get('by');
    if (by === 'headers') {
      const error = { message: '`headers` has no single value to group by' };
      return Response.json({ error }, { status: 400 });
    }
    const rows = [
      { path: '/a', count: 3 },
      { path: null, count: 1 },
    ];
    const filters = [
      { only: 'http and path a', without: 'http and not a' },
      { only: null, without: null },
    ];
    return new Response(JSON.stringify({ ...stats(rows, { more: 7 }), filters }));
  });
});

describe('TopValues', () => {
  it('counts values, and narrows the filter by one', async () => {
    render(<TopValues />);
    expect(await screen.findByRole('rowheader', { name: '/a' })).toBeTruthy();
    expect(screen.getByText('75.0 %')).toBeTruthy();
    expect(screen.getByText('(none)')).toBeTruthy();
    expect(screen.getByRole('button', { name: /^Not complete/ })).toBeTruthy();
    expect(screen.getAllByRole('button', { name: 'Add' })).toHaveLength(1);
    fireEvent.click(screen.getByRole('button', { name: 'Exclude' }));
    expect(useApp.getState()).toMatchObject({ top: null, proposal: { text: 'http and not a' } });
  });

  it('says what cannot be counted', async () => {
    render(<TopValues />);
    const field = await screen.findByRole('combobox', { name: 'Field' });
    fireEvent.change(field, { target: { value: 'headers' } });
    fireEvent.click(screen.getByRole('button', { name: 'Show' }));
    await waitFor(() => expect(screen.getByRole('alert').textContent).toContain('no single value'));
  });
});

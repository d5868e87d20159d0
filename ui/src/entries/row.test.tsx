import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import type { Row } from '../api/types';
import { row } from '../test-data';
import { EntryRow, statusKind } from './row';

function show(patch: Partial<Row> = {}, onPick = vi.fn()) {
  const props = { rowIndex: 2, id: 'r', top: 0, current: false, open: false, withDate: true };
  render(<EntryRow {...props} row={row(patch)} zone="utc" onPick={onPick} />);
  return screen.getAllByRole('gridcell').map((cell) => cell.textContent);
}

describe('EntryRow', () => {
  it('shows the columns in order', () => {
    expect(show()).toEqual([
      '2026-11-24 21:04:05.123',
      'HTTP',
      'GET',
      '200',
      '/catalogue/3?tags=blue',
      'front-endshop',
      '10.0.0.9:8086',
      '2.35 ms',
      '321 B',
      '12.3 kB',
    ]);
  });

  it('shows captured text as text', () => {
    const cells = show({ summary: '<img src=x onerror=alert(1)>' });
    expect(cells[4]).toBe('<img src=x onerror=alert(1)>');
    expect(document.querySelector('img')).toBeNull();
  });

  it('names what is missing', () => {
    const error = { type: 'timeout', msg: 'no response within 30 s' };
    const cells = show({ status: '', statusCode: null, ok: false, error, elapsedTime: null });
    expect([cells[3], cells[7]]).toEqual(['timeout', '–']);
    expect(screen.getByTitle('timeout: no response within 30 s')).toBeTruthy();
  });

  it.each([
    [{ failed: true }, 'failed', "200, failed a script's test"],
    [{ passed: true }, 'passed', "200, passed a script's test"],
    [{ failed: true, passed: true }, 'failed', "200, failed a script's test"],
    [{}, null, '200'],
  ] as [Partial<Row>, string | null, string][])('%o is shown as %s', (patch, kind, title) => {
    show(patch);
    expect(screen.getByRole('row').getAttribute('data-verdict')).toBe(kind);
    expect(screen.getByTitle(title)).toBeTruthy();
  });

  it('says which row was picked', async () => {
    const onPick = vi.fn();
    show({}, onPick);
    await userEvent.click(screen.getByRole('row'));
    expect(onPick).toHaveBeenCalledWith(row());
  });
});

describe('statusKind', () => {
  it.each([
    [{ statusCode: 204 }, 'good'],
    [{ statusCode: 302 }, 'moved'],
    [{ statusCode: 404, ok: false }, 'warn'],
    [{ statusCode: 503, ok: false }, 'bad'],
    [{ statusCode: null, status: 'No Error' }, 'good'],
    [{ statusCode: null, status: 'Non-Existent Domain', ok: false }, 'bad'],
    [{ statusCode: 200, error: { type: 'dissection', msg: '' } }, 'bad'],
    [{ statusCode: null, status: '' }, 'none'],
  ])('%o is %s', (patch: Partial<Row>, kind) => {
    expect(statusKind(row(patch))).toBe(kind);
  });
});

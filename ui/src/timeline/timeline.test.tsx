import { fireEvent, render, screen, waitFor } from '@testing-library/react';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Stats } from '../api/types';
import { useApp } from '../app-state';
import { stats, status } from '../test-data';
import { Timeline } from './timeline';

const first = '2026-11-27T00:00:00.000Z';
const last = '2026-11-27T00:00:09.999Z';

/** What was asked, and a way to answer each question. */
let asked: { url: URL; signal: AbortSignal; answer: (lines: (Stats | object)[]) => void }[];

beforeEach(() => {
  asked = [];
  useApp.setState({
    status: { ...status('recorded'), span: { first, last } },
    kfl: '',
    since: undefined,
    until: undefined,
    zone: 'utc',
  });
  vi.stubGlobal('fetch', (path: string, { signal }: { signal: AbortSignal }) => {
    return new Promise<Response>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
      const answer = (lines: object[]) =>
        resolve(new Response(lines.map((line) => JSON.stringify(line)).join('\n')));
      asked.push({ url: new URL(path, 'http://x'), signal, answer });
    });
  });
});

const rows = [
  { time: '2026-11-27T00:00:02.000000000Z', ok: true, statusCode: 200, count: 1_200 },
  { time: '2026-11-27T00:00:05.000000000Z', ok: false, statusCode: 500, count: 3 },
];

describe('Timeline', () => {
  it('asks for steps that fit, and calls off what is no longer asked', async () => {
    render(<Timeline />);
    expect(asked[0]?.url.searchParams.get('every')).toBe('100ms');
    useApp.setState({ kfl: 'http' });
    await waitFor(() => expect(asked).toHaveLength(2));
    expect(asked[0]?.signal.aborted).toBe(true);
    expect(asked[1]?.url.searchParams.get('kfl')).toBe('http');
    asked[1]?.answer([stats(rows.slice(0, 1), { partial: true }), stats(rows)]);
    await waitFor(() =>
      expect(screen.getByTestId('timeline-total').textContent).toBe('1,203 entries'),
    );
    const kinds = [...screen.getByTestId('timeline-bars').querySelectorAll('[data-kind]')];
    expect(kinds.map((bar) => bar.getAttribute('data-kind'))).toEqual(['good', 'bad']);
  });

  it('is marked with the keyboard', async () => {
    render(<Timeline />);
    asked[0]?.answer([stats(rows)]);
    const slider = await screen.findByRole('slider');
    for (let turn = 0; turn < 21; turn += 1) fireEvent.keyDown(slider, { key: 'ArrowRight' });
    expect(slider.getAttribute('aria-valuetext')).toBe(
      '2026-11-27 00:00:02.000, 100ms · 1,200 entries',
    );
    fireEvent.keyDown(slider, { key: 'PageUp', shiftKey: true });
    fireEvent.keyDown(slider, { key: 'Enter' });
    const { since, until } = useApp.getState();
    expect([since, until]).toEqual(['2026-11-27T00:00:02.000Z', '2026-11-27T00:00:03.100Z']);
    expect(new URL(window.location.href).searchParams.get('since')).toBe(since);
    fireEvent.click(await screen.findByRole('button', { name: /show all times/ }));
    expect(useApp.getState().since).toBeUndefined();
  });

  it('says what is missing, and what went wrong', async () => {
    render(<Timeline />);
    asked[0]?.answer([stats(rows, { notes: ['the first hour could not be read'] })]);
    fireEvent.click(await screen.findByRole('button', { name: /^Not complete/ }));
    expect(screen.getByText('the first hour could not be read')).toBeTruthy();
    useApp.setState({ kfl: 'dns' });
    await waitFor(() => expect(asked).toHaveLength(2));
    asked[1]?.answer([stats([], { partial: true }), { error: { message: 'the bucket is gone' } }]);
    expect((await screen.findByRole('alert')).textContent).toContain('the bucket is gone');
  });
});

import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';
import type { Status } from '../api/types';
import { useApp } from '../app-state';
import { Denied } from './denied';
import { Header, connectionOf } from './header';

const status: Status = {
  version: '0.1.0',
  mode: 'live',
  node: 'node-1',
  cluster: 'c1',
  source: 'any',
  recording: {
    rule: 'errors',
    kfl: 'http',
    destination: 'gs://bucket/',
    state: 'recording',
    lastUpload: null,
    spoolBytes: 2_000,
    pendingObjects: 1,
    uploadedObjects: 3,
    error: 'no permission to write gs://bucket/',
  },
  defaultFilter: '',
  counters: { received_packets: 1_000 },
  drops: { ring_overrun: 2, queue_full: 40, nothing: 0 },
  progress: null,
  span: null,
};

describe('Header', () => {
  it('shows drops by reason, the most first', async () => {
    useApp.setState({ status });
    render(<Header feed={{ phase: 'open' }} help={() => undefined} />);
    await userEvent.click(screen.getByRole('button', { name: 'Dropped: 42' }));
    const names = screen.getAllByRole('term').map((term) => term.textContent);
    expect(names).toEqual(['queue_full', 'ring_overrun', 'received_packets']);
  });

  it('shows what is wrong with a recording', async () => {
    useApp.setState({ status });
    render(<Header feed={{ phase: 'open' }} help={() => undefined} />);
    await userEvent.click(screen.getByRole('button', { name: /^REC: errors, with an error/ }));
    expect(screen.getByText('no permission to write gs://bucket/')).toBeTruthy();
  });
});

describe('connectionOf', () => {
  const progress = { done: 1, total: 4, unit: 'bytes' as const, finished: false, error: null };
  it.each([
    [{ feed: { phase: 'open' }, status, unreachable: false }, 'Live'],
    [{ feed: { phase: 'open' }, status, unreachable: true }, 'Not reachable'],
    [{ feed: { phase: 'connecting' }, status: null, unreachable: false }, 'Connecting'],
    [{ feed: { phase: 'invalid', error: { message: '' } }, status, unreachable: false }, 'Stopped'],
    [
      {
        feed: { phase: 'ended' },
        status: { ...status, mode: 'recorded', progress },
        unreachable: false,
      },
      'Reading 25 %',
    ],
  ] as [Parameters<typeof connectionOf>[0], string][])('case %#', (state, text) => {
    expect(connectionOf(state)[1]).toBe(text);
  });
});

describe('Denied', () => {
  it('says how to get in', () => {
    render(<Denied status={401} />);
    expect(screen.getByText(/Open the URL that the command printed/)).toBeTruthy();
  });
});

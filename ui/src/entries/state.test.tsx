import { render, screen } from '@testing-library/react';
import { describe, expect, it, vi } from 'vitest';
import type { Status } from '../api/types';
import { EmptyState } from './state';
import type { Feed } from './store';

const status: Status = {
  version: '0.1.0',
  mode: 'recorded',
  node: '',
  cluster: '',
  source: 'gs://bucket/',
  recording: null,
  defaultFilter: '',
  counters: {},
  drops: {},
  progress: null,
  span: null,
};

function show(feed: Feed, patch: Partial<Status> = {}, kfl = '') {
  render(<EmptyState feed={feed} status={{ ...status, ...patch }} kfl={kfl} retry={vi.fn()} />);
  return screen.getByRole('status').textContent;
}

const progress = { done: 25, total: 100, unit: 'objects' as const, finished: false, error: null };

describe('EmptyState', () => {
  it('says what it waits for', () => {
    expect(show({ phase: 'connecting' })).toContain('Connecting');
  });
  it('says how far the reading of a recording is', () => {
    const text = show({ phase: 'ended' }, { progress });
    expect(text).toContain('25 % · 25 of 100 objects');
  });
  it('says why a recording ended early', () => {
    const failed = { ...progress, finished: true, error: 'no permission to read gs://bucket/x' };
    expect(show({ phase: 'ended' }, { progress: failed })).toContain('no permission to read');
  });
  it('offers to clear a filter that nothing matches', () => {
    expect(show({ phase: 'ended' }, {}, 'dns')).toContain('No entry matches');
    expect(screen.getByRole('button', { name: 'Clear filter' })).toBeTruthy();
  });
  it('names the source that nothing was seen on', () => {
    expect(show({ phase: 'open' }, { mode: 'live', source: 'eth0' })).toContain(
      'Listening on eth0',
    );
  });
  it('offers to try again what failed', () => {
    expect(show({ phase: 'failed', message: 'Gillnet does not answer.' })).toContain('not answer');
    expect(screen.getByRole('button', { name: 'Try again' })).toBeTruthy();
  });
});

import { beforeEach, describe, expect, it } from 'vitest';
import type { Status } from './api/types';
import { useApp } from './app-state';

const STATUS: Status = {
  version: '0',
  mode: 'live',
  node: '',
  cluster: '',
  source: 'any',
  recording: null,
  defaultFilter: 'http',
  counters: {},
  drops: {},
  progress: null,
  span: null,
};

beforeEach(() => {
  useApp.setState({ kfl: '', status: null });
  window.history.replaceState(null, '', '/');
});

describe('the filter to start with', () => {
  const learn = (status = STATUS) => useApp.getState().learn(status);

  it('comes with the first status, and the address shows it', () => {
    learn();
    expect(useApp.getState().kfl).toBe('http');
    expect(window.location.search).toBe('?q=http');
  });

  it('does not come back when it was cleared', () => {
    learn();
    useApp.getState().applyFilter('');
    learn();
    expect(useApp.getState().kfl).toBe('');
  });

  it.each(['?q=dns', '?q='])('leaves the filter of the address %s', (search) => {
    window.history.replaceState(null, '', `/${search}`);
    useApp.setState({ kfl: search.slice(3) });
    learn();
    expect(useApp.getState().kfl).toBe(search.slice(3));
  });
});

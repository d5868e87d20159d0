import { describe, expect, it } from 'vitest';
import { FilterHistory } from './history';

describe('FilterHistory', () => {
  it('walks back to the oldest and forth to the draft', () => {
    const history = new FilterHistory();
    history.remember('http');
    history.remember('dns');
    expect(history.walk(1, 'draft')).toBe('dns');
    expect(history.walk(1, 'dns')).toBe('http');
    expect(history.walk(1, 'http')).toBeNull();
    expect(history.walk(-1, 'http')).toBe('dns');
    expect(history.walk(-1, 'dns')).toBe('draft');
    expect(history.walk(-1, 'draft')).toBeNull();
  });
  it('keeps each filter once, over pages, and not the empty one', () => {
    const history = new FilterHistory();
    for (const kfl of ['http', 'dns', '', 'http']) history.remember(kfl);
    const next = new FilterHistory();
    expect([next.walk(1, ''), next.walk(1, ''), next.walk(1, '')]).toEqual(['http', 'dns', null]);
  });
  it('survives what others stored', () => {
    localStorage.setItem('gillnet.filters', '{"not":"a list"}');
    expect(new FilterHistory().walk(1, '')).toBeNull();
  });
});

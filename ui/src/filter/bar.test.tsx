import { EditorView } from '@codemirror/view';
import { act, render, screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Diagnostic } from '../api/types';
import { useApp } from '../app-state';
import { FilterBar } from './bar';

const WRONG: Diagnostic = {
  kind: 'name',
  offset: 9,
  length: 7,
  line: 1,
  column: 10,
  message: 'unknown field "respnse"',
  suggestion: 'did you mean "response"?',
};

/** The server's judgement: whatever holds `respnse` is wrong there. */
function judge(kfl: string): Diagnostic[] {
  const offset = kfl.indexOf('respnse');
  return offset < 0 ? [] : [{ ...WRONG, offset, column: offset + 1 }];
}

beforeEach(() => {
  useApp.setState({ kfl: '', lang: undefined, entry: null, proposal: null });
  vi.stubGlobal('fetch', async (_url: string, init: RequestInit) => {
    const { kfl } = JSON.parse(String(init.body)) as { kfl: string };
    const errors = judge(kfl);
    const tokens = [{ offset: 0, length: Math.min(4, kfl.length), class: 'keyword' }];
    const ok = errors.length === 0;
    return Response.json({ ok, lang: 'kfl1', tokens, errors, warnings: [], completions: [] });
  });
});

function editor(): EditorView {
  const view = EditorView.findFromDOM(screen.getByTestId('filter'));
  if (!view) throw new Error('no editor');
  return view;
}

function type(text: string): void {
  const view = editor();
  act(() => {
    view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
  });
}

const press = (key: string) => userEvent.type(editor().contentDOM, `{${key}}`);

describe('FilterBar', () => {
  it('shows where a filter is wrong and keeps the applied one', async () => {
    useApp.setState({ kfl: 'http' });
    render(<FilterBar refused={null} />);
    type('http and respnse.status == 500');
    await screen.findByText('unknown field "respnse"');
    expect(screen.getByText('Column 10:')).toBeTruthy();
    expect(document.querySelector('.kfl-error-mark')?.textContent).toBe('respnse');
    await press('Enter');
    await waitFor(() => expect(screen.getByText(/keeps the last valid filter/)).toBeTruthy());
    expect(useApp.getState().kfl).toBe('http');
  });

  it('puts the name that was meant in its place', async () => {
    render(<FilterBar refused={null} />);
    type('http and respnse.status == 500');
    await userEvent.click(await screen.findByRole('button', { name: 'Use response' }));
    expect(editor().state.doc.toString()).toBe('http and response.status == 500');
  });

  it('applies a valid filter with Enter, and the address shows it', async () => {
    render(<FilterBar refused={null} />);
    type('http');
    await press('Enter');
    await waitFor(() => expect(useApp.getState().kfl).toBe('http'));
    expect(window.location.search).toBe('?q=http');
    expect(useApp.getState().detected).toBe('kfl1');
    await waitFor(() => expect(document.querySelector('.kfl-keyword')?.textContent).toBe('http'));
  });

  it('goes back to the applied filter with Escape', async () => {
    useApp.setState({ kfl: 'dns' });
    render(<FilterBar refused={null} />);
    type('http');
    await press('Escape');
    expect(editor().state.doc.toString()).toBe('dns');
  });

  it('is one line', () => {
    render(<FilterBar refused={null} />);
    type('http\n  and\ndns');
    expect(editor().state.doc.toString()).toBe('http and dns');
  });

  it('takes and applies a filter that a click made', async () => {
    render(<FilterBar refused={null} />);
    act(() => useApp.getState().propose('src.name == "cart"'));
    await waitFor(() => expect(useApp.getState().kfl).toBe('src.name == "cart"'));
  });

  it('shows why the filter of the address was refused', () => {
    render(<FilterBar refused={{ message: 'unknown field', errors: [WRONG] }} />);
    expect(screen.getByText('Column 10:')).toBeTruthy();
  });

  it('says so when the server cannot be asked', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('refused')));
    render(<FilterBar refused={null} />);
    type('http');
    expect(await screen.findByText(/cannot be checked: Gillnet does not answer/)).toBeTruthy();
  });
});

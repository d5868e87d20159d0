import { render, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { beforeEach, describe, expect, it } from 'vitest';
import { useApp } from '../app-state';
import { dnsEntry, httpEntry } from '../test-data';
import { Exchange } from './messages';
import { headline } from './pane';

beforeEach(() => useApp.setState({ kfl: 'http or dns', detected: 'kfl1', proposal: null }));

describe('Exchange', () => {
  it('shows request and response of HTTP, their text as text', () => {
    render(<Exchange entry={httpEntry()} />);
    const headers = screen.getByRole('table', { name: 'Request: headers' });
    expect(within(headers).getByText("it's <b>bold</b>")).toBeTruthy();
    expect(document.querySelector('b')).toBeNull();
    const query = screen.getByRole('table', { name: 'Request: query' });
    expect(
      within(query)
        .getAllByRole('rowheader')
        .map((cell) => cell.textContent),
    ).toEqual(['item', 'item']);
    expect(screen.getByLabelText('JSON').textContent).toContain('"id": 12345678901234567890');
    expect(screen.getByText('hello')).toBeTruthy();
  });

  it('shows the records of DNS', () => {
    render(<Exchange entry={dnsEntry()} />);
    const answers = screen.getByRole('region', { name: 'Answers' });
    const cells = within(answers)
      .getAllByRole('cell')
      .map((cell) => cell.textContent);
    expect(cells).toEqual(['cart.shop.', 'A', 'IN', '30', '10.96.0.11']);
  });

  it('says why a side is missing', () => {
    const error = { type: 'pair-not-found', msg: 'the connection ended' };
    render(<Exchange entry={httpEntry({ response: null, error })} />);
    expect(screen.getByText('No response was seen: the connection ended.')).toBeTruthy();
  });

  it('shows protocols that have no view of their own', () => {
    const protocol = { ...httpEntry().protocol, name: 'redis' };
    const request = { command: 'GET', key: 'a', nested: { list: [1, { deep: true }] } };
    render(<Exchange entry={httpEntry({ protocol, request, response: null })} />);
    expect(screen.getAllByRole('rowheader').map((cell) => cell.textContent)).toEqual([
      'command',
      'key',
      'nested.list[0]',
      'nested.list[1].deep',
    ]);
  });

  it('filters by a value', async () => {
    render(<Exchange entry={httpEntry()} />);
    await userEvent.click(screen.getByRole('button', { name: 'Filter by response.status' }));
    await userEvent.click(screen.getByRole('button', { name: /^Add/ }));
    expect(useApp.getState().proposal?.text).toBe('(http or dns) and response.status == 500');
  });

  it('does not mix the two languages', async () => {
    useApp.setState({ detected: 'kfl2' });
    render(<Exchange entry={httpEntry()} />);
    await userEvent.click(screen.getByRole('button', { name: 'Filter by response.status' }));
    expect(screen.getByRole('button', { name: /^Add/ })).toHaveProperty('disabled', true);
    await userEvent.click(screen.getByRole('button', { name: /^Replace/ }));
    expect(useApp.getState().proposal?.text).toBe('response.status == 500');
  });
});

describe('headline', () => {
  it('sums an entry up', () => {
    expect(headline(httpEntry())).toEqual({
      method: 'POST',
      subject: '/cart?item=3',
      status: '500 Internal Server Error',
      code: 500,
      ok: false,
    });
    expect(headline(dnsEntry())).toMatchObject({ method: 'A', subject: 'cart.shop.', ok: true });
  });
});

import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';
import { useApp } from '../app-state';
import { status } from '../test-data';
import { ExportMenu } from './export';

function parameters(name: RegExp): Record<string, string> {
  const url = new URL(screen.getByRole<HTMLAnchorElement>('link', { name }).href);
  expect(url.pathname).toBe('/api/export');
  return Object.fromEntries(url.searchParams);
}

describe('ExportMenu', () => {
  it('has what is shown', async () => {
    const since = '2026-11-27T00:00:00.000Z';
    useApp.setState({ kfl: 'http and tls', lang: 'kfl1', since, status: status('live') });
    render(<ExportMenu />);
    await userEvent.click(screen.getByRole('button', { name: 'Export what is shown' }));
    const asked = { q: 'http and tls', lang: 'kfl1', from: since };
    expect(parameters(/^har /)).toEqual({ ...asked, format: 'har' });
    expect(parameters(/^pcap /)).toEqual({ ...asked, format: 'pcap' });
    expect(screen.getByText(/the ring still holds/)).toBeTruthy();
    useApp.setState({ since: undefined, lang: undefined });
  });

  it('has a whole stream, whatever the filter', async () => {
    useApp.setState({ kfl: 'http', status: status('recorded') });
    const stream = { id: 'w/1.pcap-0', cluster: 'c', node: 'n', run: '9f', stream: '1.pcap' };
    render(<ExportMenu stream={stream} />);
    await userEvent.click(screen.getByRole('button', { name: 'Export the stream' }));
    const of = { stream: '1.pcap', cluster: 'c', node: 'n', run: '9f' };
    expect(parameters(/^pcapng /)).toEqual({ ...of, format: 'pcapng' });
  });
});

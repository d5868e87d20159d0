import type { Endpoint } from '../api/types';

const NONE = '–';

/** A span of microseconds in the unit that keeps three figures readable. */
export function formatElapsed(micros: number | null | undefined): string {
  if (micros === null || micros === undefined || !Number.isFinite(micros)) return NONE;
  if (micros < 1_000) return `${Math.round(micros)} µs`;
  if (micros < 1_000_000) return `${figures(micros / 1_000)} ms`;
  if (micros < 60_000_000) return `${figures(micros / 1_000_000)} s`;
  const seconds = Math.round(micros / 1_000_000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** Bytes in decimal units, as the browser's own tools print them. */
export function formatBytes(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined || !Number.isFinite(bytes)) return NONE;
  if (bytes < 1_000) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = bytes / 1_000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return `${figures(value)} ${units[unit] ?? ''}`;
}

function figures(value: number): string {
  if (value >= 99.95) return value.toFixed(0);
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

/** A count in few characters: `12.3k`. */
export function formatShort(count: number): string {
  if (count < 1_000) return String(count);
  const units = ['k', 'M', 'G', 'T'];
  let value = count / 1_000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return `${figures(value)}${units[unit] ?? ''}`;
}

/** A part of a whole, as per cent. */
export function formatShare(share: number): string {
  if (!Number.isFinite(share)) return NONE;
  const percent = share * 100;
  if (percent > 0 && percent < 0.1) return '< 0.1 %';
  // what is not all is never shown as all
  return `${percent < 100 ? Math.min(percent, 99.9).toFixed(1) : '100'} %`;
}

export type Zone = 'local' | 'utc';

/** Date and time of day (to the millisecond) of a timestamp; null when it is none. */
export function splitTime(timestamp: string, zone: Zone): { date: string; time: string } | null {
  const instant = new Date(timestamp);
  if (Number.isNaN(instant.getTime())) return null;
  const iso = isoIn(zone, instant);
  return { date: iso.slice(0, 10), time: iso.slice(11, 23) };
}

function isoIn(zone: Zone, date: Date): string {
  if (zone === 'utc') return date.toISOString();
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString();
}

/** `10.0.0.1:80`, `[fd00::1]:80`; no port where there is none. */
export function formatAddress({ ip, port }: { ip: string; port: number | string }): string {
  const host = ip.includes(':') ? `[${ip}]` : ip;
  return Number(port) === 0 ? ip : `${host}:${port}`;
}

export function endpointTitle(end: Endpoint): string {
  const name = end.name && end.namespace ? `${end.name}.${end.namespace}` : end.name;
  return name ? `${name} (${formatAddress(end)})` : formatAddress(end);
}

/** How long ago, for a person. */
export function formatAgo(timestamp: string, now: number): string {
  const seconds = Math.max(0, Math.round((now - Date.parse(timestamp)) / 1_000));
  if (Number.isNaN(seconds)) return timestamp;
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

import type { Content, Entry } from '../api/types';

/** Bodies above this many characters are left out of a command line. */
export const CURL_BODY_LIMIT = 64 * 1024;

export interface Curl {
  command: string;
  /** Why the body is not in it. */
  left: string | null;
}

function shell(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

function strings(value: unknown): [string, string][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).filter(
    (pair): pair is [string, string] => typeof pair[1] === 'string',
  );
}

/** What curl makes by itself. */
const OWN_HEADERS = new Set(['host', 'content-length', 'connection', 'transfer-encoding']);

/** The request as a curl command for a POSIX shell; null when the entry is no HTTP request. */
export function curlOf(entry: Entry): Curl | null {
  const { request, dst, tls } = entry;
  if (entry.protocol.name !== 'http' || !request || typeof request.method !== 'string') return null;
  const headers = strings(request.headers);
  const parts = ['curl', '-X', shell(request.method)];
  if (request.method === 'HEAD') parts.splice(1, 2, '--head');
  parts.push(shell(address(request.url, headers, dst, tls === true)));
  for (const [name, value] of headers) {
    if (!OWN_HEADERS.has(name.toLowerCase())) parts.push('-H', shell(`${name}: ${value}`));
  }
  const { body, left } = bodyArgument(request.postData as Content | undefined);
  if (body !== null) parts.push('--data-binary', shell(body));
  return { command: parts.join(' '), left };
}

function address(url: unknown, headers: [string, string][], dst: Entry['dst'], tls: boolean) {
  const path = typeof url === 'string' ? url : '/';
  if (/^https?:\/\//i.test(path)) return path;
  const host = headers.find(([name]) => name.toLowerCase() === 'host')?.[1];
  const ip = dst.ip.includes(':') ? `[${dst.ip}]` : dst.ip;
  return `${tls ? 'https' : 'http'}://${host ?? `${ip}:${dst.port}`}${path}`;
}

function bodyArgument(content: Content | undefined): { body: string | null; left: string | null } {
  const text: unknown = content?.text;
  if (typeof text !== 'string' || text === '') return { body: null, left: null };
  if (content?.encoding === 'base64') return { body: null, left: 'it is binary' };
  if (text.includes('\0')) return { body: null, left: 'it is binary' };
  if (text.length > CURL_BODY_LIMIT) return { body: null, left: 'it is too large' };
  if (text.startsWith('@')) return { body: null, left: 'curl would read a file of its name' };
  return { body: text, left: null };
}

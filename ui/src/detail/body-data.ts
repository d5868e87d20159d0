import type { Content } from '../api/types';

export interface Body {
  mimeType: string;
  bytes: Uint8Array;
  /** Null: the bytes are no text. */
  text: string | null;
  /** Bytes of the whole body, where more than was kept. */
  fullSize: number | null;
}

/** The body of a message; null when it has none. */
export function bodyOf(content: Content | undefined, size: unknown): Body | null {
  // a script may have put anything in its place
  const raw = textOf(content?.text);
  const stated = typeof size === 'number' ? size : (content?.size ?? 0);
  if (!content || (raw === '' && stated <= 0)) return null;
  const bytes = content.encoding === 'base64' ? fromBase64(raw) : new TextEncoder().encode(raw);
  const mimeType = textOf(content.mimeType);
  return {
    mimeType,
    bytes,
    text: decodeText(bytes, mimeType),
    fullSize: stated > bytes.length ? stated : null,
  };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** Bytes of base64; what is no base64 ends them. */
export function fromBase64(text: string): Uint8Array {
  let binary: string;
  try {
    binary = atob(text.replace(/\s+/g, ''));
  } catch {
    return new TextEncoder().encode(text);
  }
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}

function decodeText(bytes: Uint8Array, mimeType: string): string | null {
  const charset = /charset="?([^";\s]+)/i.exec(mimeType)?.[1] ?? 'utf-8';
  let decoder: TextDecoder;
  try {
    decoder = new TextDecoder(charset, { fatal: true });
  } catch {
    decoder = new TextDecoder('utf-8', { fatal: true });
  }
  try {
    // A cut body may end inside a character.
    const text = decoder.decode(bytes, { stream: true });
    return text.includes('\0') ? null : text;
  } catch {
    return null;
  }
}

export type JsonKind = 'key' | 'string' | 'number' | 'word' | 'plain';

export interface Piece {
  kind: JsonKind;
  text: string;
}

const JSON_TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g;

/**
 * JSON with line breaks and indentation, its tokens left as they came (numbers keep all their
 * digits, double keys stay double); null when the text is no JSON.
 */
export function prettyJson(text: string): Piece[] | null {
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  const tokens = text.match(JSON_TOKEN) ?? [];
  const pieces: Piece[] = [];
  let depth = 0;
  const line = () => pieces.push({ kind: 'plain', text: `\n${'  '.repeat(depth)}` });
  tokens.forEach((token, index) => {
    const next = tokens[index + 1];
    const before = tokens[index - 1];
    if (token === '{' || token === '[') {
      pieces.push({ kind: 'plain', text: token });
      depth += 1;
      if (next !== '}' && next !== ']') line();
    } else if (token === '}' || token === ']') {
      depth -= 1;
      if (before !== '{' && before !== '[') line();
      pieces.push({ kind: 'plain', text: token });
    } else if (token === ',') {
      pieces.push({ kind: 'plain', text: token });
      line();
    } else if (token === ':') {
      pieces.push({ kind: 'plain', text: ': ' });
    } else {
      pieces.push({ kind: scalarKind(token, next), text: token });
    }
  });
  return pieces;
}

function scalarKind(token: string, next: string | undefined): JsonKind {
  if (token.startsWith('"')) return next === ':' ? 'key' : 'string';
  return /^-?\d/.test(token) ? 'number' : 'word';
}

/** Fields of a form; null when the type says something else. */
export function formFields(text: string, mimeType: string): [string, string][] | null {
  if (!mimeType.toLowerCase().startsWith('application/x-www-form-urlencoded')) return null;
  return [...new URLSearchParams(text)];
}

/** Offset, sixteen bytes and their ASCII a line. */
export function hexDump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let offset = 0; offset < bytes.length; offset += 16) {
    const chunk = [...bytes.subarray(offset, offset + 16)];
    const hex = chunk.map((byte) => byte.toString(16).padStart(2, '0'));
    const left = hex.slice(0, 8).join(' ').padEnd(23);
    const right = hex.slice(8).join(' ').padEnd(23);
    const ascii = chunk.map((b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : '.')).join('');
    lines.push(`${offset.toString(16).padStart(8, '0')}  ${left}  ${right}  ${ascii}`);
  }
  return lines.join('\n');
}

import { describe, expect, it } from 'vitest';
import { bodyOf, formFields, hexDump, prettyJson } from './body-data';

const base64 = (...bytes: number[]) => btoa(String.fromCharCode(...bytes));

describe('bodyOf', () => {
  it('decodes base64 and reads UTF-8', () => {
    const content = {
      mimeType: 'text/plain',
      encoding: 'base64',
      text: base64(0xc3, 0xbc),
      size: 2,
    };
    expect(bodyOf(content, 2)).toMatchObject({ text: 'ü', fullSize: null });
  });
  it('takes what a script put there for text only where it is', () => {
    const odd = { encoding: 'base64', text: { a: 1 }, mimeType: 7, size: 2 } as never;
    expect(bodyOf(odd, 2)).toMatchObject({ mimeType: '', text: '', fullSize: 2 });
    const marked = { encoding: 'base64', text: '[redacted]' };
    expect(bodyOf(marked, 0)?.text).toBe('[redacted]');
  });
  it('knows bytes that are no text', () => {
    expect(bodyOf({ encoding: 'base64', text: base64(0xff, 0xfe) }, 2)?.text).toBeNull();
    expect(bodyOf({ encoding: 'base64', text: base64(1, 0, 2) }, 3)?.text).toBeNull();
  });
  it('reads the character set that the type names', () => {
    const content = {
      mimeType: 'text/plain; charset=latin1',
      encoding: 'base64',
      text: base64(0xfc),
    };
    expect(bodyOf(content, 1)?.text).toBe('ü');
  });
  it('says when less was kept than there was, even inside a character', () => {
    const content = { encoding: 'base64', text: base64(0x61, 0xc3), size: 900 };
    expect(bodyOf(content, 900)).toMatchObject({ text: 'a', fullSize: 900 });
  });
  it('is null where there is none', () => {
    expect(bodyOf(undefined, 0)).toBeNull();
    expect(bodyOf({ mimeType: 'text/html', size: 0, text: '' }, 0)).toBeNull();
  });
});

describe('prettyJson', () => {
  const text = (json: string) =>
    prettyJson(json)
      ?.map((piece) => piece.text)
      .join('');
  it('breaks lines and leaves every token as it came', () => {
    expect(text('{"a":12345678901234567890,"a":[1.0,"x, {y}\\"",{}],"b":[]}')).toBe(
      `{
  "a": 12345678901234567890,
  "a": [
    1.0,
    "x, {y}\\"",
    {}
  ],
  "b": []
}`,
    );
  });
  it('is null for what is no JSON', () => {
    expect(prettyJson('<html>')).toBeNull();
  });
  it('tells keys from strings', () => {
    const kinds = prettyJson('{"k":"v","n":-1,"w":null}')?.filter(({ kind }) => kind !== 'plain');
    expect(kinds?.map(({ kind }) => kind)).toEqual([
      'key',
      'string',
      'key',
      'number',
      'key',
      'word',
    ]);
  });
});

describe('hexDump', () => {
  it('has sixteen bytes a line and their ASCII', () => {
    const lines = hexDump(new TextEncoder().encode('GET / HTTP/1.1\r\nHost')).split('\n');
    expect(lines).toEqual([
      '00000000  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 31 0d 0a  GET / HTTP/1.1..',
      '00000010  48 6f 73 74                                       Host',
    ]);
  });
});

describe('formFields', () => {
  it('decodes a form, and only a form', () => {
    const type = 'application/x-www-form-urlencoded; charset=utf-8';
    expect(formFields('a=1&b=x+%26y', type)).toEqual([
      ['a', '1'],
      ['b', 'x &y'],
    ]);
    expect(formFields('a=1', 'text/plain')).toBeNull();
  });
});

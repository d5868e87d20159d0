import { describe, expect, it } from 'vitest';
import { dnsEntry, httpEntry } from '../test-data';
import { CURL_BODY_LIMIT, curlOf } from './curl';

const withRequest = (patch: Record<string, unknown>) => {
  const entry = httpEntry();
  return curlOf({ ...entry, request: { ...entry.request, ...patch } });
};

describe('curlOf', () => {
  it('quotes for a shell and leaves out what curl makes itself', () => {
    expect(curlOf(httpEntry())).toEqual({
      command:
        `curl -X POST 'http://cart/cart?item=3' -H 'X-Note: it'\\''s <b>bold</b>' ` +
        `--data-binary hello`,
      left: null,
    });
  });
  it('uses the address where there is no Host', () => {
    expect(withRequest({ headers: {}, postData: undefined })?.command).toBe(
      `curl -X POST 'http://10.0.0.9:8086/cart?item=3'`,
    );
  });
  it('asks for the head only', () => {
    const request = { method: 'HEAD', headers: {}, postData: undefined, url: '/' };
    expect(withRequest(request)?.command).toBe('curl --head http://10.0.0.9:8086/');
  });
  it.each([
    [{ text: 'x'.repeat(CURL_BODY_LIMIT + 1) }, 'it is too large'],
    [{ text: 'AAAA', encoding: 'base64' }, 'it is binary'],
    [{ text: '@/etc/passwd' }, 'curl would read a file of its name'],
  ])('leaves out a body when it must', (postData, left) => {
    const curl = withRequest({ postData });
    expect(curl?.left).toBe(left);
    expect(curl?.command).not.toContain('--data-binary');
  });
  it('has nothing to say of DNS', () => {
    expect(curlOf(dnsEntry())).toBeNull();
  });
});

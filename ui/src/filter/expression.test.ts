import { describe, expect, it } from 'vitest';
import { comparison, fieldPath, narrowed } from './expression';

describe('fieldPath', () => {
  it.each([
    [['src', 'namespace'], 'src.namespace'],
    [['request', 'headers', { key: 'Host' }], 'request.headers["Host"]'],
    [['src', 'pod', 'app.kubernetes.io/name'], 'src.pod["app.kubernetes.io/name"]'],
    [['request', 'questions', 0, 'name'], 'request.questions[0].name'],
    [['request', 'cookies', { key: 'a"b' }], `request.cookies['a"b']`],
  ])('%o is %s', (parts, path) => {
    expect(fieldPath(parts)).toBe(path);
  });
});

describe('comparison', () => {
  it.each([
    ['==', 500, 'f == 500'],
    ['!=', 'GET', 'f != "GET"'],
    ['==', true, 'f == true'],
    ['==', 'say "hi"', `f == 'say "hi"'`],
    ['==', `"it's"`, 'f == `"it\'s"`'],
    ['==', 'C:\\', 'f == `C:\\`'],
  ] as const)('%s %s is %s', (operator, value, text) => {
    expect(comparison('f', operator, value)).toBe(text);
  });
});

describe('narrowed', () => {
  it.each([
    ['', 'x == 1'],
    ['http', 'http and x == 1'],
    ['http or dns', '(http or dns) and x == 1'],
    ['http and orders == 2', 'http and orders == 2 and x == 1'],
  ])('%s becomes %s', (filter, text) => {
    expect(narrowed(filter, 'x == 1')).toBe(text);
  });
});

import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type PrintedHit, HitPrinter, type HitStyle } from './hit-printer.ts';

beforeEach(() => {
  vi.stubEnv('NO_COLOR', undefined);
  vi.stubEnv('FORCE_COLOR', undefined);
});
afterEach(() => vi.unstubAllEnvs());

const hits: readonly PrintedHit[] = [
  {
    line: 7,
    text: 'one needle',
    offset: 50,
    entry: 'e2',
    tool: 'read',
    path: 'a.ts',
    superseded_by: 'e9',
  },
  { line: 9, text: 'a NEEDLE', offset: 80, entry: 'e2', tool: 'read', path: 'a.ts' },
  { line: 3, text: 'needle', offset: 10, entry: 'e1', before: ['x'], after: ['y', 'z'] },
];

function print(isTTY: boolean, style: HitStyle): string {
  const out = Object.assign(new PassThrough(), { isTTY });
  const printer = new HitPrinter(out, style);
  printer.print(hits);
  printer.end({ session: 's', total: 3, shown: 3 });
  return String(out.read() ?? '');
}

test('in a terminal: headings, numbers, marked matches', () => {
  const text = print(true, { pattern: 'needle', ignoreCase: true });
  expect(stripVTControlCharacters(text)).toBe(
    'e2  read  a.ts  (newer: e9)\n7:one needle\n9:a NEEDLE\n\ne1\n2-x\n3:needle\n4-y\n5-z\n',
  );
  for (const marked of ['one \u001b[31mneedle\u001b[39m', 'a \u001b[31mNEEDLE\u001b[39m']) {
    expect(text).toContain(marked);
  }
});

test('in a pipe: one line each, no colour, a gap where context does not join', () => {
  expect(print(false, { text: 'needle' })).toBe(
    'a.ts:7:one needle\na.ts:9:a NEEDLE\n--\ne1-2-x\ne1:3:needle\ne1-4-y\ne1-5-z\n',
  );
});

test('as many lines around as asked for on each side, each once, and no numbers if not wanted', () => {
  const near: readonly PrintedHit[] = [
    { line: 2, text: 'b', offset: 2, entry: 'e1', before: ['a'], after: ['c', 'd'] },
    { line: 4, text: 'd', offset: 6, entry: 'e1', before: ['b', 'c'], after: ['e', 'f'] },
  ];
  const printed = (style: HitStyle): string => {
    const out = Object.assign(new PassThrough(), { isTTY: false });
    new HitPrinter(out, style).print(near);
    return String(out.read());
  };
  const style = { beforeContext: 2, afterContext: 1 };
  expect(printed(style)).toBe('e1-1-a\ne1:2:b\ne1-3-c\ne1:4:d\ne1-5-e\n');
  expect(printed({ beforeContext: 0, afterContext: 0, lineNumber: false })).toBe('e1:b\ne1:d\n');
});

test('a pattern that V8 does not know is printed unmarked; special letters of a text are letters', () => {
  expect(print(true, { pattern: '(?P<n>needle)' })).not.toContain('\u001b[31m');
  expect(print(true, { text: 'n.edle' })).not.toContain('\u001b[31m');
});

test('JSON lines, and the count alone', () => {
  const lines = print(false, { json: true }).trimEnd().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as { type: string }).type)).toEqual([
    'match',
    'match',
    'match',
    'summary',
  ]);
  const out = Object.assign(new PassThrough(), { isTTY: false });
  new HitPrinter(out, { count: true }).end({ session: 's', total: 12, shown: 1 });
  expect(String(out.read())).toBe('12\n');
});

import * as fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { patternsOf, type Quote, QuoteFinder } from './find-quotes.ts';

function quotesIn(answer: string): readonly Quote[] {
  const finder = new QuoteFinder();
  return [...finder.take(answer), ...finder.end()];
}

describe('what an answer quotes', () => {
  it.each<[string, string, readonly Quote[]]>([
    [
      'the lines of a block quote',
      '> ERROR gave up\n> at line 12',
      [{ text: 'ERROR gave up' }, { text: 'at line 12' }],
    ],
    [
      'a block quote behind an entry',
      'From e7:\n\n> ERROR gave up',
      [{ text: 'ERROR gave up', entry: 'e7' }],
    ],
    [
      'marks beside an entry',
      '- e12: `expected 200, got 503` and "job 17 failed"',
      [
        { text: 'expected 200, got 503', entry: 'e12' },
        { text: 'job 17 failed', entry: 'e12' },
      ],
    ],
    [
      'a line as a result shows it',
      '- e3:120: WARN disk is full',
      [{ text: 'WARN disk is full', entry: 'e3' }],
    ],
    [
      'a code block behind an entry',
      'In e3:\n```\nconst answer = 42;\n```\n',
      [{ text: 'const answer = 42;', entry: 'e3' }],
    ],
    ['one of several entries', 'e1 and e2 both say `out of memory`', [{ text: 'out of memory' }]],
  ])('is found: %s', (_, answer, quotes) => {
    expect(quotesIn(answer)).toEqual(quotes);
  });

  it.each([
    ['its own words', 'It failed because "the disk is full" is what I think.'],
    ['a program of its own', 'Try this:\n```ts\nconst answer = 42;\n```'],
    ['a code block after other words', 'See e3.\nNow change it:\n```\nconst answer = 42;\n```'],
    ['the entry itself', 'Open `e12` with e12:120.'],
    ['what is too short to be known again', '> yes'],
    ['a name that only looks so', 'In src/e2/x.ts the name is `connectAll`.'],
  ])('is not %s', (_, answer) => {
    expect(quotesIn(answer)).toEqual([]);
  });

  it('is the same with the line ends of Windows', () => {
    const answer =
      '> ERROR gave up\n\nIn e3:\n```\nconst answer = 42;\n```\n- e1:2: another line\n';
    expect(quotesIn(answer.replaceAll('\n', '\r\n'))).toEqual(quotesIn(answer));
    expect(quotesIn(answer)).toHaveLength(3);
  });

  it('stands in the first 20,000 characters of a line, however long that goes on', () => {
    const finder = new QuoteFinder();
    const goesOn = Array<string>(30_000).fill('“on and on ');
    const pieces = ['e3 says `disk is full` and ', ...goesOn, '`not any more`'];
    expect(pieces.flatMap((piece) => finder.take(piece))).toEqual([]);
    expect(finder.end()).toEqual([{ text: 'disk is full', entry: 'e3' }]);
  });

  it('is the same however it arrives', () => {
    const answer = 'From e7:\n> ERROR gave up\n\n- e1:2: another line\n```\nno quote\n```\n';
    fc.assert(
      fc.property(fc.array(fc.nat(answer.length)), (cuts) => {
        const finder = new QuoteFinder();
        const borders = [0, ...cuts.toSorted((a, b) => a - b), answer.length];
        const found = borders.flatMap((from, at) =>
          finder.take(answer.slice(from, borders[at + 1] ?? from)),
        );
        expect([...found, ...finder.end()]).toEqual(quotesIn(answer));
      }),
    );
  });
});

test.each([
  ['120: ERROR gave up', 'x ERROR gave up y'],
  ['ERROR … gave up', 'ERROR job 7 gave up'],
  ['**ERROR gave up**', 'ERROR gave up'],
  ['cost (a+b)*c [sum]', 'the cost (a+b)*c [sum] is'],
])('%s is found in %s', (quote, line) => {
  expect(patternsOf(quote).some((pattern) => new RegExp(pattern).test(line))).toBe(true);
});

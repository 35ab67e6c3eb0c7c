import { describe, expect, test } from 'vitest';
import { query, TestCorpus } from '../../test/property/search-corpus.ts';
import { textSearch } from '../../test/support/text-search.ts';
import { codePointSet } from './pattern/code-points.ts';
import { unicodeProperty } from './pattern/unicode-property.ts';
import { unicodeDigits, unicodeWordChars } from './pattern/unicode-words.ts';

const { engine, options, search } = textSearch({ workers: 1 });

async function totals(text: string, patterns: readonly string[]): Promise<readonly number[]> {
  const all: number[] = [];
  for (const pattern of patterns) all.push((await search(text, pattern)).total);
  return all;
}

async function values(text: string, pattern: string, group: number): Promise<readonly string[]> {
  const aggregate = { kind: 'unique', group, maxGroups: 50 } as const;
  const { groups = [] } = await search(text, pattern, { aggregate });
  return groups.map(({ value, count }) => `${value} ${count}`);
}

describe('lines that end in CR LF', () => {
  const text = 'value needle\r\n\r\nlast line\r\nno return\nodd\rone\r\n';

  test('the return is of the line end, for anchors, blank lines and any character', async () => {
    expect(await totals(text, ['needle$', '^$', 'needle.', 'e\\s$', 'return$', '\\z'])).toEqual([
      1, 1, 0, 0, 1, 5,
    ]);
  });

  test('what is asked at the end of the line is asked in front of the return', async () => {
    const patterns = ['needle$\\b', '(?:e|x)*$\\b', 'needle$\\B', '(?:e$|!)\\b', '$^', '\\b$\\b'];
    expect(await totals(text, patterns)).toEqual([1, 4, 0, 3, 1, 4]);
    expect(await totals(text.replaceAll('\r\n', '\n'), patterns)).toEqual([1, 4, 0, 3, 1, 4]);
  });

  test('for lookaround and backreferences, too', async () => {
    const patterns = ['needle(?!.)', '(?<=need)le$', '(.)\\1dle$', 'line(?=\\s)'];
    expect(await totals(text, patterns)).toEqual([1, 1, 1, 0]);
  });

  test('a return within a line, or one that is named, is a character', async () => {
    const patterns = [
      'odd.one',
      'needle\\r',
      'needle\\r?$',
      '\\r$',
      '[\\t\\r]$',
      'needle[^\\r\\n]*$',
    ];
    expect(await totals(text, patterns)).toEqual([1, 1, 1, 4, 4, 1]);
    expect(await totals(text, ['(?=n)needle\\r$', '(?=n)needle.$'])).toEqual([1, 0]);
  });

  test('no group holds it', async () => {
    const log = 'user=ann\r\nuser=bob\nuser=ann\n';
    expect(await values(log, 'user=(.*)', 1)).toEqual(['ann 2', 'bob 1']);
    expect(await values(log, 'user=([^;]+)$', 0)).toEqual(['user=ann 2', 'user=bob 1']);
  });

  test('a newline in a pattern or a text is either line end', async () => {
    const patterns = [
      'needle\\n\\nlast',
      'line\\nno',
      'return\\nodd',
      '(?s)needle.*?last',
      'e[\\n]',
    ];
    expect(await totals(text, patterns)).toEqual([1, 1, 1, 1, 3]);
    expect((await search(text, 'needle\n\nlast', { literal: true })).total).toBe(1);
  });

  test('the stored text is shown as it is', async () => {
    const { matches } = await search(text, 'last line$');
    expect(matches).toMatchObject([{ text: 'last line\r', line: 3, offsetChars: 16 }]);
  });
});

describe('a byte order mark at the beginning of a line', () => {
  const text = '\ufefftest123 first\ntest123 second\n';

  test('is not of the line', async () => {
    const patterns = ['^test123', '^.est', '^(?=t)test', '\\btest', '^test123 (?:first|second)$'];
    expect(await totals(text, patterns)).toEqual([2, 2, 2, 2, 2]);
    expect(await values(text, '^\\w+', 0)).toEqual(['test123 2']);
    expect(await totals('\ufeff\r\n', ['^$', '.'])).toEqual([1, 0]);
  });

  test('a match starts behind it, at the offset of the stored text', async () => {
    const { matches } = await search(text, '^test123');
    expect(matches.map(({ offsetChars, offsetBytes }) => [offsetChars, offsetBytes])).toEqual([
      [1, 3],
      [15, 17],
    ]);
    expect(matches[0]?.text).toBe('\ufefftest123 first');
  });

  test('is found by who looks for it, and is a character elsewhere', async () => {
    expect(await totals(text, ['\\ufefftest', '^\\x{FEFF}'])).toEqual([1, 1]);
    expect(await totals('a\ufeffb\n', ['a.b', 'a\\Wb'])).toEqual([1, 1]);
  });
});

describe('words that are not English', () => {
  test('are words', async () => {
    const text = "l'école est finie\nОшибка сети: ошибка\nnaïve café\n";
    const patterns = [
      '\\bécole\\b',
      '\\bошибка\\b',
      'na\\w+ve',
      'caf\\w\\b',
      '\\bcole',
      '(?=é)\\Bé',
    ];
    expect(await totals(text, patterns)).toEqual([1, 1, 1, 1, 0, 1]);
    expect(await values(text, '\\b(\\w+)[.\\s]*$', 1)).toEqual(['finie 1', 'ошибка 1', 'café 1']);
  });

  test('are what Unicode says they are', () => {
    const wanted = ['Alphabetic', 'M', 'Nd', 'Pc', 'Join_Control'].flatMap(
      (name) => unicodeProperty(name) ?? [],
    );
    expect(unicodeWordChars).toEqual(codePointSet(wanted));
    expect(unicodeDigits).toEqual(unicodeProperty('Nd'));
  });
});

describe('a single line of megabytes', () => {
  const part = (i: number): string => `{"id":${i},"level":"error","msg":"${'x'.repeat(75)}"},`;
  const text = `${Array.from({ length: 50_000 }, (_, i) => part(i)).join('')}\n`;

  test('is grouped like any other, by a regular pattern and by one that is not', async () => {
    const aggregate = { kind: 'count_by', group: 1, maxGroups: 5 } as const;
    for (const pattern of ['"level":"(\\w+)"', '"level":"(\\w+)(?=")']) {
      const result = await search(text, pattern, { aggregate });
      expect(result).toMatchObject({ partial: false, total: 1, occurrences: 50_000 });
      expect(result.groups).toMatchObject([{ value: 'error', count: 50_000 }]);
    }
  });

  test('is found by a pattern that has to see it whole', async () => {
    const result = await search(text, '\\b49999(?=,)');
    expect(result).toMatchObject({ total: 1, partial: false });
    expect(result.matches[0]?.offsetBytes).toBe(text.indexOf('49999,'));
    expect((await search(text, '\\bid\\W+49999\\b')).total).toBe(1);
  });

  test('says that it holds more than the match that is shown', async () => {
    const { matches } = await search(text, '"id":1', { maxLineChars: 100 });
    expect(matches).toMatchObject([{ clipped: true, hasMore: true, offsetBytes: 110 }]);
    const last = await search(text, '"id":49999', { maxLineChars: 100 });
    expect(last.matches[0]).not.toHaveProperty('hasMore');
  });

  test.each(['oldest', 'newest'] as const)('lists all its matches, %s first', async (order) => {
    const line = Array.from({ length: 1_000 }, (_, i) => part(i)).join('');
    const whole = `first "id":1\n${line}\n`;
    using corpus = new TestCorpus(whole);
    const asked = query('"id":1', { unit: 'match', order, maxLineChars: 80, maxResults: 25 });
    const wanted = [...whole.matchAll(/"id":1/g)].map(({ index }) => index);
    const seen: number[] = [];
    let cursor: string | undefined;
    do {
      const more = cursor === undefined ? {} : { cursor };
      const page = await engine.search(corpus, { ...asked, ...more }, options);
      expect(page.total).toBe(wanted.length);
      for (const { offsetBytes, text: shown } of page.matches) {
        seen.push(offsetBytes);
        expect(shown).toContain('"id":1');
      }
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(seen).toEqual(order === 'oldest' ? wanted : wanted.toReversed());
  });
});

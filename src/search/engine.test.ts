import { rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { query, TestCorpus } from '../../test/property/search-corpus.ts';
import { openFilesOf } from '../../test/support/open-files.ts';
import { textSearch } from '../../test/support/text-search.ts';
import { systemClock } from '../clock.ts';
import { openSearchEngine } from './engine.ts';
import type { SearchQuery, SearchResult } from './types.ts';

const { engine, options, search } = textSearch();

const lines = (result: SearchResult): readonly number[] => result.matches.map(({ line }) => line);
const numbered = (count: number): string =>
  Array.from({ length: count }, (_, i) => `line ${i + 1}${i % 7 === 0 ? ' seven' : ''}\n`).join('');

describe('what a hit shows', () => {
  test('line, offsets in code points and bytes, neighbours', async () => {
    const result = await search('中文 😀\nfind 中 me\nafter\n', '中 me', { contextLines: 1 });
    expect(result.matches).toEqual([
      {
        line: 2,
        text: 'find 中 me',
        offsetChars: 10,
        offsetBytes: 17,
        clipped: false,
        before: ['中文 😀'],
        after: ['after'],
      },
    ]);
  });

  test('a long line is clipped around the match', async () => {
    const text = `${'é'.repeat(50_000)}needle${'😀'.repeat(50_000)}\n`;
    const [hit] = (await search(text, 'needle', { maxLineChars: 100 })).matches;
    expect(hit?.clipped).toBe(true);
    expect(hit?.offsetChars).toBe(50_000);
    expect(hit?.text).toBe(`${'é'.repeat(25)}needle${'😀'.repeat(69)}`);
  });

  test('a line longer than the memory of a scan is found, counted and clipped', async () => {
    const text = `first\n${'x'.repeat(9_000_000)}needle${'y'.repeat(20)}\nneedle\n`;
    const result = await search(text, 'ne+dle', { maxLineChars: 40 });
    expect([result.total, lines(result)]).toEqual([2, [2, 3]]);
    expect(result.matches[0]?.offsetChars).toBe(9_000_006);
    expect(result.matches[0]?.text).toBe(`${'x'.repeat(14)}needle${'y'.repeat(20)}`);
  });

  test('a text without a newline at its end', async () => {
    const result = await search('a\nb', 'b$');
    expect(result.matches).toMatchObject([{ line: 2, text: 'b', offsetChars: 2 }]);
  });

  test('an empty text', async () => {
    expect((await search('', 'a*')).total).toBe(0);
  });
});

describe('pages', () => {
  test.each(['newest', 'oldest'] as const)('%s first, all of them once', async (order) => {
    using corpus = new TestCorpus(numbered(500));
    const asked = query('seven', { order, maxResults: 10 });
    const seen: number[] = [];
    for (let cursor: string | undefined = ''; cursor !== undefined;) {
      const more: Partial<SearchQuery> = cursor === '' ? {} : { cursor };
      const page: SearchResult = await engine.search(corpus, { ...asked, ...more }, options);
      expect(page.total).toBe(72);
      seen.push(...lines(page));
      cursor = page.nextCursor;
      // The text grows between the pages; what was asked about does not.
      if (seen.length === 10) corpus.write(numbered(900));
    }
    const all = Array.from({ length: 72 }, (_, i) => 7 * i + 1);
    expect(seen).toEqual(order === 'oldest' ? all : all.toReversed());
  });

  test("another query's cursor is said to be one", async () => {
    const first = await search(numbered(100), 'seven', { maxResults: 1 });
    const cursor = first.nextCursor;
    if (cursor === undefined) throw new Error('a second page was to be expected');
    const other = await search(numbered(100), 'line', { cursor });
    expect(other.note).toContain('another query');
  });
});

describe('ranges', () => {
  test('only lines in them are searched; a text that ends in one has no newline', async () => {
    const text = 'one x\ntwo x\nthree x\nfour x\n';
    const ranges = [
      [0, 5],
      [12, 20],
    ] as const;
    expect(lines(await search(text, 'x$', { ranges }))).toEqual([1, 3]);
    expect(lines(await search(text, 'x$', { ranges, order: 'newest' }))).toEqual([3, 1]);
  });

  test('thousands of ranges', async () => {
    const ranges = Array.from({ length: 5_000 }, (_, i) => [20 * i, 20 * i + 10] as const);
    const text = 'even x x x\nodd x xx\n'.repeat(6_000);
    const result = await search(text, 'x$', { ranges, maxResults: 2, order: 'newest' });
    expect(result.total).toBe(5_000);
    expect(lines(result)).toEqual([9_999, 9_997]);
  });

  test('neighbours come from the same range', async () => {
    const result = await search('a\nb x\nc\n', 'x', { ranges: [[2, 6]], contextLines: 2 });
    expect(result.matches).toMatchObject([{ before: [], after: [] }]);
  });
});

describe('patterns over several lines', () => {
  test('a match counts once, at its first line', async () => {
    const result = await search('start\na\nend\nstart\nend\n', '(?s)start.*?end');
    expect(result).toMatchObject({ total: 2, matches: [{ line: 1 }, { line: 4 }] });
    expect(result.matches[0]?.text).toBe('start\na\nend');
  });

  test('only where a newline is named', async () => {
    expect((await search('foo\nbar\n', 'foo\\sbar')).total).toBe(0);
    expect((await search('foo\nbar\n', 'foo[^x]bar')).total).toBe(0);
    expect((await search('foo\nbar\n', 'foo\\nbar')).total).toBe(1);
    expect((await search('foo\nbar\n', 'foo[\\s\\S]bar')).total).toBe(1);
    expect((await search('foo\nbar\n', 'foo\nbar', { literal: true })).total).toBe(1);
  });

  test('across windows and blocks', async () => {
    const text = `${'filler\n'.repeat(900_000)}foo\nbar\n${'filler\n'.repeat(100)}foo\nbar`;
    expect(await search(text, 'foo\\nbar')).toMatchObject({
      total: 2,
      matches: [{ line: 900_001 }, {}],
    });
  });
});

describe('aggregates', () => {
  const text = 'GET 200\nPUT 500 GET 404\nGET 200\n';

  test('occurrences and values of a group, by number and by name', async () => {
    const aggregate = { kind: 'count_by', group: 'code', maxGroups: 2 } as const;
    const result = await search(text, 'GET (?P<code>\\d+)', { aggregate });
    expect(result).toMatchObject({ total: 3, occurrences: 3, groupCount: 2, matches: [] });
    expect(result.groups).toEqual([
      {
        value: '200',
        count: 2,
        first: { line: 1, offsetChars: 0 },
        last: { line: 3, offsetChars: 24 },
      },
      {
        value: '404',
        count: 1,
        first: { line: 2, offsetChars: 16 },
        last: { line: 2, offsetChars: 16 },
      },
    ]);
    const byNumber = { kind: 'count_by', group: 1, maxGroups: 2 } as const;
    const same = await search(text, 'GET (?P<code>\\d+)', { aggregate: byNumber });
    expect(same.groups).toEqual(result.groups);
  });

  test('the whole match, a count, a group that is not there', async () => {
    const whole = { kind: 'unique', maxGroups: 10 } as const;
    const values = (await search(text, '[A-Z]+', { aggregate: whole })).groups;
    expect(values?.map(({ value, count }) => [value, count])).toEqual([
      ['GET', 3],
      ['PUT', 1],
    ]);
    const count = { kind: 'count', maxGroups: 1 } as const;
    expect(await search(text, '\\d', { aggregate: count })).toMatchObject({
      total: 3,
      occurrences: 12,
    });
    const missing = { kind: 'count_by', group: 4, maxGroups: 1 } as const;
    expect((await search(text, '\\d', { aggregate: missing })).note).toContain('no group 4');
  });
});

describe('what is no regular expression', () => {
  test.each(['function (', 'arr[0', '*.ts', 'a**', '(?<n', '[z-a]', '\\p{Nope}'])(
    '%s is a text',
    async (pattern) => {
      const result = await search(`x ${pattern} y\nelse\n`, pattern);
      expect(result).toMatchObject({ total: 1, work: { engine: 'literal' } });
      expect(result.note).toContain('searched as plain text');
    },
  );
});

describe('limits', () => {
  test('an aborted search is cancelled, before and during the work', async () => {
    using corpus = new TestCorpus(numbered(200_000));
    const asked = query('(\\w)\\1\\1\\1z', {});
    await expect(
      engine.search(corpus, asked, { signal: AbortSignal.abort(), deadlineMs: 1_000 }),
    ).rejects.toMatchObject({ code: 'cancelled' });
    const abort = new AbortController();
    const running = engine.search(corpus, asked, { signal: abort.signal, deadlineMs: 20_000 });
    abort.abort();
    await expect(running).rejects.toMatchObject({ code: 'cancelled' });
    expect(await engine.search(corpus, query('seven'), options)).toMatchObject({ total: 28_572 });
  });

  test('a deadline gives what was found, and says so', async () => {
    using corpus = new TestCorpus(numbered(300_000));
    const asked = query('(?=.*?.*?.*?.*?z)seven');
    const result = await engine.search(corpus, asked, { ...options, deadlineMs: 0 });
    expect(result.partial).toBe(true);
    expect(result.total).toBeLessThan(42_858);
  });

  test('a line on which a backtracking pattern does not end is given up', async () => {
    const text = `${'a'.repeat(60)}!\nok aa=aa\n`;
    const result = await search(text, '(a+)+=\\1|(?=(a+)+$)a');
    expect(result).toMatchObject({ total: 1, partial: true });
    expect(result.note).toContain('given up');
  });

  test('many searches at once all come to an end', async () => {
    using corpus = new TestCorpus(numbered(100_000));
    const all = Array.from({ length: 24 }, (_, i) =>
      engine.search(corpus, query(i % 2 === 0 ? 'seven' : `line \\d*${i}`), options),
    );
    const totals = (await Promise.all(all)).map(({ total }) => total);
    expect(totals.filter((_, i) => i % 2 === 0)).toEqual(Array.from({ length: 12 }, () => 14_286));
  });

  test('small searches do not wait for those that read everything', async () => {
    using large = new TestCorpus(numbered(600_000));
    using small = new TestCorpus(numbered(1_000));
    const ended: string[] = [];
    const run = async (name: string, corpus: TestCorpus, pattern: string): Promise<void> => {
      const { total } = await engine.search(corpus, query(pattern, { maxResults: 1 }), options);
      ended.push(`${name} ${total}`);
    };
    const all = Array.from({ length: 12 }, (_, i) => run('large', large, `\\w+ \\d+.{${i}}`));
    for (let i = 0; i < 8; i++) all.push(run('small', small, 'seven'));
    await Promise.all(all);
    expect(ended).toHaveLength(20);
    expect(ended.slice(0, 10).filter((name) => name === 'small 143')).toHaveLength(8);
  });

  test('values are counted by all workers as by one', async () => {
    const text = Array.from(
      { length: 200_000 },
      (_, i) => `user=${(i * 7_919) % 1_009} n=${i % 3}\n`,
    ).join('');
    using corpus = new TestCorpus(text);
    await using single = openSearchEngine({ clock: systemClock, workers: 1 });
    const aggregate = { kind: 'count_by', group: 1, maxGroups: 2_000 } as const;
    const asked = query('user=(\\d+) n=[12]', { aggregate });
    const both = await Promise.all(
      [engine, single].map((one) => one.search(corpus, asked, options)),
    );
    expect(both[0]).toMatchObject({ groupCount: 1_009, occurrences: 133_333, partial: false });
    expect(both[0]?.groups).toEqual(both[1]?.groups);
    const counts = new Map<string, number>();
    for (const [, value = ''] of text.matchAll(/user=(\d+) n=[12]/g)) {
      counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    const found = both[0]?.groups?.map(({ value, count }) => [value, count] as const);
    expect(new Map(found)).toEqual(counts);
  });

  test('a text shorter than its snapshot is corrupt', async () => {
    using corpus = new TestCorpus(numbered(1_000));
    const { totals, blocks, spans, indexDir, sessionId } = corpus;
    corpus.write('short\n');
    const stale = { totals, blocks, spans, indexDir, sessionId };
    await expect(engine.search(stale, query('seven'), options)).rejects.toMatchObject({
      code: 'store_corrupt',
    });
  });

  test('work that fails gives back what it held, so that the next finds room', async () => {
    await using own = openSearchEngine({ clock: systemClock, workers: 1 });
    const whole = numbered(200_000);
    using corpus = new TestCorpus(whole);
    const { totals, blocks, spans, indexDir, sessionId, textPath } = corpus;
    const stale = { totals, blocks, spans, indexDir, sessionId };
    writeFileSync(indexDir, 'no folder');
    await expect(own.index(corpus, options.signal)).rejects.toMatchObject({ code: 'internal' });
    corpus.write('short\n');
    // More patterns than a worker has room for at once.
    for (let i = 0; i < 13; i += 1) {
      for (const asked of [
        query(`seven${i}`),
        query(`seven${i}`, { aggregate: { kind: 'count', maxGroups: 1 } }),
        query(`seven${i}\\nline`),
      ]) {
        const found = own.search(stale, asked, options);
        await expect(found).rejects.toMatchObject({ code: 'store_corrupt' });
      }
    }
    rmSync(indexDir);
    corpus.write(whole);
    await own.index(corpus, options.signal);
    corpus.write('short\n');
    await expect(own.search(stale, query('seven'), options)).rejects.toThrow('shorter');
    expect(openFilesOf(dirname(textPath))).toEqual([]);
    expect((await own.search(corpus, query('short'), options)).total).toBe(1);
  });

  test('a closed engine refuses', async () => {
    const other = openSearchEngine({ clock: systemClock, workers: 1 });
    await other[Symbol.asyncDispose]();
    using corpus = new TestCorpus('a\n');
    await expect(other.search(corpus, query('a'), options)).rejects.toMatchObject({
      code: 'shutting_down',
    });
  });
});

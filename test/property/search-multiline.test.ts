import * as fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import { searchCase } from './search-arbitraries.ts';
import { query, TestCorpus } from './search-corpus.ts';
import { inUnicode } from './search-oracle.ts';

const engine = openSearchEngine({ clock: systemClock, workers: 1 });
const options = { signal: new AbortController().signal, deadlineMs: 10_000 };

afterAll(() => engine[Symbol.asyncDispose]());

/**
 * What must be found: the lines in which V8's matches over the whole text start, and how many
 * matches there are.
 */
function naive(text: string, regExp: RegExp): { lines: readonly number[]; occurrences: number } {
  const lines = new Set<number>();
  let occurrences = 0;
  for (const match of text.matchAll(regExp)) {
    const isBehind = match.index === text.length && text.endsWith('\n');
    const isInsidePair = match.index > 0 && (text.codePointAt(match.index - 1) ?? 0) > 0xffff;
    if (isBehind || isInsidePair) continue;
    occurrences++;
    lines.add(text.slice(0, match.index).split('\n').length);
  }
  return { lines: [...lines], occurrences };
}

/**
 * Whether V8 reads a pattern otherwise than ripgrep, whose reading is ours: `.`, `^`, `$` and
 * complements where there are carriage returns and U+2028; `\\B`, which holds between CR and LF;
 * and a repetition that may be empty, which V8 tries again with something in it.
 */
function isReadOtherwise(pattern: string): boolean {
  return /[.^$]|\\[sSWDB]|[*+?}]\?|\(\?:\||\|\||\|\)/.test(pattern);
}

/**
 * Whether alternatives that may be empty are repeated: where the first one is, V8 goes on to the
 * next, ripgrep is content.
 */
function repeatsEmpty(pattern: string): boolean {
  const opened: number[] = [];
  for (const { 0: sign, index } of pattern.matchAll(/\\.|\[[^\]]*\]|[()]/gu)) {
    if (sign === '(') opened.push(index);
    if (sign !== ')') continue;
    const group = pattern.slice(opened.pop(), index + 1);
    const isRepeated = /^[*+?{]/.test(pattern.slice(index + 1));
    const mayBeEmpty = isRepeated && new RegExp(`^${inUnicode(group)}$`, 'u').test('');
    if (mayBeEmpty && group.includes('|')) return true;
  }
  return false;
}

test('patterns over several lines find what V8 finds in the whole text', async () => {
  await fc.assert(
    fc.asyncProperty(searchCase, async ({ text, patterns, caseSensitive }) => {
      using corpus = new TestCorpus(text);
      const alike = patterns.filter((own) => !isReadOtherwise(own));
      for (const [i, own] of alike.entries()) {
        const pattern = `(?:${own})\\n(?:${alike[(i + 1) % alike.length]})?`;
        if (repeatsEmpty(pattern)) continue;
        const result = await engine.search(corpus, query(pattern, { caseSensitive }), options);
        if (result.partial) continue;
        const wanted = naive(
          text,
          new RegExp(inUnicode(pattern).replace('\\n', '\\r?\\n'), caseSensitive ? 'gu' : 'giu'),
        );
        expect([pattern, result.matches.map(({ line }) => line)]).toEqual([pattern, wanted.lines]);
        const aggregate = { kind: 'count', maxGroups: 1 } as const;
        const counted = await engine.search(
          corpus,
          query(pattern, { caseSensitive, aggregate }),
          options,
        );
        expect([pattern, counted.occurrences]).toEqual([pattern, wanted.occurrences]);
      }
    }),
    { numRuns: 25 },
  );
}, 90_000);

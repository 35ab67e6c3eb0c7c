import { expect, test } from 'vitest';
import { query, TestCorpus } from '../../test/property/search-corpus.ts';
import { textSearch } from '../../test/support/text-search.ts';
import type { SearchMatch, SearchQuery } from './types.ts';

const { engine, options, search: searchText } = textSearch();

const search = async (
  text: string,
  pattern: string,
  more: Partial<SearchQuery> = {},
): Promise<readonly SearchMatch[]> =>
  (await searchText(text, pattern, { marks: true, ...more })).matches;

/** The text of a hit with its marks drawn. */
function drawn({ text, marks }: SearchMatch): string {
  let at = 0;
  let shown = '';
  for (const [start, end] of marks ?? []) {
    shown += `${text.slice(at, start)}[${text.slice(start, end)}]`;
    at = end;
  }
  return shown + text.slice(at);
}

test.each<[string, string, Partial<SearchQuery>, string]>([
  ['one two two', 'two', {}, 'one [two] [two]'],
  ['a.b a+b', 'a.b', { literal: true }, '[a.b] a+b'],
  ['Ärger ÄRGER', 'ärger', { caseSensitive: false }, '[Ärger] [ÄRGER]'],
  ['\ud83d\ude00x\ud83d\ude00y', '[xy]', {}, '\ud83d\ude00[x]\ud83d\ude00[y]'],
  ['aaaa', 'aa', {}, '[aa][aa]'],
  ['xaxbx', '(?<=x)b', {}, 'xax[b]x'],
  ['(ab)(ab) abab', String.raw`(a|b)(?=b)|(.)\2`, {}, '([a]b)([a]b) [a]b[a]b'],
  ['word sword word', String.raw`\bword\b`, {}, '[word] sword [word]'],
  ['end', 'd$', {}, 'en[d]'],
])('%j, searched for %j %j: %j', async (text, pattern, more, expected) => {
  const [hit] = await search(`before\n${text}\nbehind\n`, pattern, more);
  expect(hit && drawn(hit)).toBe(expected);
});

test('a match of nothing has nothing to be marked', async () => {
  const hits = await search('nothing\nto see\n', '^|$');
  expect(hits.map(({ marks }) => marks)).toEqual([[], []]);
});

test('without being asked for there are none', async () => {
  using corpus = new TestCorpus('needle\n');
  const { matches } = await engine.search(corpus, query('needle'), options);
  expect(matches.map(({ marks }) => marks)).toEqual([undefined]);
});

test('a match over several lines is marked over them', async () => {
  const [hit] = await search('a\nstart\nend\nz\n', String.raw`start\nend`);
  expect(hit && drawn(hit)).toBe('[start\nend]');
});

test.each([
  ['at the start', 0],
  ['near the start', 100],
  ['in the middle', 200_000],
  ['at the end', 399_994],
])('in a long line what is shown is marked, %s', async (_, at) => {
  const filler = 'é.'.repeat(200_000);
  const line = `${filler.slice(0, at)}needle${filler.slice(at + 6)}`;
  const [hit] = await search(`${line}\n`, 'needle', { maxLineChars: 600 });
  expect(hit?.text.length).toBeLessThanOrEqual(600);
  expect(hit && drawn(hit)).toContain('[needle]');
  expect(hit?.marks).toHaveLength(1);
});

test('what goes on beyond what is shown ends there, and there are at most 100', async () => {
  const [long] = await search(`${'x'.repeat(5_000)}\n`, 'x+', { maxLineChars: 600 });
  expect(long?.marks).toEqual([[0, 600]]);
  const [many] = await search(`${'x '.repeat(250)}\n`, 'x', { maxLineChars: 600 });
  expect(many?.marks).toHaveLength(100);
});

import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { linkedBench } from '../support/linked-stores.ts';

/** Linked stores against the plainest model: lists of lines. */

const word = fc.constantFrom('ab', 'b', 'ba', 'abc', 'x', 'é', '7', '12');
const line = fc.array(word, { minLength: 1, maxLength: 5 }).map((words) => words.join(' '));
const text = fc.array(line, { minLength: 1, maxLength: 6 });
const store = fc.array(text, { maxLength: 4 });
const question = fc.record({
  sought: word,
  pageSize: fc.integer({ min: 1, max: 7 }),
  scope: fc.constantFrom('linked', 'session', 'one', 'two'),
});

interface Line {
  readonly entry: string;
  readonly line: number;
  readonly text: string;
}

/** All lines of a store, newest entry first, in reading order within one. */
function linesOf(texts: readonly (readonly string[])[], name: string): readonly Line[] {
  const ids = new Map<string, readonly string[]>();
  // The same text is stored once.
  for (const one of texts) if (!ids.has(one.join('\n'))) ids.set(one.join('\n'), one);
  return [...ids.values()]
    .map((lines, index) =>
      lines.map((each, at) => ({
        entry: `${name}e${index + 1}`,
        line: at + 1,
        text: each,
      })),
    )
    .toReversed()
    .flat();
}

test('several stores answer as a list of all their lines does', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(store, store, store),
      fc.array(question, { minLength: 1, maxLength: 4 }),
      async ([own, one, two], questions) => {
        const asTexts = (texts: readonly (readonly string[])[]) =>
          texts.map((lines) => ({ text: `${lines.join('\n')}\n` }));
        await using bench = await linkedBench({
          own: asTexts(own),
          one: asTexts(one),
          two: asTexts(two),
        });
        const all = {
          session: linesOf(own, ''),
          one: linesOf(one, 'one:'),
          two: linesOf(two, 'two:'),
        };
        for (const { sought, pageSize, scope } of questions) {
          const asked = scope === 'linked' ? [...all.session, ...all.one, ...all.two] : all[scope];
          const wanted = asked.filter(({ text: each }) => each.includes(sought));
          const args = { text: sought, scope, max_results: pageSize };
          const seen: Line[] = [];
          let cursor: unknown;
          do {
            const found = await bench.fields('own', 'rlm_find', {
              ...args,
              ...(cursor === undefined ? {} : { cursor }),
            });
            expect(found['total']).toBe(wanted.length);
            const hits = found['matches'] as readonly Line[];
            seen.push(...hits.map((hit) => ({ entry: hit.entry, line: hit.line, text: hit.text })));
            cursor = found['next_cursor'];
          } while (cursor !== undefined);
          expect(seen).toEqual(wanted);
          for (const last of wanted.slice(-1)) {
            const place = { entry: last.entry, line: last.line, lines: 1 };
            const read = await bench.fields('own', 'rlm_get_context', place);
            expect(String(read['text']).trimEnd()).toBe(last.text);
          }
          const counts = new Map<string, number>();
          for (const { text: each } of asked)
            for (const [, found = ''] of each.matchAll(/(\S*b\S*)/g))
              counts.set(found, (counts.get(found) ?? 0) + 1);
          const grouped = await bench.fields('own', 'rlm_search', {
            pattern: String.raw`(\S*b\S*)`,
            aggregate: 'count_by',
            group: 1,
            scope,
          });
          const groups = grouped['groups'] as readonly { value: string; count: number }[];
          expect(new Map(groups.map(({ value, count }) => [value, count]))).toEqual(counts);
        }
      },
    ),
    { numRuns: Number(process.env['RLM_PROPERTY_RUNS'] ?? 8) },
  );
}, 120_000);

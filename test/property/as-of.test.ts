import * as fc from 'fast-check';
import { stat } from 'node:fs/promises';
import { deepEqual } from 'node:assert/strict';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import type { SearchEngine, SearchQuery } from '../../src/search/types.ts';
import type { Moment, NewEntry, Session, SessionStore } from '../../src/store/types.ts';
import { projectSession, temporaryData } from '../faults/store-harness.ts';

const texts = fc.oneof(
  fc.constantFrom('same', 'needle once\n', 'two needles\nneedle', '日本 needle\n', ''),
  fc.string({ unit: 'grapheme', maxLength: 30 }),
  fc
    .tuple(fc.constantFrom('line\n', 'needle é\n'), fc.nat(4_000))
    .map(([unit, n]) => unit.repeat(n)),
);
const commit = fc.record({
  text: texts,
  isOutput: fc.boolean(),
  tool: fc.constantFrom('bash', 'read'),
  path: fc.option(fc.constantFrom('/p/a.ts', '/p/b.ts', '/p/c/d.md')),
  call: fc.nat(5),
  chat: fc.constantFrom('chat 1', 'chat 2'),
  /** Of the clock, milliseconds: it may be put back. */
  passesMs: fc.integer({ min: -50_000, max: 90_000 }),
  ownTimeMs: fc.option(fc.integer({ min: 0, max: 2_000_000_000_000 })),
  named: fc.boolean(),
  /** Goes on from here in a branch of what is there then. */
  branches: fc.integer({ min: 0, max: 14 }).map((one) => one === 0),
  from: fc.nat(1_000),
});

/** What a store said, with what names the moment. */
interface Told {
  readonly answers: unknown;
  readonly timeMs: number;
  /** Texts, where the last thing stored was a new one. */
  readonly seq?: number;
  /** Where the moment has a name. */
  ranges?: Extract<Moment, { ranges: unknown }>['ranges'];
}

const query: SearchQuery = {
  pattern: 'needle',
  literal: true,
  caseSensitive: true,
  maxResults: 3,
  contextLines: 0,
  order: 'newest',
  maxLineChars: 50,
};
const limits = { signal: new AbortController().signal, deadlineMs: 60_000 };

/** All that is asked of a store, as plain values. */
async function answersOf(store: SessionStore, engine: SearchEngine): Promise<unknown> {
  const { totals, list, entries } = store;
  const found = await engine.search(await store.snapshot(), query, limits);
  const calls = ['chat 1', 'chat 2'].flatMap((chat) =>
    Array.from({ length: 6 }, (_, call) =>
      store.outputsOf(chat, `call ${call}`).map(({ entry, isAgain }) => [entry.id, isAgain]),
    ),
  );
  const last =
    totals.entries === 0 ? undefined : await store.readEntry(entries[totals.entries - 1]!);
  return structuredClone({
    totals,
    count: entries.length,
    kinds: [...list.kinds],
    tools: [...list.tools].map(([name, { count, chars }]) => [name, count, chars]),
    namings: list.namings.map(({ path, entry }) => [path, entry.id]),
    replaced: [...list.replaced].map((entry) => [entry.id, list.successorOf(entry)?.id]),
    isInTimeOrder: list.isInTimeOrder,
    calls,
    total: found.total,
    hits: found.matches.map(({ line, text, offsetChars }) => [line, text, offsetChars]),
    last,
    beyond: await store.read(Math.max(0, totals.chars - 5), 100),
  });
}

function entryOf(one: typeof commit extends fc.Arbitrary<infer T> ? T : never): NewEntry {
  const { text, isOutput, tool, path, call, chat, ownTimeMs } = one;
  return {
    text,
    kind: isOutput ? 'tool_result' : 'file',
    chatId: chat,
    ...(isOutput ? { tool, toolCallId: `call ${call}`, call: `${tool} ${call}` } : {}),
    ...(path === null ? {} : { path }),
    ...(ownTimeMs === null ? {} : { timeMs: ownTimeMs }),
  };
}

/** What was told when a moment was: up to the first thing that came later than its time. */
function toldBy(told: readonly Told[], timeMs: number): Told | undefined {
  const later = told.findIndex((one) => one.timeMs > timeMs);
  return told[(later === -1 ? told.length : later) - 1];
}

test('of 1,000 random moments each answer is the one that the store gave then', async () => {
  const engine = openSearchEngine({ clock: systemClock, workers: 1 });
  const runs = 10;
  let compared = 0;
  let branched = 0;
  const property = fc.asyncProperty(
    fc.array(commit, { minLength: 12, maxLength: 40 }),
    fc.array(fc.record({ at: fc.nat(1_000), how: fc.nat(2) }), { minLength: 100, maxLength: 100 }),
    async (commits, moments) => {
      await using data = await temporaryData();
      let id = '';
      let told: Told[] = [];
      {
        await using sessions = await data.open();
        let session: Session = await projectSession(sessions);
        for (const one of commits) {
          if (one.branches && told.length > 0) {
            // A branch of a branch, by and by; what was told before holds in it, too.
            const at = told[one.from % told.length]!;
            const moment: Moment =
              at.ranges === undefined ? { timeMs: at.timeMs } : { ranges: at.ranges };
            const end = at.ranges === undefined ? toldBy(told, at.timeMs) : at;
            session = await sessions.branch(session.id, moment);
            told = end === undefined ? [] : told.slice(0, told.indexOf(end) + 1);
            branched += 1;
          }
          data.clock.advance(one.passesMs);
          const before = session.store.totals.entries;
          const { journal } = data.paths(session.id);
          const { size } = await stat(journal);
          await session.store.append([entryOf(one)]);
          const { entries } = session.store.totals;
          // A text that came as it had come before is no moment.
          if ((await stat(journal)).size === size) continue;
          told.push({
            answers: await answersOf(session.store, engine),
            timeMs: data.clock.now(),
            ...(entries > before ? { seq: entries } : {}),
          });
          if (!one.named) continue;
          const { ranges } = await sessions.nameMoment(session.id, `n${told.length}`).catch(() => ({
            ranges: undefined,
          }));
          if (ranges !== undefined) told.at(-1)!.ranges = ranges;
        }
        ({ id } = session);
      }
      await using sessions = await data.open();
      const { store } = await sessions.byId(id);
      for (const { at, how } of moments) {
        const one = told[at % told.length]!;
        const isBySeq = how === 0 && one.seq !== undefined;
        const isByName = how === 1 && one.ranges !== undefined;
        const moment: Moment = isBySeq
          ? { seq: one.seq }
          : isByName
            ? { ranges: one.ranges! }
            : { timeMs: one.timeMs };
        const wanted = isBySeq || isByName ? one : toldBy(told, one.timeMs);
        const past = await store.at(moment);
        // The clock was put back: by that time nothing had come.
        if (wanted === undefined) deepEqual(past.entries, []);
        else deepEqual(await answersOf(past, engine), wanted.answers);
        compared += 1;
      }
    },
  );
  await fc.assert(property, { numRuns: runs, endOnFailure: true });
  expect(compared).toBeGreaterThanOrEqual(1_000);
  expect(branched).toBeGreaterThan(5);
  await engine[Symbol.asyncDispose]();
}, 180_000);

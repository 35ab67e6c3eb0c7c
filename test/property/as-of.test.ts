import * as fc from 'fast-check';
import { cp, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { deepEqual } from 'node:assert/strict';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import type { SearchEngine, SearchQuery } from '../../src/search/types.ts';
import type {
  Entry,
  ForgetWanted,
  Moment,
  NewEntry,
  Session,
  SessionStore,
} from '../../src/store/types.ts';
import { readingTools, ToolRegistry } from '../../src/tools/registry.ts';
import { projectSession, temporaryData, type TemporaryData } from '../faults/store-harness.ts';

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
  /** Forgets a text afterwards, or a part of it. */
  forgets: fc.integer({ min: 0, max: 9 }).map((one) => one === 0),
  forgotten: fc.record({ at: fc.nat(1_000), isPart: fc.boolean(), mayComeAgain: fc.boolean() }),
});

/** What a store said, with what names the moment. */
interface Told {
  readonly answers: Awaited<ReturnType<typeof answersOf>>;
  /** The data directory as it was. */
  readonly copy: TemporaryData;
  readonly sessionId: string;
  /** Among all that is told and forgotten. */
  readonly order: number;
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

/** Something that was forgotten. */
interface Forgotten {
  readonly order: number;
  readonly timeMs: number;
  readonly seq: number;
  readonly wanted: ForgetWanted;
}

const tools = new ToolRegistry(readingTools);

/** Calls of the tools that models and commands ask, in JSON. */
const calls: readonly (readonly [string, object])[] = [
  ['rlm_search', { pattern: 'n[e]+dle.*', max_results: 5 }],
  ['rlm_search', { pattern: '(\\w+)', aggregate: 'count_by', group: ['path'] }],
  ['rlm_find', { text: 'needle', order: 'oldest' }],
  ['rlm_find', { text: 'needle', path: 'a.ts' }],
  ['rlm_get_context', { entry: 'e1' }],
  ['rlm_get_context', { entry: '/p/b.ts', line: 1, lines: 2 }],
  ['rlm_get_context', { tail: 3 }],
  ['rlm_stats', {}],
  ['rlm_stats', { tool: 'bash' }],
];

/**
 * All that is asked of a store, as plain values; without the tools for a moment that they were asked
 * about before.
 */
async function answersOf(
  session: Session,
  store: SessionStore,
  engine: SearchEngine,
  asked = calls,
): Promise<{ readonly told: readonly string[] }> {
  const { id, createdMs, memory, events } = session;
  const told: string[] = [];
  for (const [name, args] of asked)
    told.push(
      await tools.run(
        { id: 'call', type: 'function', function: { name, arguments: JSON.stringify(args) } },
        {
          session: { id, createdMs, memory, events, store },
          search: engine,
          signal: limits.signal,
          clock: systemClock,
          searchDeadlineMs: limits.deadlineMs,
          maxResultChars: 20_000,
          // Notes that cost further searches are only made where there is time for them.
          isExplained: false,
          form: 'json',
        },
      ),
    );
  const { totals, list, entries } = store;
  const found = await engine.search(await store.snapshot(), query, limits);
  const outputs = ['chat 1', 'chat 2'].flatMap((chat) =>
    Array.from({ length: 6 }, (_, call) =>
      store.outputsOf(chat, `call ${call}`).map(({ entry, isAgain }) => [entry.id, isAgain]),
    ),
  );
  const texts = await Promise.all(
    entries
      .slice(-3)
      .map(async (entry) => store.readEntry(entry).catch((error: unknown) => String(error))),
  );
  return structuredClone({
    totals,
    count: entries.length,
    kinds: [...list.kinds],
    tools: [...list.tools].map(([name, { count, chars }]) => [name, count, chars]),
    namings: list.namings.map(({ path, entry }) => [path, entry.id]),
    replaced: [...list.replaced].map((entry) => [entry.id, list.successorOf(entry)?.id]),
    isInTimeOrder: list.isInTimeOrder,
    outputs,
    told,
    total: found.total,
    hits: found.matches.map(({ line, text, offsetChars }) => [line, text, offsetChars]),
    texts,
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

/** What a text may lose of itself: its first word, where that is known. */
function wantedOf(
  { seq, lengthBytes, forgotten, masked }: Entry,
  text: string,
  { isPart, mayComeAgain }: { readonly isPart: boolean; readonly mayComeAgain: boolean },
): ForgetWanted | undefined {
  if ((forgotten ?? masked) !== undefined) return undefined;
  const isCut = isPart && text.startsWith('needle') && lengthBytes > 6;
  return {
    whole: isCut ? [] : [seq],
    ...(isCut ? { parts: [{ seq, ranges: [[0, 6]] }] } : {}),
    why: 'asked',
    mayComeAgain,
  };
}

/**
 * What a store would have said at a moment if what was forgotten since had been forgotten right
 * then: asked of a copy that was made at the moment.
 */
async function answersWithout(
  { copy, sessionId, order }: Told,
  forgotten: readonly Forgotten[],
  engine: SearchEngine,
): ReturnType<typeof answersOf> {
  await using sessions = await copy.open();
  const session = await sessions.byId(sessionId);
  for (const one of forgotten) {
    if (one.order < order || one.seq > session.store.totals.entries) continue;
    copy.clock.advance(one.timeMs - copy.clock.now());
    await sessions.forget(sessionId, one.wanted);
  }
  return await answersOf(session, session.store, engine);
}

test('of random moments each answer is the one that the store gave then, but for what was forgotten since', async () => {
  const engine = openSearchEngine({ clock: systemClock, workers: 1 });
  const runs = Number(process.env['RLM_PROPERTY_RUNS'] ?? 4);
  let compared = 0;
  let branched = 0;
  let without = 0;
  const property = fc.asyncProperty(
    fc.array(commit, { minLength: 12, maxLength: 30 }),
    fc.array(fc.record({ at: fc.nat(1_000), how: fc.nat(2) }), { minLength: 100, maxLength: 100 }),
    async (commits, moments) => {
      await using data = await temporaryData();
      await using copies = new AsyncDisposableStack();
      let id = '';
      let told: Told[] = [];
      const forgotten: Forgotten[] = [];
      let order = 0;
      {
        await using sessions = await data.open();
        let session: Session = await projectSession(sessions);
        for (const one of commits) {
          order += 1;
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
          const copy = copies.use(await copyOf(data));
          told.push({
            answers: await answersOf(session, session.store, engine),
            copy,
            sessionId: session.id,
            order,
            timeMs: data.clock.now(),
            ...(entries > before ? { seq: entries } : {}),
          });
          if (one.named) {
            const { ranges } = await sessions
              .nameMoment(session.id, `n${told.length}`)
              .catch(() => ({ ranges: undefined }));
            if (ranges !== undefined) told.at(-1)!.ranges = ranges;
          }
          if (!one.forgets) continue;
          const entry = session.store.entries[one.forgotten.at % entries]!;
          const text = await session.store.readEntry(entry).catch(() => '');
          const wanted = wantedOf(entry, text, one.forgotten);
          if (wanted === undefined) continue;
          order += 1;
          forgotten.push({ order, timeMs: data.clock.now(), seq: entry.seq, wanted });
          await sessions.forget(session.id, wanted);
        }
        ({ id } = session);
      }
      await using sessions = await data.open();
      const session = await sessions.byId(id);
      const { store } = session;
      const expected = new Map<Told, Told['answers']>();
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
        compared += 1;
        // The clock was put back: by that time nothing had come.
        if (wanted === undefined) {
          deepEqual(past.entries, []);
          continue;
        }
        const isFirst = !expected.has(wanted);
        if (isFirst) {
          const isChanged = forgotten.some((each) => each.order > wanted.order);
          if (isChanged) without += 1;
          expected.set(
            wanted,
            isChanged ? await answersWithout(wanted, forgotten, engine) : wanted.answers,
          );
        }
        const answers = expected.get(wanted)!;
        deepEqual(
          await answersOf(session, past, engine, isFirst ? calls : []),
          isFirst ? answers : { ...answers, told: [] },
        );
      }
    },
  );
  await fc.assert(property, { numRuns: runs, endOnFailure: true });
  expect(compared).toBeGreaterThanOrEqual(100 * runs);
  expect(branched).toBeGreaterThan(runs / 4);
  expect(without).toBeGreaterThan(2 * runs);
  await engine[Symbol.asyncDispose]();
}, 300_000);

/** A copy of a data directory between two commits. */
async function copyOf(data: TemporaryData): Promise<TemporaryData> {
  const copy = await temporaryData();
  const filter = (path: string): boolean => !basename(path).startsWith('owner.json');
  await cp(data.dataDir, copy.dataDir, { recursive: true, filter });
  return copy;
}

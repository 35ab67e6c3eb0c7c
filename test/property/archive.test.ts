import * as fc from 'fast-check';
import { deepEqual, equal } from 'node:assert/strict';
import { afterAll, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import { replaceIds } from '../../src/store/archive/session-ids.ts';
import type { Session, SessionStore, Sessions } from '../../src/store/types.ts';
import { temporaryData } from '../faults/store-harness.ts';
import { exported, imported } from '../support/archives.ts';

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.constantFrom('', 'same', 'same\n', 'lone \ud800', '\udfff needle', 'needle here\n'),
  fc
    .tuple(fc.constantFrom('x', 'né', '日本 needle\n', '🙂\r\n', 'line\n'), fc.nat(9_000))
    .map(([unit, count]) => unit.repeat(count)),
);
const pick = fc.nat(1_000);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      pick,
      texts: fc.array(text, { minLength: 1, maxLength: 3 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('branch' as const, 'restore' as const, 'forget' as const),
      pick,
      at: pick,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'snapshot' as const,
        'link' as const,
        'memory' as const,
        'reopen' as const,
      ),
      pick,
      at: pick,
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const limits = { signal: new AbortController().signal, deadlineMs: 60_000 };
const query = {
  pattern: 'needle',
  literal: true,
  caseSensitive: true,
  maxResults: 1_000,
  contextLines: 0,
  order: 'oldest' as const,
  maxLineChars: 200,
};
const engine = openSearchEngine({ clock: systemClock, workers: 1 });
afterAll(async () => engine[Symbol.asyncDispose]());

const directories = ['/work/one', '/work/two'];
const chatKeys = ['a', 'b'];

/** All that a store says of what it holds, at a moment or now. */
async function heldBy(store: SessionStore): Promise<object> {
  const texts: unknown[] = [];
  for (const entry of store.entries) {
    const isGone = entry.forgotten !== undefined;
    texts.push(isGone ? undefined : await store.readEntry(entry));
    const bytes = isGone ? [] : await Array.fromAsync(store.readOriginal(entry));
    texts.push(Buffer.concat(bytes).toString('hex'));
  }
  const { text: whole } = await store.read(0, store.totals.chars);
  const { total } = await engine.search(await store.snapshot(), query, limits);
  return {
    totals: store.totals,
    entries: [...store.entries],
    texts,
    whole,
    total,
    outputs: chatKeys.map((chat) => store.outputsOf(chat, 'call')),
    source: store.source('/file'),
  };
}

/** The same, as it was at every moment that has a name, and behind every text; and what chats know. */
async function answersOf(session: Session): Promise<object> {
  const past: object[] = [];
  for (const event of session.events.all) {
    if (event.type !== 'snapshot') continue;
    const { totals, entries } = await session.store.at({ ranges: event.ranges });
    past.push({ totals, entries: [...entries] });
  }
  for (const { seq, timeMs } of session.store.entries) {
    for (const moment of [{ seq }, { timeMs }]) {
      const { totals, entries } = await session.store.at(moment);
      past.push({ totals, entries: [...entries] });
    }
  }
  const memory = await Promise.all(chatKeys.map((key) => session.memory.get(key)));
  return { now: await heldBy(session.store), past, memory, events: [...session.events.all] };
}

async function play(sessions: Sessions, one: Step, ids: string[]): Promise<void> {
  const session = await sessions.byId(ids[one.pick % ids.length]!);
  const chatId = chatKeys[one.pick % chatKeys.length]!;
  if (one.do === 'append') {
    const facts = { kind: 'tool_result', chatId, toolCallId: 'call', path: '/file' } as const;
    const source = { sizeBytes: one.pick, mtimeMs: one.pick };
    await session.store.append(one.texts.map((each) => ({ ...facts, text: each, source })));
    return;
  }
  const other = ids[one.at % ids.length]!;
  const count = session.store.entries.length;
  const timeMs = one.pick;
  switch (one.do) {
    case 'reopen':
      return;
    case 'branch':
      ids.push((await sessions.branch(session.id, { seq: one.at % (count + 1) })).id);
      return;
    case 'restore':
      if (session.directory !== undefined) await sessions.restore(session.id, other);
      return;
    case 'forget':
      if (count === 0) return;
      await sessions.forget(session.id, {
        whole: [1 + (one.at % count)],
        why: 'asked',
        mayComeAgain: one.at % 2 === 0,
      });
      return;
    case 'snapshot': {
      const branch = await sessions.branch(session.id);
      const { bases = [] } = (await sessions.list()).find(({ id }) => id === branch.id)!;
      await sessions.remove(branch.id);
      const name = `snapshot-${session.events.all.length}`;
      await session.events.add({ type: 'snapshot', timeMs, name, ranges: bases });
      return;
    }
    case 'link': {
      const as = `link-${session.events.all.length}`;
      await session.events.add({ type: 'link', timeMs, sessionId: other, as });
      return;
    }
    case 'memory':
      await session.memory.put([{ key: chatId, value: { at: one.at } }]);
  }
}

const runs = Number(process.env['RLM_PROPERTY_RUNS'] ?? 10);

test('after export and import every store answers as before, with other ids', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 3, maxLength: 14 }),
      fc.boolean(),
      pick,
      async (steps, isAll, which) => {
        await using from = await temporaryData();
        await using to = await temporaryData();
        let sessions = await from.open();
        try {
          const ids: string[] = [];
          for (const directory of directories) {
            ids.push((await sessions.forDirectory(directory, { create: true }))!.id);
          }
          for (const one of steps) {
            from.clock.advance(1_000);
            if (one.do === 'reopen') {
              await sessions[Symbol.asyncDispose]();
              sessions = await from.open();
            } else await play(sessions, one, ids);
          }
          const asked = isAll
            ? (await sessions.list()).map(({ id }) => id)
            : [ids[which % ids.length]!];
          const archive = await exported(sessions, ...asked);
          await using others = await to.open();
          // The ids are taken here.
          for (let at = 0; at < 12; at += 1) await others.forKey(`taken ${at}`, { create: true });
          const report = await imported(others, archive, { map: [{ from: '/work', to: '/w' }] });
          const mapped = new Map(report.sessions.map((store) => [store.from, store.session]));
          for (const id of asked) {
            const [there, here] = [
              await sessions.byId(id),
              await others.byId(mapped.get(id)!),
            ] as const;
            expect(here.id).not.toBe(id);
            equal(here.directory, there.directory?.replace('/work', '/w'));
            deepEqual(await answersOf(here), replaceIds(await answersOf(there), mapped));
            deepEqual((await others.check(here.id)).damage, []);
          }
        } finally {
          await sessions[Symbol.asyncDispose]();
        }
      },
    ),
    { numRuns: runs },
  );
}, 300_000);

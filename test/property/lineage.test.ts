import * as fc from 'fast-check';
import { deepEqual, equal, rejects } from 'node:assert/strict';
import { expect, test } from 'vitest';
import { openSearchEngine } from '../../src/search/engine.ts';
import type { SearchQuery } from '../../src/search/types.ts';
import { systemClock } from '../../src/clock.ts';
import type { Moment, Session, SessionStore, Sessions } from '../../src/store/types.ts';
import { temporaryData, type TemporaryData } from '../faults/store-harness.ts';

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.constantFrom('', 'same', 'same\n', 'lone \ud800', 'needle here\n', 'a needle'),
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
  { weight: 4, arbitrary: fc.record({ do: fc.constant('branch' as const), pick, at: pick }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('restore' as const), pick, at: pick }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('remove' as const),
      pick,
      how: fc.constantFrom('keep' as const, 'remove' as const, 'detach' as const),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('forget' as const),
      pick,
      at: pick,
      mayComeAgain: fc.boolean(),
      why: fc.constantFrom('asked' as const, 'quota' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('past' as const), pick, at: pick }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** A text, the same one in all sessions that share it. */
interface ModelText {
  readonly text: string;
  readonly timeMs: number;
  gone?: { readonly mayComeAgain: boolean };
}

/** What a session ought to hold: its texts as they are stored, and when each came. */
interface Model {
  id: string;
  readonly texts: ModelText[];
  /** The sessions whose texts it reads, and how many there are with those of each. */
  bases: { readonly id: string; readonly end: number }[];
}

/** The bases of a branch of the first `count` texts. */
function basesOf({ id, bases }: Model, count: number): Model['bases'] {
  const found: Model['bases'] = [];
  for (const base of [...bases, { id, end: Infinity }]) {
    const start = found.at(-1)?.end ?? 0;
    const end = Math.min(base.end, count);
    if (end > start) found.push({ id: base.id, end });
  }
  return found;
}

const query: SearchQuery = {
  pattern: 'needle',
  literal: true,
  caseSensitive: true,
  maxResults: 1_000,
  contextLines: 0,
  order: 'oldest',
  maxLineChars: 200,
};
const limits = { signal: new AbortController().signal, deadlineMs: 60_000 };

class Play {
  readonly #data: TemporaryData;
  readonly #engine = openSearchEngine({ clock: systemClock, workers: 1 });
  #sessions: Sessions | undefined;
  readonly models: Model[] = [];
  /** Whose store the directory has. */
  current: Model | undefined;

  constructor(data: TemporaryData) {
    this.#data = data;
  }

  async sessions(): Promise<Sessions> {
    return (this.#sessions ??= await this.#data.open());
  }

  async run(one: Step): Promise<void> {
    const sessions = await this.sessions();
    this.#data.clock.advance(1_000);
    if (this.models.length === 0) {
      const session = await sessions.forDirectory('/project', { create: true });
      this.current = { id: session!.id, texts: [], bases: [] };
      this.models.push(this.current);
    }
    if (one.do === 'reopen') {
      await this.close();
      await this.sessions();
      return;
    }
    const model = this.models[one.pick % this.models.length]!;
    switch (one.do) {
      case 'append': {
        const { store } = await sessions.byId(model.id);
        await store.append(one.texts.map((each) => ({ text: each, kind: 'tool_result' as const })));
        for (const each of one.texts) {
          const known = model.texts.some(
            ({ text: other, gone }) => other === each && gone?.mayComeAgain !== true,
          );
          if (!known) model.texts.push({ text: each, timeMs: this.#data.clock.now() });
        }
        return;
      }
      case 'forget': {
        const text = model.texts[one.at % Math.max(1, model.texts.length)];
        if (text === undefined || text.gone !== undefined) return;
        const whole = [model.texts.indexOf(text) + 1];
        const { mayComeAgain, why } = one;
        await sessions.forget(model.id, { whole, why, mayComeAgain });
        text.gone = { mayComeAgain };
        return;
      }
      case 'branch': {
        const [moment, count] = this.#moment(model, one.at);
        const { id } = await sessions.branch(model.id, moment);
        const texts = model.texts.slice(0, count);
        this.models.push({ id, texts, bases: basesOf(model, count) });
        return;
      }
      case 'restore': {
        const to = this.models[one.at % this.models.length]!;
        if (this.current === undefined || !this.models.includes(this.current)) return;
        await sessions.restore(this.current.id, to.id);
        this.current = to;
        return;
      }
      case 'remove':
        await this.#remove(model, one.how);
        return;
      case 'past': {
        const [moment, count] = this.#moment(model, one.at);
        const { store } = await sessions.byId(model.id);
        await this.#check(await store.at(moment), model.texts.slice(0, count), one.at % 4 === 0);
      }
    }
  }

  async #remove(model: Model, how: 'keep' | 'remove' | 'detach'): Promise<void> {
    const sessions = await this.sessions();
    const others = this.models.filter(({ bases }) => bases.some(({ id }) => id === model.id));
    if (how === 'keep' && others.length > 0) {
      await rejects(sessions.remove(model.id, how), new RegExp(others[0]!.id));
      return;
    }
    await sessions.remove(model.id, how);
    const gone = how === 'remove' ? [model, ...others] : [model];
    for (const each of gone) this.models.splice(this.models.indexOf(each), 1);
    // A copy that has no name here.
    for (const other of others) {
      const end = other.bases.at(-1)!.end;
      other.bases = [{ id: 'copy', end }];
    }
  }

  /** A moment, and how many texts there were. */
  #moment({ texts }: Model, at: number): readonly [Moment, number] {
    const count = at % (texts.length + 1);
    if (count === 0) return [{ timeMs: 0 }, 0];
    if (at % 2 === 0) return [{ seq: count }, count];
    const { timeMs } = texts[count - 1]!;
    return [{ timeMs }, texts.filter((each) => each.timeMs <= timeMs).length];
  }

  async checkAll(): Promise<void> {
    const sessions = await this.sessions();
    for (const [at, model] of this.models.entries()) {
      const session: Session = await sessions.byId(model.id);
      await this.#check(session.store, model.texts, at < 2);
      deepEqual(await sessions.check(model.id), { entries: model.texts.length, damage: [] });
    }
    const found = await sessions.forDirectory('/project', { create: false });
    const isThere = this.current !== undefined && this.models.includes(this.current);
    equal(found?.id, isThere ? this.current!.id : undefined);
  }

  async #check(store: SessionStore, texts: Model['texts'], searched: boolean): Promise<void> {
    equal(store.entries.length, texts.length);
    const whole = texts
      .map(({ text: each }) => each.toWellFormed())
      .map((each) => (each.endsWith('\n') ? each : `${each}\n`));
    const chars = Array.from(whole.join(''));
    equal(store.totals.chars, chars.length);
    for (const [at, { text: each, gone }] of texts.entries()) {
      const entry = store.entries[at]!;
      const { offsetChars, lengthChars, lineNumber, lineCount } = entry;
      if (gone !== undefined) {
        await rejects(store.readEntry(entry), /was forgotten/);
        equal(Array.from((await store.read(offsetChars, lengthChars)).text).length, lengthChars);
        continue;
      }
      const wanted = each.toWellFormed();
      equal(await store.readEntry(entry), wanted);
      equal((await store.read(offsetChars, lengthChars)).text, wanted);
      const lines = (await store.readLines(lineNumber, lineNumber + lineCount - 1)).text;
      equal(lines, whole[at]);
    }
    const all = (await store.read(0, Infinity)).text;
    equal(Array.from(all).length, chars.length);
    equal(all.split('\n').length, whole.join('').split('\n').length);
    if (!searched) return;
    const { total, partial } = await this.#engine.search(await store.snapshot(), query, limits);
    const there = whole.filter((_, at) => texts[at]!.gone === undefined).join('');
    const wantedTotal = there.split('\n').filter((each) => each.includes('needle')).length;
    deepEqual([total, partial], [wantedTotal, false]);
  }

  async close(): Promise<void> {
    await this.#sessions?.[Symbol.asyncDispose]();
    this.#sessions = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    await this.#engine[Symbol.asyncDispose]();
  }
}

test('branches, moments, restores, removals and forgetting hold what a list of texts holds', async () => {
  const played = fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 25 }), async (steps) => {
      await using data = await temporaryData();
      await using play = new Play(data);
      for (const one of steps) await play.run(one);
      await play.checkAll();
    }),
    { numRuns: Number(process.env['RLM_PROPERTY_RUNS'] ?? 12) },
  );
  await expect(played).resolves.toBeUndefined();
}, 600_000);

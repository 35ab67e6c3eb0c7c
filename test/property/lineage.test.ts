import * as fc from 'fast-check';
import { AssertionError, deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openSearchEngine } from '../../src/search/engine.ts';
import type { SearchQuery } from '../../src/search/types.ts';
import { systemClock } from '../../src/clock.ts';
import { linksOf } from '../../src/store/session/links.ts';
import { pinnedIn } from '../../src/store/session/pins.ts';
import type { Moment, Session, SessionStore, Sessions } from '../../src/store/types.ts';
import { linkedStoresOf } from '../../src/tools/linked/linked-stores.ts';
import { readingTools, ToolRegistry } from '../../src/tools/registry.ts';
import { killableFiles, type KillableFiles } from '../faults/killed-files.ts';
import { temporaryData, type TemporaryData } from '../faults/store-harness.ts';
import { exported, imported } from '../support/archives.ts';

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
    weight: 7,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      pick,
      texts: fc.array(text, { minLength: 1, maxLength: 3 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('branch' as const), pick, at: pick }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('snapshot' as const, 'restore' as const),
      pick,
      at: pick,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('link' as const, 'unlink' as const, 'pin' as const),
      pick,
      at: pick,
    }),
  },
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
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('gc' as const), days: fc.nat(40) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('archive' as const), pick, at: pick }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('past' as const), pick, at: pick }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** A step, and after how many calls that change something the process is killed in it, if it is. */
const killableStep = fc.record({
  one: step,
  killIn: fc.option(
    fc.oneof(fc.nat(4), fc.nat(12), fc.nat(60)),
    // Not in one of two.
    { freq: 2 },
  ),
});

/** Texts go when they are older. */
const maxAgeDays = 30;
const dayMs = 24 * 3_600_000;

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
  /** By name, how many texts there were. */
  readonly snapshots: Map<string, number>;
  /** By name, whose session it reads. */
  readonly links: Map<string, string>;
  readonly pins: Set<number>;
}

/** All sessions; one plain value, so that it can be copied. */
interface World {
  readonly models: Model[];
  /** Whose store the directory has. */
  current: string | undefined;
  /** Sessions that are only there to be read by others. */
  readonly hidden: Set<string>;
}

/** What a step has made: by their ids before (of a branch: `branch`), those of new sessions. */
type Made = ReadonlyMap<string, string>;
const nothing: Made = new Map();

interface Plan {
  act(sessions: Sessions): Promise<Made>;
  change(world: World, made: Made): void;
  /**
   * What there may be where it was killed: all of it or nothing (`either`), the same with what only
   * its result names (`branch`, `import`), or a part of it, and another call does the rest
   * (`again`).
   */
  readonly killed: 'either' | 'branch' | 'import' | 'again';
}

const idle: Plan = { act: async () => nothing, change: () => undefined, killed: 'either' };

/** The bases of a branch of the first `count` texts. */
function basesOf({ id, bases }: Model, count: number): Model['bases'] {
  const found: Model['bases'] = [];
  for (const base of [...bases, { id, end: Infinity }]) {
    const start = found.at(-1)?.end ?? 0;
    const end = Math.min(base.end, count);
    if (end > start) found.push({ id: base.id, end });
  }
  // Of the oldest of more than eight a copy is made.
  const surplus = found.length - 8;
  if (surplus > 0) found.splice(0, surplus + 1, { id: 'copy', end: found[surplus]!.end });
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
const tools = new ToolRegistry(readingTools).linked;

/** Lines with the needle. */
function needlesIn(texts: Model['texts']): number {
  const there = texts.filter(({ gone }) => gone === undefined).map(({ text: each }) => each);
  return there
    .join('\n')
    .split('\n')
    .filter((line) => line.includes('needle')).length;
}

class Play {
  readonly #data: TemporaryData;
  readonly #disk: KillableFiles = killableFiles();
  readonly #engine = openSearchEngine({ clock: systemClock, workers: 1 });
  #sessions: Sessions | undefined;
  #world: World = { models: [], current: undefined, hidden: new Set() };
  #names = 0;

  constructor(data: TemporaryData) {
    this.#data = data;
  }

  async sessions(): Promise<Sessions> {
    const { files } = this.#disk;
    const bounds = { maxAgeMs: maxAgeDays * dayMs };
    return (this.#sessions ??= await this.#data.open({ files, bounds }));
  }

  async run(one: Step, killIn: number | null): Promise<void> {
    const sessions = await this.sessions();
    this.#data.clock.advance(1_000);
    if (this.#world.models.length === 0) {
      const session = await sessions.forDirectory('/project', { create: true });
      this.#world.current = session!.id;
      this.#world.models.push(modelOf(session!.id, [], []));
    }
    if (one.do === 'reopen') {
      await this.close();
      await this.sessions();
      return;
    }
    const plan = await this.#plan(one);
    if (killIn === null) {
      plan.change(this.#world, await plan.act(sessions));
      return;
    }
    await this.#killed(plan, killIn);
  }

  /** Runs a step in which the process is killed, and finds out in the next one what came of it. */
  async #killed(plan: Plan, killIn: number): Promise<void> {
    this.#disk.killIn(killIn);
    let made: Made | undefined;
    try {
      made = await plan.act(await this.sessions());
    } catch (error) {
      if (!this.#disk.isDead) throw error;
    }
    await this.#sessions?.[Symbol.asyncDispose]().catch(() => undefined);
    this.#sessions = undefined;
    this.#disk.revive();
    // The owner of it is this process, which lives.
    for (const name of await readdir(this.#data.dataDir))
      if (name.startsWith('owner.json')) await rm(join(this.#data.dataDir, name));
    // What was answered is durable.
    if (made !== undefined) plan.change(this.#world, made);
    else await this.#settle(plan);
    await this.#check(this.#world);
  }

  /** Takes the world for what it is after a step that did not come to its end. */
  async #settle(plan: Plan): Promise<void> {
    const sessions = await this.sessions();
    const fresh = await this.#fresh();
    if (plan.killed === 'again') {
      plan.change(this.#world, await plan.act(sessions));
      return;
    }
    if (plan.killed === 'import') {
      // All of them or none; which is which nobody was told.
      const { length } = fresh;
      for (const id of fresh) await sessions.remove(id, 'detach').catch(() => undefined);
      ok(length === 0 || length === this.#imported, `${length} of ${this.#imported} sessions`);
      return;
    }
    if (plan.killed === 'branch') {
      const [id] = fresh;
      if (id === undefined) return;
      equal(fresh.length, 1);
      plan.change(this.#world, new Map([['branch', id]]));
      // Its texts are there; what it inherits of links, snapshots and pins may have been cut short.
      const branch = this.#world.models.at(-1)!;
      const { events } = await sessions.byId(id);
      const named = new Set(
        events.all.flatMap((event) => (event.type === 'snapshot' ? [event.name] : [])),
      );
      const links = new Set(linksOf(events.all).map(({ as }) => as));
      for (const name of branch.snapshots.keys())
        if (!named.has(name)) branch.snapshots.delete(name);
      for (const name of branch.links.keys()) if (!links.has(name)) branch.links.delete(name);
      if (pinnedIn(events.all).size === 0) branch.pins.clear();
      return;
    }
    const after = structuredClone(this.#world);
    plan.change(after, nothing);
    try {
      await this.#check(this.#world);
    } catch (error) {
      if (!(error instanceof AssertionError)) throw error;
      this.#world = after;
    }
  }

  /** Sessions that no step has told of. */
  async #fresh(): Promise<readonly string[]> {
    const { models, hidden } = this.#world;
    const known = new Set([...models.map(({ id }) => id), ...hidden]);
    const listed = await (await this.sessions()).list();
    return listed
      .filter(({ id, copyOf }) => copyOf === undefined && !known.has(id))
      .map(({ id }) => id);
  }

  /** How many sessions the archive of the last import holds. */
  #imported = 0;

  async #plan(one: Exclude<Step, { do: 'reopen' }>): Promise<Plan> {
    if (one.do === 'gc') return this.#tidy(one.days);
    const { models } = this.#world;
    const at = one.pick % models.length;
    const model = models[at]!;
    const { id } = model;
    const timeMs = this.#data.clock.now();
    const own = (world: World): Model => world.models[at]!;
    switch (one.do) {
      case 'append':
        return {
          ...idle,
          act: async (sessions) => {
            const { store } = await sessions.byId(id);
            const kind = 'tool_result' as const;
            await store.append(one.texts.map((each) => ({ text: each, kind })));
            return nothing;
          },
          change: (world) => {
            const { texts } = own(world);
            for (const each of one.texts) {
              const known = texts.some(
                ({ text: other, gone }) => other === each && gone?.mayComeAgain !== true,
              );
              if (!known) texts.push({ text: each, timeMs });
            }
          },
        };
      case 'forget': {
        const seq = 1 + (one.at % Math.max(1, model.texts.length));
        if ((model.texts[seq - 1]?.gone ?? 'none') !== 'none' || model.texts.length === 0)
          return idle;
        const { mayComeAgain, why } = one;
        return {
          ...idle,
          act: async (sessions) => {
            await sessions.forget(id, { whole: [seq], why, mayComeAgain });
            return nothing;
          },
          change: (world) => {
            own(world).texts[seq - 1]!.gone = { mayComeAgain };
          },
        };
      }
      case 'branch': {
        const [moment, count] = momentOf(model, one.at);
        return {
          act: async (sessions) => new Map([['branch', (await sessions.branch(id, moment)).id]]),
          change: (world, made) => {
            const { texts, snapshots, links, pins } = own(world);
            const branch = modelOf(
              made.get('branch')!,
              texts.slice(0, count),
              basesOf(own(world), count),
            );
            for (const [name, held] of snapshots)
              if (held <= count) branch.snapshots.set(name, held);
            for (const [name, to] of links) branch.links.set(name, to);
            for (const seq of pins) if (seq <= count) branch.pins.add(seq);
            world.models.push(branch);
          },
          killed: 'branch',
        };
      }
      case 'snapshot': {
        const name = this.#name('s');
        return {
          ...idle,
          act: async (sessions) => {
            await sessions.nameMoment(id, name);
            return nothing;
          },
          change: (world) => own(world).snapshots.set(name, own(world).texts.length),
        };
      }
      case 'link': {
        const to = models[one.at % models.length]!.id;
        const name = this.#name('l');
        return this.#event(id, { type: 'link', timeMs, sessionId: to, as: name }, (world) =>
          own(world).links.set(name, to),
        );
      }
      case 'unlink': {
        const name = [...model.links.keys()][one.at % Math.max(1, model.links.size)];
        if (name === undefined) return idle;
        return this.#event(id, { type: 'unlink', timeMs, as: name }, (world) =>
          own(world).links.delete(name),
        );
      }
      case 'pin': {
        if (model.texts.length === 0) return idle;
        const seq = 1 + (one.at % model.texts.length);
        const type = model.pins.has(seq) ? ('unpin' as const) : ('pin' as const);
        return this.#event(id, { type, timeMs, whole: [seq] }, (world) =>
          type === 'pin' ? own(world).pins.add(seq) : own(world).pins.delete(seq),
        );
      }
      case 'restore': {
        const to = models[one.at % models.length]!.id;
        const from = this.#world.current;
        if (from === undefined || !models.some((other) => other.id === from)) return idle;
        return {
          ...idle,
          act: async (sessions) => {
            await sessions.restore(from, to);
            return nothing;
          },
          change: (world) => {
            world.current = to;
          },
        };
      }
      case 'remove':
        return this.#remove(model, one.how);
      case 'archive':
        return this.#archive([...new Set([model, models[one.at % models.length]!])]);
      case 'past': {
        const [moment, count] = momentOf(model, one.at);
        const { store } = await (await this.sessions()).byId(id);
        await this.#checkTexts(
          await store.at(moment),
          model.texts.slice(0, count),
          one.at % 4 === 0,
        );
        return idle;
      }
    }
  }

  #name(letter: string): string {
    this.#names += 1;
    return `${letter}x${this.#names}`;
  }

  #event(
    id: string,
    event: Parameters<Session['events']['add']>[0],
    change: (world: World) => unknown,
  ): Plan {
    return {
      ...idle,
      act: async (sessions) => {
        await (await sessions.byId(id)).events.add(event);
        return nothing;
      },
      change: (world) => void change(world),
    };
  }

  #tidy(days: number): Plan {
    this.#data.clock.advance(days * dayMs);
    const nowMs = this.#data.clock.now();
    return {
      act: async (sessions) => {
        await sessions.tidy({ isTrial: false });
        return nothing;
      },
      change: ({ models }) => {
        const pinned = new Set(
          models.flatMap(({ texts, pins }) => [...pins].map((seq) => texts[seq - 1])),
        );
        for (const each of models.flatMap(({ texts }) => texts)) {
          const isOld = nowMs - each.timeMs > maxAgeDays * dayMs;
          if (isOld && !pinned.has(each)) each.gone ??= { mayComeAgain: true };
        }
      },
      killed: 'again',
    };
  }

  async #remove(model: Model, how: 'keep' | 'remove' | 'detach'): Promise<Plan> {
    const { id } = model;
    const branches = ({ models }: World): readonly Model[] =>
      models.filter(({ bases }) => bases.some((base) => base.id === id));
    const others = branches(this.#world);
    if (how === 'keep' && others.length > 0) {
      await rejects((await this.sessions()).remove(id, how), new RegExp(others[0]!.id));
      return idle;
    }
    const ids = [id, ...(how === 'remove' ? others.map((other) => other.id) : [])];
    let runs = 0;
    return {
      act: async (sessions) => {
        runs += 1;
        // Of what was deleted in part somebody deletes the rest.
        const isAgain = runs > 1;
        for (const each of isAgain ? ids : [id]) {
          const removing = sessions.remove(each, how);
          await (isAgain ? removing.catch(tolerateUnknown) : removing);
        }
        return nothing;
      },
      change: (world) => {
        const left = branches(world);
        for (const gone of ids)
          world.models.splice(
            world.models.findIndex((each) => each.id === gone),
            1,
          );
        // A copy that has no name here.
        for (const other of how === 'remove' ? [] : left)
          other.bases = [{ id: 'copy', end: other.bases.at(-1)!.end }];
      },
      killed: 'again',
    };
  }

  /** Exports some sessions, and imports them beside the others. */
  async #archive(models: readonly Model[]): Promise<Plan> {
    const sessions = await this.sessions();
    const archive = await exported(sessions, ...models.map(({ id }) => id));
    const ids = new Set(models.map(({ id }) => id));
    this.#imported = await this.#countIn(archive);
    const entries = new Map<string, string>();
    return {
      act: async (into) => {
        const report = await imported(into, archive, { unnamed: true });
        for (const { from, session, role } of report.sessions)
          entries.set(from, `${role} ${session}`);
        return new Map([...entries].map(([from, to]) => [from, to.split(' ')[1]!]));
      },
      change: (world, made) => {
        for (const [from, to] of made) if (!ids.has(from)) world.hidden.add(to);
        // Texts of their own, which they share as before.
        const copied = structuredClone(world.models.filter(({ id }) => ids.has(id)));
        for (const model of copied) {
          model.id = made.get(model.id)!;
          model.bases = model.bases.map(({ id, end }) => ({
            id: ids.has(id) ? made.get(id)! : 'copy',
            end,
          }));
          for (const [name, to] of model.links) model.links.set(name, made.get(to) ?? to);
          world.models.push(model);
        }
      },
      killed: 'import',
    };
  }

  async #countIn(archive: Uint8Array): Promise<number> {
    await using other = await temporaryData();
    await using into = await other.open();
    return (await imported(into, archive)).sessions.length;
  }

  async checkAll(): Promise<void> {
    await this.#check(this.#world);
  }

  async #check(world: World): Promise<void> {
    const sessions = await this.sessions();
    deepEqual(await this.#fresh(), []);
    for (const [at, model] of world.models.entries()) {
      const session: Session = await sessions.byId(model.id);
      await this.#checkTexts(session.store, model.texts, at < 2);
      deepEqual(await sessions.check(model.id), { entries: model.texts.length, damage: [] });
      const { events } = session;
      const snapshots = events.all.filter((event) => event.type === 'snapshot');
      deepEqual(
        snapshots.map(({ name, ranges }) => [name, ranges.at(-1)?.end.entries ?? 0]),
        [...model.snapshots],
      );
      deepEqual(
        linksOf(events.all).map(({ as, sessionId }) => [as, sessionId]),
        [...model.links],
      );
      deepEqual(pinnedIn(events.all), model.pins);
      const [moment] = snapshots;
      if (moment !== undefined) {
        const past = await session.store.at({ ranges: moment.ranges });
        equal(past.totals.entries, model.snapshots.get(moment.name));
      }
      if (model.links.size > 0 && at < 4) await this.#checkLinked(session, model, world);
    }
    const found = await sessions.forDirectory('/project', { create: false });
    const isThere = world.models.some(({ id }) => id === world.current);
    equal(found?.id, isThere ? world.current : undefined);
  }

  /** A search over a store and what it is linked to counts what is in all of them. */
  async #checkLinked(session: Session, model: Model, { models }: World): Promise<void> {
    const sessions = await this.sessions();
    const read = [...model.links.values()].map((id) => models.find((one) => one.id === id));
    const answer = await tools.run(
      {
        id: 'call',
        type: 'function',
        function: { name: 'rlm_find', arguments: '{"text":"needle","scope":"linked"}' },
      },
      {
        session,
        linked: linkedStoresOf(sessions, session),
        search: this.#engine,
        signal: limits.signal,
        clock: this.#data.clock,
        searchDeadlineMs: limits.deadlineMs,
        maxResultChars: 100_000,
        form: 'json',
      },
    );
    const { total, note = '' } = JSON.parse(answer) as { total: number; note?: string };
    const wanted = needlesIn(eachOnce([model, ...read].map((one) => one?.texts ?? [])));
    equal(total, wanted);
    equal(note.includes('was deleted'), read.includes(undefined));
  }

  async #checkTexts(store: SessionStore, texts: Model['texts'], searched: boolean): Promise<void> {
    equal(store.entries.length, texts.length);
    const whole = texts
      .map(({ text: each }) => each.toWellFormed())
      .map((each) => (each.endsWith('\n') ? each : `${each}\n`));
    const chars = Array.from(whole.join(''));
    equal(store.totals.chars, chars.length);
    for (const [at, { text: each, gone }] of texts.entries()) {
      const entry = store.entries[at]!;
      const { offsetChars, lengthChars, lineNumber, lineCount } = entry;
      equal(entry.forgotten === undefined, gone === undefined);
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
    deepEqual([total, partial], [needlesIn(texts), false]);
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

function tolerateUnknown(error: unknown): void {
  if ((error as { code?: unknown }).code !== 'unknown_session') throw error;
}

/** The texts of several sessions; what they have in common from their first one on only once. */
function eachOnce(lists: readonly (readonly ModelText[])[]): ModelText[] {
  const found = new Map<string, ModelText>();
  for (const texts of lists) {
    let before = '';
    for (const one of texts) {
      before += JSON.stringify([one.gone === undefined ? one.text : '', one.timeMs]);
      found.set(before, one);
    }
  }
  return [...found.values()];
}

function modelOf(id: string, texts: ModelText[], bases: Model['bases']): Model {
  return { id, texts, bases, snapshots: new Map(), links: new Map(), pins: new Set() };
}

/** A moment, and how many texts there were. */
function momentOf({ texts }: Model, at: number): readonly [Moment, number] {
  const count = at % (texts.length + 1);
  if (count === 0) return [{ timeMs: 0 }, 0];
  if (at % 2 === 0) return [{ seq: count }, count];
  const { timeMs } = texts[count - 1]!;
  return [{ timeMs }, texts.filter((each) => each.timeMs <= timeMs).length];
}

test('whatever is done to stores, and wherever it is killed, they hold what a list of texts holds', async () => {
  const played = fc.assert(
    fc.asyncProperty(fc.array(killableStep, { minLength: 4, maxLength: 25 }), async (steps) => {
      await using data = await temporaryData();
      await using play = new Play(data);
      for (const { one, killIn } of steps) await play.run(one, killIn);
      await play.checkAll();
    }),
    { numRuns: Number(process.env['RLM_PROPERTY_RUNS'] ?? 12) },
  );
  await expect(played).resolves.toBeUndefined();
}, 600_000);

import { expect, test } from 'vitest';
import { temporaryData, type TemporaryData } from '../faults/store-harness.ts';
import { systemClock } from '../../src/clock.ts';
import { createOperations } from '../../src/operations/operations.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import type { SearchEngine } from '../../src/search/types.ts';
import type { Session, Sessions } from '../../src/store/types.ts';
import { execTool } from '../../src/tools/programs/exec.ts';
import { linkedStoresOf } from '../../src/tools/linked/linked-stores.ts';
import { openTestSandboxes, programsIn } from '../support/test-programs.ts';

interface Answer {
  readonly as_of?: { readonly at: string };
  readonly total: number;
  readonly stores?: readonly { readonly store?: string; readonly total: number }[];
  readonly matches: readonly { readonly entry: string }[];
  readonly linked_sessions?: readonly Readonly<Record<string, unknown>>[];
  readonly note?: string;
  readonly error?: string;
  readonly text?: string;
}

/** A project and three others, hour by hour. */
class Bench implements AsyncDisposable {
  readonly data: TemporaryData;
  readonly sessions: Sessions;
  readonly search: SearchEngine;
  readonly startMs: number;

  constructor(data: TemporaryData, sessions: Sessions) {
    this.data = data;
    this.sessions = sessions;
    this.search = openSearchEngine({ clock: systemClock, workers: 1 });
    this.startMs = data.clock.now();
  }

  /** So many hours after the beginning, as a moment. */
  at(hours: number): string {
    return new Date(this.startMs + hours * 3_600_000).toISOString();
  }

  toHour(hours: number): void {
    this.data.clock.advance(this.startMs + hours * 3_600_000 - this.data.clock.now());
  }

  async store(name: string): Promise<Session> {
    return (await this.sessions.forDirectory(`/p/${name}`, { create: true }))!;
  }

  async add(name: string, text: string): Promise<void> {
    await (await this.store(name)).store.append([{ text, kind: 'file' }]);
  }

  async link(as: string): Promise<void> {
    const { id: sessionId } = await this.store(as);
    const { events } = await this.store('own');
    const timeMs = this.data.clock.now();
    await events.add({ type: 'link', timeMs, sessionId, as, directory: `/p/${as}` });
  }

  async unlink(as: string): Promise<void> {
    const { events } = await this.store('own');
    await events.add({ type: 'unlink', timeMs: this.data.clock.now(), as });
  }

  /** As a command asks a tool. */
  async ask(name: string, args: object, more: object): Promise<Answer> {
    const { sessions, search } = this;
    const run = createOperations({ sessions, search, clock: this.data.clock });
    const body = { directory: '/p/own', name, arguments: args, ...more };
    const lines = [];
    for await (const line of run({
      operation: 'tool',
      body: Buffer.from(JSON.stringify(body)),
      signal: new AbortController().signal,
    }))
      lines.push(JSON.parse(line) as { result: { text: string; as_of?: { at: string } } });
    const { text, as_of } = lines.at(-1)!.result;
    return { ...(JSON.parse(text) as Answer), ...(as_of && { as_of }) };
  }

  /** What a search over everything finds at a moment. */
  async found(at: string | undefined, more: object = {}): Promise<Answer> {
    const moment = at === undefined ? {} : { at };
    return this.ask('rlm_find', { text: 'word', scope: 'linked' }, { ...moment, ...more });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.search[Symbol.asyncDispose]();
    await this.sessions[Symbol.asyncDispose]();
    await this.data[Symbol.asyncDispose]();
  }
}

/**
 * Hour 0: a text each. 1: api is linked. 2: each gets another text. 3: gone is linked, late gets
 * its first text. 4: another text each. 5: gone is unlinked, late is linked. 6: now.
 */
async function bench(): Promise<Bench> {
  const data = await temporaryData();
  const made = new Bench(data, await data.open());
  for (const name of ['own', 'api', 'gone']) await made.add(name, `word 0 of ${name}\n`);
  made.toHour(1);
  await made.link('api');
  made.toHour(2);
  for (const name of ['own', 'api', 'gone']) await made.add(name, `word 2 of ${name}\n`);
  await made.sessions.nameMoment((await made.store('own')).id, 'second');
  made.toHour(3);
  await made.link('gone');
  await made.add('late', 'word 3 of late\n');
  made.toHour(4);
  for (const name of ['own', 'api', 'gone', 'late']) await made.add(name, `word 4 of ${name}\n`);
  made.toHour(5);
  await made.unlink('gone');
  await made.link('late');
  made.toHour(6);
  return made;
}

const late = 'The store late (/p/late) was not linked at that moment yet: it is not read.';
const gone =
  'The store gone (/p/gone) was linked at that moment and is not any more: it is not read.';

test('linked stores are read as they were at the moment, however it is named', async () => {
  await using all = await bench();
  const shares = async (at: string | undefined): Promise<unknown> => {
    const { total, stores } = await all.found(at);
    return [total, ...(stores ?? []).map((one) => one.total)];
  };
  expect(await shares(undefined)).toEqual([8, 3, 3, 2]);
  expect(await shares('now')).toEqual([8, 3, 3, 2]);
  for (const moment of ['e2', 'second', all.at(2), all.at(3.5), '3h'])
    expect(await shares(moment), `for ${moment}`).toEqual([4, 2, 2]);
  expect(await shares(all.at(1))).toEqual([2, 1, 1]);
  const one = await all.ask('rlm_find', { text: 'word', scope: 'api' }, { at: 'e2' });
  expect(one.matches.map(({ entry }) => entry)).toEqual(['api:e2', 'api:e1']);
});

test('a link that was not there yet, or is not any more, is not followed and is named', async () => {
  await using all = await bench();
  const then = await all.found('e2');
  expect(then.note).toBe(late);
  expect((await all.found(all.at(4))).note).toBe(`${gone} ${late}`);
  const before = await all.found('e1');
  expect(before.total).toBe(1);
  expect(before.note).toContain('The store api (/p/api) was not linked at that moment yet');
  const asked = async (scope: string, at: string): Promise<string | undefined> => {
    const { error } = await all.ask('rlm_find', { text: 'word', scope }, { at });
    return error;
  };
  expect(await asked('late', 'e2')).toBe(late);
  expect(await asked('gone', all.at(4))).toBe(gone);
  expect(await asked('api', 'e1')).toContain('was not linked at that moment yet');
  expect(await asked('ape', 'e2')).toContain('there is api');
  // Without links today there may have been some then.
  await all.unlink('api');
  await all.unlink('late');
  expect((await all.found(all.at(4))).note).toContain('The store api (/p/api) was linked at that');
});

test('entries and sizes of linked stores are those of the moment', async () => {
  await using all = await bench();
  const read = async (entry: string, at: string): Promise<Answer> =>
    all.ask('rlm_get_context', { entry }, { at });
  expect((await read('api:e2', 'e2')).text).toContain('word 2 of api');
  expect((await read('api:e3', 'e2')).error).toContain('no entry "api:e3"');
  const sizes = (await all.ask('rlm_stats', {}, { at: 'second' })).linked_sessions;
  expect(sizes?.map(({ name, entries, fault }) => [name, entries ?? fault])).toEqual([
    ['api', 2],
    ['late', late],
  ]);
});

test('all stores of the machine are asked at one moment', async () => {
  await using all = await bench();
  const shares = async (at: string, more: object = {}): Promise<unknown> => {
    const { total, stores } = await all.found(at, { all: true, ...more });
    return [total, ...(stores ?? []).map((one) => one.total)];
  };
  // own, api, gone, late
  expect(await shares('second')).toEqual([6, 2, 2, 2, 0]);
  expect(await shares(all.at(3))).toEqual([7, 2, 2, 2, 1]);
  // Other stores had something when this one had nothing yet.
  all.data.clock.advance(3_600_000);
  await all.add('new', 'word\n');
  const fresh = { directory: '/p/new' };
  expect(await shares(all.at(0.5), fresh)).toEqual([3, 0, 1, 1, 1, 0]);
  // Where a directory has no store, a moment is of none in particular.
  expect(await shares(all.at(0.5), { directory: '/p/none' })).toEqual([3, 1, 1, 1, 0, 0]);
  await expect(shares('e1', { directory: '/p/none' })).rejects.toThrow('a moment is a time');
});

test('a program reads linked stores as they were, and never takes a part for all', async () => {
  await using all = await bench();
  await using sandboxes = openTestSandboxes();
  const session = await all.store('own');
  const run = async (code: string): Promise<string> =>
    execTool.run(
      { code },
      {
        session,
        linked: linkedStoresOf(all.sessions, session),
        search: all.search,
        signal: new AbortController().signal,
        clock: all.data.clock,
        searchDeadlineMs: 10_000,
        maxResultChars: 20_000,
        programs: programsIn(sandboxes),
      },
    );
  expect(
    await run(`[
      context.find('word', { scope: 'linked' }).total,
      context.at('e2').find('word', { scope: 'linked' }).total,
      context.at('second').records(/word (\\d) of (\\w+)/, { scope: 'linked' }).length,
      context.at('e2').of('api').entries().length,
      context.of('api').entries().length,
      context.at('e2').linked().map(({ name }) => name).join(),
      context.at('e2').text('api:e2').trim(),
    ]`),
  ).toBe('=> [8, 4, 4, 2, 3, "api", "word 2 of api"]');
  // What was part of that moment and may not be read any more is an error.
  expect(await run(`context.at('${all.at(4)}').group(/word/, [], { scope: 'linked' })`)).toContain(
    gone,
  );
  expect(await run(`context.at('e2').of('late')`)).toContain(late);
  expect(await run('help()')).toContain('context.at("2h").of("api")');
});

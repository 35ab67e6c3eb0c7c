import { setImmediate as nextRound } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { idleServer, sessionView } from '../../test/support/page-views.ts';
import { watchedTurns } from '../../test/support/watched-turns.ts';
import { LiveEvents } from './live-events.ts';
import type { PageEvent, SessionView } from './page-protocol.ts';

function open() {
  const { clock, turns, begin } = watchedTurns();
  const facts = {
    server: idleServer,
    sessions: [sessionView('s1')],
    listed: 0,
    isKept: false,
    isAway: false,
  };
  let made: readonly SessionView[] = [];
  const events = new LiveEvents({
    turns,
    clock,
    server: () => facts.server,
    sessions: async () => {
      facts.listed += 1;
      if (facts.isAway) throw new Error('the disk is away');
      if (!facts.isKept) made = [...facts.sessions];
      return made;
    },
  });
  const page = () => {
    const controller = new AbortController();
    const source = events.open(controller.signal);
    /** What is ready: events in short, each with what it is about. */
    const read = async (): Promise<readonly string[]> => {
      const { value } = await source.next();
      return Buffer.from(value)
        .toString()
        .split('\n\n')
        .filter((text) => text !== '')
        .map((text) => short(JSON.parse(text.slice('data: '.length)) as PageEvent));
    };
    return { controller, source, read };
  };
  const advance = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await nextRound();
  };
  return { clock, turns, facts, begin, page, advance };
}

function short(event: PageEvent): string {
  if (event.type === 'turn') return `turn ${event.turn.id} ${event.turn.state}`;
  if (event.type === 'server') return `server ${event.server.status}`;
  const sessions = event.sessions.map(({ id }) => id).join();
  if (event.type === 'sessions') return `sessions ${sessions}`;
  return `hello ${event.turns.map(({ id }) => id).join()} | ${sessions}`;
}

test('a page is greeted with all there is, and then told what changes', async () => {
  const { facts, begin, page, advance, clock } = open();
  const first = begin('t1');
  const one = page();
  expect(await one.read()).toEqual(['hello t1 | s1']);
  first.ends();
  await advance(250);
  expect(await one.read()).toEqual(['turn t1 done']);
  facts.server = { ...idleServer, status: 'degraded' };
  facts.sessions = [sessionView('s1'), sessionView('s2')];
  await advance(2_000);
  expect(await one.read()).toEqual(['server degraded', 'sessions s1,s2']);
  // Another page is told what has come since it was there, and so is the first, by it.
  facts.sessions = [sessionView('s3')];
  const other = page();
  expect(await other.read()).toEqual(['hello t1 | s3']);
  expect(await one.read()).toEqual(['sessions s3']);
  const words = [one.read(), other.read()];
  begin('t2');
  await advance(250);
  expect(await Promise.all(words)).toEqual([['turn t2 running'], ['turn t2 running']]);
  await one.source.return(undefined as never);
  expect(clock.waiting).toBeGreaterThan(0);
  const refused = other.read();
  other.controller.abort(new Error('over'));
  await expect(refused).rejects.toThrow('over');
  expect(clock.waiting).toBe(0);
});

test('stores are listed when a turn was told, and seldom else; never where nobody looks', async () => {
  const { facts, begin, page, advance } = open();
  begin('t0').ends();
  await advance(100_000);
  expect(facts.listed).toBe(0);
  const one = page();
  await one.read();
  await advance(2_000);
  await one.read();
  const before = facts.listed;
  for (let ms = 0; ms < 26_000; ms += 2_000) await advance(2_000);
  expect(facts.listed).toBe(before);
  await advance(2_000);
  await advance(2_000);
  expect(facts.listed).toBe(before + 1);
  begin('t1').ends();
  await advance(2_000);
  expect(facts.listed).toBe(before + 2);
  await one.source.return(undefined as never);
  await advance(100_000);
  expect(facts.listed).toBe(before + 2);
});

test('a list from before a turn is asked for again until it is made anew', async () => {
  const { facts, begin, page, advance } = open();
  const one = page();
  await one.read();
  facts.isKept = true;
  begin('t1').ends();
  await advance(250);
  expect(await one.read()).toEqual(['turn t1 done']);
  facts.sessions.push(sessionView('s2'));
  await advance(2_000);
  expect(await one.read()).toEqual(['server ok']);
  await advance(2_000);
  facts.isKept = false;
  await advance(2_000);
  expect(await one.read()).toEqual(['sessions s1,s2']);
  const { listed } = facts;
  await advance(2_000);
  expect(facts.listed).toBe(listed);
});

test('where stores cannot be listed, what was known of them stays, and it is tried again', async () => {
  const { facts, page, advance } = open();
  const one = page();
  await one.read();
  facts.isAway = true;
  const other = page();
  expect(await other.read()).toEqual(['hello  | s1']);
  await advance(2_000);
  facts.isAway = false;
  facts.sessions = [sessionView('s2')];
  await advance(2_000);
  expect(await other.read()).toEqual(['server ok', 'sessions s2']);
});

test('a page that does not read has the last word of each turn waiting, and then all anew', async () => {
  const { begin, page, advance } = open();
  const one = page();
  await one.read();
  const slow = begin('slow');
  for (let at = 0; at < 50; at += 1) {
    slow.stepBegins(at);
    await advance(250);
  }
  begin('t1').ends();
  await advance(250);
  const waited = await one.read();
  expect(waited.toSorted()).toEqual(['server ok', 'turn slow running', 'turn t1 done']);
  for (let at = 0; at < 150; at += 1) {
    const fat = begin(`x${at}`);
    fat.stepBegins(1);
    for (let call = 0; call < 100; call += 1)
      fat.callBegins({ name: 'rlm_find', words: 'x'.repeat(300) });
    fat.ends();
    if (at % 50 === 49) await advance(250);
  }
  const [hello, ...more] = await one.read();
  expect(hello).toMatch(/^hello slow,t1,x0,.*,x149 \| s1$/);
  expect(more).toEqual([]);
});

import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { setTimeout as wait } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { afterEach, expect, test, vi } from 'vitest';
import { startProxy, type TestProxy } from '../support/proxy.ts';
import { answer, startScriptedUpstream } from '../support/scripted-upstream.ts';

/** What a turn makes the process do, beside receiving and forwarding its bytes. */
interface Work {
  /** Orders to search workers. */
  orders: number;
  opened: number;
  readBytes: number;
  /** Folders. */
  listed: number;
  parsedChars: number;
}

afterEach(() => {
  vi.restoreAllMocks();
  syncBuiltinESMExports();
});

/** Counts from here on. Calls of the file system are seen because all modules share its members. */
function count(): Work {
  const work: Work = { orders: 0, opened: 0, readBytes: 0, listed: 0, parsedChars: 0 };
  const see = (target: object, name: string, before: (args: readonly unknown[]) => void): void => {
    const call = Reflect.get(target, name) as (...args: unknown[]) => unknown;
    vi.spyOn(target as Record<string, () => unknown>, name).mockImplementation(function seen(
      this: unknown,
      ...args: unknown[]
    ) {
      before(args);
      return Reflect.apply(call, this, args);
    });
  };
  see(Worker.prototype, 'postMessage', () => (work.orders += 1));
  for (const name of ['open', 'openSync']) see(fs, name, () => (work.opened += 1));
  for (const name of ['read', 'readSync']) {
    see(fs, name, ([, , , length]) => (work.readBytes += Number(length)));
  }
  for (const name of ['readdir', 'opendir']) see(fs.promises, name, () => (work.listed += 1));
  see(JSON, 'parse', ([text]) => (work.parsedChars += String(text).length));
  syncBuiltinESMExports();
  return work;
}

interface Sizes {
  /** Entries of the store, and how long each is. */
  readonly entries: number;
  readonly lines: number;
  /** Other sessions in the data directory. */
  readonly sessions: number;
  /** Questions and answers that the chat has behind it. */
  readonly turns: number;
}

const small: Sizes = { entries: 20, lines: 2_000, sessions: 3, turns: 5 };

/**
 * What the third of three turns of a chat costs that calls no tool: what it needs for the first
 * time is there by then.
 */
async function turnOf({ entries, lines, sessions, turns }: Sizes): Promise<Work> {
  await using upstream = await startScriptedUpstream();
  upstream.otherwise(answer('an answer'));
  await using proxy = await startProxy({ upstream, env: { RLM_INJECT: 'always' } });
  const session = (await proxy.app.sessions.forDirectory('/project', { create: true }))!;
  await session.store.append(
    Array.from({ length: entries }, (_, i) => ({
      kind: 'file' as const,
      path: `/project/${i}.ts`,
      text: `file ${i}\n${'a line of a file in the store, like all the others\n'.repeat(lines)}`,
    })),
  );
  for (let i = 0; i < sessions; i += 1) {
    await proxy.app.sessions.forDirectory(`/other/${i}`, { create: true });
  }
  const history = Array.from({ length: turns }, (_, i) => [
    { role: 'user', content: `Question ${i}: ${'what is it about? '.repeat(20)}` },
    { role: 'assistant', content: 'an answer' },
  ]).flat();
  const ask = async (): Promise<void> => {
    history.push({ role: 'user', content: `and number ${history.length}?` });
    const response = await post(proxy, history);
    expect(response.status).toBe(200);
    await response.text();
    history.push({ role: 'assistant', content: 'an answer' });
  };
  await ask();
  const index = async (): Promise<void> =>
    proxy.app.search.index(await session.store.snapshot(), AbortSignal.timeout(60_000));
  await index();
  // The index folder must have been left alone for a moment when it is looked at, to count as
  // known.
  await wait(150);
  await index();
  await ask();
  await wait(50);
  const work = count();
  await ask();
  await wait(50);
  // The upstream of this test parses what it is sent, in the same process.
  const upstreamChars = upstream.requests.at(-1)!.rawBody.length;
  const counted = { ...work, parsedChars: work.parsedChars - upstreamChars };
  vi.restoreAllMocks();
  syncBuiltinESMExports();
  expect(upstream.requests.at(-1)?.body.tools?.length).toBeGreaterThan(3);
  return counted;
}

async function post(proxy: TestProxy, messages: readonly object[]): Promise<Response> {
  const headers = { 'x-rlm-directory': '/project', 'x-session-affinity': 'chat-1' };
  return proxy.post({ model: 'rlm-internal.rlm-core-v1', messages }, headers);
}

let base: Work | undefined;

test.each([
  ['the store has ten times the text', { lines: 20_000 }],
  ['the store has a hundred times the entries', { entries: 2_000, lines: 20 }],
  ['the data directory has fifty times the sessions', { sessions: 150 }],
  ['the chat is twenty times as long', { turns: 100 }],
])('a turn that searches nothing does the same work where %s', async (_, larger) => {
  base ??= await turnOf(small);
  const work = await turnOf({ ...small, ...larger });
  expect(base).toMatchObject({ orders: 0, opened: 0, listed: 0 });
  expect(work).toMatchObject({ orders: 0, opened: 0, listed: 0 });
  expect(work.readBytes).toBeLessThanOrEqual(base.readBytes + 1_000);
  expect(work.parsedChars).toBeLessThan(base.parsedChars + 1_000);
});

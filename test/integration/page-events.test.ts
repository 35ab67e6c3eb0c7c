import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { longText, outputRequest, user } from '../support/conversation.ts';
import { openEvents, type PageEars, turnsIn } from '../support/page-events.ts';
import { enterPage } from '../support/page-visitor.ts';
import { startPair, type TestProxy } from '../support/proxy.ts';
import {
  answer,
  callTools,
  done,
  finish,
  Gate,
  reply,
  role,
  text,
  usage,
} from '../support/scripted-upstream.ts';

const model = 'rlm-internal.rlm-core-v1';

async function open(proxy: TestProxy): Promise<PageEars> {
  return openEvents(proxy.origin, await enterPage(proxy));
}

test('a turn is followed from its first byte to its end, and so are sums and stores', async () => {
  await using pair = await startPair();
  const { proxy, upstream } = pair;
  const page = await open(proxy);
  expect(await page.next()).toMatchObject({
    type: 'hello',
    server: { version: 'test', status: 'ok', totals: { turns: 0 } },
    sessions: [],
    turns: [],
  });
  const gate = new Gate();
  upstream.script(
    callTools({ name: 'rlm_search', args: { pattern: 'fox' } }),
    reply(role(), text('Look'), gate, text('ed.'), finish(), usage(), done()),
  );
  const request = outputRequest(longText(30_000));
  const asked = proxy.post({ model, stream: true, ...request }, { 'x-rlm-inject': 'always' });
  const running = await page.turn(
    ({ steps }) => steps.length === 2 && steps[1]?.firstChunkMs !== undefined,
  );
  expect(running).toMatchObject({
    state: 'running',
    directory: '/work/project',
    tools: 'active',
    storedTexts: 1,
    steps: [{ calls: [{ name: 'rlm_search', reports: [expect.any(String)] }] }, { calls: [] }],
  });
  // Whoever opens a page now sees the same.
  const other = await open(proxy);
  expect(await other.next()).toMatchObject({ turns: [{ id: running.id, state: 'running' }] });
  gate.open();
  await (await asked).text();
  for (const each of [page, other]) {
    const ended = await each.turn(({ state }) => state !== 'running');
    expect(ended).toMatchObject({ id: running.id, state: 'done', promptTokens: 2_000 });
  }
  // Sums and stores are told when they are looked at, which may have been before.
  const isTold = (): boolean =>
    page.told.some((event) => event.type === 'server' && event.server.totals.toolCalls === 1) &&
    page.told.some(
      (event) =>
        event.type === 'sessions' &&
        event.sessions.some(
          ({ directory, id, entries }) =>
            directory === '/work/project' && id === running.session && entries === 1,
        ),
    );
  if (!isTold()) await page.when(isTold);
  page.leave();
  other.leave();
});

test('sixty-four pages are told of everything, one more is refused until another leaves', async () => {
  await using pair = await startPair();
  const { proxy, upstream } = pair;
  const visitor = await enterPage(proxy);
  const pages = await Promise.all(
    Array.from({ length: 64 }, async () => openEvents(proxy.origin, visitor)),
  );
  for (const page of pages) expect(await page.next()).toMatchObject({ type: 'hello' });
  await expect(openEvents(proxy.origin, visitor)).rejects.toThrow(/^429: .*too_busy/s);
  upstream.otherwise(answer('Yes.'));
  await (await proxy.post({ model, messages: [user('Now?')] })).text();
  for (const page of pages) await page.turn(({ state }) => state === 'done');
  for (const page of pages) page.leave();
  // What a page had is free as soon as the server hears that it has left.
  let next: PageEars | undefined;
  while (next === undefined) {
    await sleep(10);
    next = await openEvents(proxy.origin, visitor).catch(() => undefined);
  }
  expect(await next.next()).toMatchObject({ turns: [{ state: 'done' }] });
  next.leave();
});

test('a page that has not read for long learns how everything has ended', async () => {
  await using pair = await startPair({ RLM_MAX_CALLS_PER_STEP: '1', RLM_INJECT: 'always' });
  const { proxy, upstream } = pair;
  const page = await open(proxy);
  await page.next();
  // Turns of which there is much to tell.
  const calls = Array.from({ length: 90 }, (_, at) => ({
    name: 'rlm_find',
    args: { text: `${at} ${'x'.repeat(300)}` },
    id: `c${at}`,
  }));
  upstream.otherwise((request) =>
    request.body.messages.at(-1)?.role === 'tool' ? answer('Yes.') : callTools(...calls),
  );
  const request = { model, messages: [user('Now?')] };
  const ask = async (count: number): Promise<void> => {
    for (let at = 0; at < count; at += 1) await (await proxy.post(request)).text();
  };
  await Promise.all(Array.from({ length: 8 }, async () => ask(15)));
  const missing = new Set(proxy.app.turns.turns().map(({ id }) => id));
  expect(missing.size).toBe(120);
  await page.when((event) => {
    for (const { id, state } of turnsIn(event)) if (state === 'done') missing.delete(id);
    return missing.size === 0;
  });
  page.leave();
});

test('a server that stops ends all pages, whatever they do', async () => {
  await using pair = await startPair();
  const { proxy } = pair;
  const visitor = await enterPage(proxy);
  const pages = await Promise.all(
    Array.from({ length: 5 }, async () => openEvents(proxy.origin, visitor)),
  );
  await pages[0]!.next();
  await proxy.app.server.close();
  for (const page of pages)
    await expect(page.when(() => false)).rejects.toThrow('told nothing like it');
});

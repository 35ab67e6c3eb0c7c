import { expect, it } from 'vitest';
import type { Message } from '../../../src/wire/types.ts';
import {
  calling,
  clientTools,
  longText,
  resultOf,
  systemFor,
  user,
} from '../../support/conversation.ts';
import { startProxy, type TestProxy } from '../../support/proxy.ts';
import {
  answer,
  callTools,
  startScriptedUpstream,
  type ScriptedUpstream,
} from '../../support/scripted-upstream.ts';
import { bytesOf, expectPrefix, expectWellFormed } from '../../property/weave-checks.ts';

/** What the tool of a turn gives back: large, middling and small ones. */
function outputOf(turn: number): string {
  return longText([40_000, 3_000, 200][(turn - 1) % 3] as number, `π-${turn}-🙂`);
}

/** A search that is cut short by a busy machine would say so. */
const env = { RLM_SEARCH_DEADLINE_MS: '20000' };

/** Plays a chat with large outputs and hidden steps; `between` comes before each turn. */
async function playChat(
  upstream: ScriptedUpstream,
  first: TestProxy,
  {
    turns,
    between,
  }: {
    readonly turns: number;
    readonly between: (turn: number, proxy: TestProxy) => Promise<TestProxy>;
  },
): Promise<TestProxy> {
  let proxy = first;
  const messages: Message[] = [systemFor('/work/prefix')];
  for (let turn = 1; turn <= turns; turn += 1) {
    proxy = await between(turn, proxy);
    const hidden = callTools({
      name: 'rlm_find',
      args: `{ "text":"π-1-🙂 ${turn}:" }`,
      id: `own-${turn}`,
    });
    upstream.script(
      callTools({ name: 'bash', args: { command: `show ${turn}` }, id: `call-${turn}` }),
      hidden,
      answer(`Turn ${turn} is done, and it took a while to find that out.`),
    );
    messages.push(user(`Question ${turn}?`));
    await proxy.ask({ messages, tools: clientTools });
    messages.push(
      calling(`call-${turn}`, 'bash', { command: `show ${turn}` }),
      resultOf(`call-${turn}`, outputOf(turn)),
    );
    const { message } = await proxy.ask({ messages, tools: clientTools });
    messages.push(message);
  }
  return proxy;
}

it('30 turns with large outputs: each request upstream begins with the bytes of the one before', async () => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream, env });
  await playChat(upstream, proxy, { turns: 30, between: async (_, same) => same });
  const lists = upstream.requests.map(({ body }) => body.messages);
  expect(lists).toHaveLength(30 * 3);
  let breaks = 0;
  for (const [index, list] of lists.entries()) {
    expectWellFormed(list);
    const before = lists[index - 1];
    if (before === undefined) continue;
    if (JSON.stringify(list[0]) === JSON.stringify(before[0])) expectPrefix(list, bytesOf(before));
    else breaks += 1;
  }
  // The activation, by the first output that is stripped.
  expect(breaks).toBe(1);
  const newest = upstream.requests.at(-1)?.rawBody.length ?? 0;
  expect(newest).toBeLessThan(120_000);
});

it('a restart in the middle changes no byte upstream, stores nothing twice and loses nothing', async () => {
  const bodies: string[][] = [];
  for (const restarts of [[], [2, 5, 9]]) {
    await using upstream = await startScriptedUpstream();
    const first = await startProxy({ upstream, env });
    await using proxy = await playChat(upstream, first, {
      turns: 12,
      between: async (turn, before) => (restarts.includes(turn) ? before.restart() : before),
    });
    bodies.push(upstream.requests.map(({ body }) => JSON.stringify(body.messages)));
    const session = await proxy.app.sessions.forDirectory('/work/prefix', { create: false });
    const store = session?.store;
    const texts = await Promise.all(
      (store?.entries ?? []).map(async (entry) => store?.readEntry(entry)),
    );
    const wanted = Array.from({ length: 12 }, (_, index) => outputOf(index + 1)).filter(
      (text) => text.length >= 500,
    );
    expect(texts).toHaveLength(wanted.length);
    expect(new Set(texts)).toEqual(new Set(wanted));
  }
  expect(bodies[1]).toEqual(bodies[0]);
});

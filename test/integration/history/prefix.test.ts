import { ok } from 'node:assert/strict';
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
import { bytesOf, expectWellFormed } from '../../property/weave-checks.ts';

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

/** A client with a conversation that it may change, and what became of it upstream. */
class Client implements AsyncDisposable {
  readonly #upstream: ScriptedUpstream;
  #proxy: TestProxy;
  #chat = 'first';
  #history: readonly Message[] = [systemFor('/work/prefix')];
  #turn = 0;
  /** Histories that were sent, and the last list that the upstream got for each. */
  readonly #sent: { readonly history: string; readonly list: readonly Message[] }[] = [];
  /** Turns of requests that did not begin with the list that was sent for such a beginning. */
  readonly breaks: number[] = [];
  /** The same behind the system message, where our instructions stand. */
  readonly lost: number[] = [];
  /** Of the newest request, bytes. */
  newestBytes = 0;

  private constructor(upstream: ScriptedUpstream, proxy: TestProxy) {
    this.#upstream = upstream;
    this.#proxy = proxy;
  }

  static async open(): Promise<Client> {
    const upstream = await startScriptedUpstream();
    return new Client(upstream, await startProxy({ upstream, env }));
  }

  /** A question, a call of the client's with its output, a hidden step and an answer. */
  async turn(turn: number): Promise<void> {
    this.#turn = turn;
    this.#history = [...this.#history, user(`Question ${turn}?`)];
    const id = `call-${turn}`;
    this.#upstream.script(callTools({ name: 'bash', args: { command: `show ${turn}` }, id }));
    const calls = await this.#send();
    this.#history = [...this.#history, calls, resultOf(id, outputOf(turn))];
    this.#upstream.script(
      callTools({ name: 'rlm_find', args: `{ "text":"π-1-🙂 ${turn}:" }`, id: `own-${turn}` }),
      answer(`Turn ${turn} is done, and it took a while to find that out.`),
    );
    this.#history = [...this.#history, await this.#send()];
  }

  async restart(): Promise<void> {
    this.#proxy = await this.#proxy.restart();
  }

  /** Takes back this many turns. */
  undo(count: number): void {
    const questions = this.#history.flatMap(({ role }, at) => (role === 'user' ? [at] : []));
    this.#history = this.#history.slice(0, questions.at(-count));
  }

  /** Goes on in another conversation, which begins as this one did. */
  fork(name: string): void {
    this.#chat = name;
  }

  /** Changes a letter of the question of a turn. */
  edit(turn: number): void {
    this.#history = this.#history.map((message) =>
      message.content === `Question ${turn}?` ? user(`question ${turn}?`) : message,
    );
  }

  /** Has the client's own helper sum up, and goes on from what it said. */
  async compact(): Promise<void> {
    const [, ...history] = this.#history;
    const asking = [...history, user('Sum up what we did so far.')];
    this.#upstream.script(answer('We showed things.'));
    const { message } = await this.#proxy.ask({ messages: asking }, { 'x-session-id': this.#chat });
    const [request] = this.#upstream.requests.splice(0);
    ok(
      bytesOf(request!.body.messages) === bytesOf(asking),
      'a helper’s request goes up as it came',
    );
    this.#history = [systemFor('/work/prefix'), user('What did we do so far?'), message];
  }

  /** Sends the history and looks at every list that goes upstream. */
  async #send(): Promise<Message> {
    const headers = { 'x-session-id': this.#chat };
    const request = { messages: this.#history, tools: clientTools };
    const { message } = await this.#proxy.ask(request, headers);
    const requests = this.#upstream.requests.splice(0);
    const lists = requests.map(({ body }) => body.messages);
    const history = bytesOf(this.#history);
    let before = this.#sent.findLast((sent) => history.startsWith(sent.history))?.list ?? [];
    for (const list of lists) {
      expectWellFormed(list);
      if (!begins(list, before)) this.breaks.push(this.#turn);
      if (!begins(list.slice(1), before.slice(1))) this.lost.push(this.#turn);
      before = list;
    }
    this.#sent.push({ history, list: before });
    this.newestBytes = requests.at(-1)?.rawBody.length ?? 0;
    return message;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy[Symbol.asyncDispose]();
    await this.#upstream[Symbol.asyncDispose]();
  }
}

/** Whether a list begins with the bytes of another. */
function begins(list: readonly Message[], before: readonly Message[]): boolean {
  return before.length === 0 || bytesOf(list).startsWith(bytesOf(before));
}

it('each request of 40 turns begins with the bytes of the one before, also after a restart, undo, fork, edit and compaction', async () => {
  await using client = await Client.open();
  const happenings: Readonly<Record<number, () => void | Promise<void>>> = {
    8: () => client.undo(2),
    12: async () => client.restart(),
    16: () => {
      client.fork('second');
      client.undo(3);
    },
    22: () => client.edit(14),
    27: async () => {
      await client.restart();
      client.undo(1);
    },
    32: async () => client.compact(),
    36: async () => client.restart(),
  };
  for (let turn = 1; turn <= 40; turn += 1) {
    await happenings[turn]?.();
    await client.turn(turn);
  }
  // The activation, by the first output that is stripped. A fork goes on with what its chat was
  // offered; what has been summed up begins anew and breaks nothing.
  expect(client.breaks).toEqual([1]);
  expect(client.lost).toEqual([]);
  expect(client.newestBytes).toBeLessThan(120_000);
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

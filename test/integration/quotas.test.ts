import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { calling, clientTools, longText, resultOf, user } from '../support/conversation.ts';
import { startProxy, type TestProxy } from '../support/proxy.ts';
import { answer, startScriptedUpstream } from '../support/scripted-upstream.ts';
import type { Message } from '../../src/wire/types.ts';

const hourMs = 3_600_000;
const env = { RLM_STORE_QUOTA_BYTES: '1048576' };

/** A chat that goes on: each turn brings one more output. */
class GrowingChat {
  readonly #messages: Message[] = [user('Go on.')];
  readonly #proxy: TestProxy;
  #turns = 0;

  readonly #chars: number;

  constructor(proxy: TestProxy, chars: number) {
    this.#proxy = proxy;
    this.#chars = chars;
  }

  async turn(): Promise<void> {
    this.#turns += 1;
    const id = `call_${this.#turns}`;
    this.#messages.push(
      calling(id, 'bash', { command: `print ${this.#turns}` }),
      resultOf(id, `TEXT ${this.#turns}\n${longText(this.#chars, `of ${this.#turns}`)}`),
    );
    const asked = { messages: this.#messages, tools: clientTools };
    const { message } = await this.#proxy.ask(asked, { 'x-session-id': 'growing' });
    if (message.content !== 'hello') throw new Error('the chat did not go on');
    this.#messages.push(message, user('Go on.'));
  }

  /** The outputs as they went upstream last. */
  static outputsIn(messages: readonly Message[]): readonly string[] {
    return messages.filter(({ role }) => role === 'tool').map(({ content }) => String(content));
  }
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await systemClock.sleep(20);
}

test('a chat goes on while its oldest texts go, and the stubs of these say so', async () => {
  let laterMs = 0;
  const lines: string[] = [];
  await using upstream = await startScriptedUpstream();
  upstream.otherwise(answer('hello'));
  await using proxy = await startProxy({
    upstream,
    env,
    clock: { ...systemClock, now: () => systemClock.now() + laterMs },
    onLog: (line) => lines.push(line),
  });
  const chat = new GrowingChat(proxy, 100_000);
  const tidied = async (): Promise<number> => {
    const { lastTidying } = (await proxy.health()) as { lastTidying?: { readonly texts: number } };
    return lastTidying?.texts ?? 0;
  };
  for (let turn = 0; turn < 10; turn += 1) {
    await chat.turn();
    laterMs += 2 * hourMs;
  }
  await until(async () => (await tidied()) > 0);
  await chat.turn();
  const outputs = GrowingChat.outputsIn(upstream.requests.at(-1)!.body.messages);
  expect(outputs[0]).toMatch(/^\[rlm\] The text of e1 was forgotten on .*: to keep the store in/);
  for (const [at, output] of outputs.slice(1).entries()) {
    expect(output).toContain(`entry e${at + 2}: `);
    expect(output).toContain(`TEXT ${at + 2}\n`);
  }
  expect(lines.filter((line) => line.includes('old texts went to make room'))).not.toEqual([]);
  expect((await proxy.health()).status).toBe('ok');
});

test('where nothing may go the chat goes on as on a full disk, and it is said once', async () => {
  const lines: string[] = [];
  await using upstream = await startScriptedUpstream();
  upstream.otherwise(answer('hello'));
  await using proxy = await startProxy({ upstream, env, onLog: (line) => lines.push(line) });
  const chat = new GrowingChat(proxy, 300_000);
  for (let turn = 0; turn < 5; turn += 1) await chat.turn();
  expect(await proxy.health()).toMatchObject({ status: 'degraded', lastStoreFault: 'store_full' });
  const isUsedUp = (line: string): boolean => line.includes('a quota is used up');
  await until(async () => lines.some(isUsedUp));
  await chat.turn();
  expect(lines.filter(isUsedUp)).toHaveLength(1);
  const outputs = GrowingChat.outputsIn(upstream.requests.at(-1)!.body.messages);
  for (const [at, output] of outputs.entries()) expect(output).toContain(`TEXT ${at + 1}\n`);
});

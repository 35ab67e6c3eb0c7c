import { describe, expect, it } from 'vitest';
import type { ChatRequest, Message } from '../../src/wire/types.ts';
import { clientTools, longText, user } from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import { answer, startScriptedUpstream } from '../support/scripted-upstream.ts';

/** A long text leaves the prompt when there is little room, and not before. */

const inProject = { 'x-rlm-directory': '/work/room', 'x-session-id': 'room' };

/** Tokens; a quarter of it is comfortable, some 120,000 characters. */
const window = { RLM_UPSTREAM_CONTEXT_WINDOW: '128000', RLM_STRIP_MIN_CHARS: '' };

function paste(name: string, chars: number): Message {
  return user(`${name}: ${longText(chars)}`);
}

function isStub({ content }: Pick<Message, 'content'>): boolean {
  return /entry e\d+/.test(JSON.stringify(content));
}

function names(request: ChatRequest | undefined): readonly string[] {
  return (request?.tools ?? []).map((tool) => tool.function?.name ?? '');
}

describe('in a window with room', () => {
  it('a long text stands whole, and the chat is none of our business', async () => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream, env: window });
    upstream.otherwise(answer('Read.'));
    const messages = [paste('one', 27_000)];
    const { message } = await proxy.ask({ messages, tools: clientTools }, inProject);
    await proxy.ask(
      { messages: [...messages, message, user('And?')], tools: clientTools },
      inProject,
    );
    for (const { body } of upstream.requests) {
      expect(body.messages[0]).toEqual(messages[0]);
      expect(names(body).filter((name) => name.startsWith('rlm_'))).toEqual([]);
    }
  });

  it('a threshold that somebody has set holds', async () => {
    await using upstream = await startScriptedUpstream();
    const env = { ...window, RLM_STRIP_MIN_CHARS: '10000' };
    await using proxy = await startProxy({ upstream, env });
    upstream.otherwise(answer('Read.'));
    await proxy.ask({ messages: [paste('one', 27_000)], tools: clientTools }, inProject);
    expect(isStub(upstream.requests[0]!.body.messages.at(-1)!)).toBe(true);
  });

  it('what would pass the comfortable share is a stub; what was decided stays so', async () => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream, env: window });
    upstream.otherwise(answer('Read.'));
    const history: Message[] = [];
    const turn = async (to: typeof proxy, said: Message): Promise<readonly boolean[]> => {
      history.push(said);
      const { message } = await to.ask({ messages: history, tools: clientTools }, inProject);
      history.push(message);
      const sent = upstream.requests.at(-1)?.body.messages ?? [];
      return sent.filter(({ role }) => role === 'user').map(isStub);
    };
    expect(await turn(proxy, paste('one', 60_000))).toEqual([false]);
    expect(await turn(proxy, paste('two', 90_000))).toEqual([false, true]);
    expect(await turn(proxy, paste('three', 15_000))).toEqual([false, true, false]);
    const before = upstream.requests.at(-1)?.body.messages ?? [];
    await using after = await proxy.restart();
    expect(await turn(after, paste('four', 200_000))).toEqual([false, true, false, true]);
    const sent = upstream.requests.at(-1)?.body.messages ?? [];
    expect(sent.slice(0, before.length)).toEqual(before);
    // In another project nothing is decided yet.
    const other = { 'x-rlm-directory': '/work/room-2', 'x-session-id': 'other' };
    await after.ask({ messages: [paste('two', 90_000)], tools: clientTools }, other);
    expect(isStub(upstream.requests.at(-1)!.body.messages.at(-1)!)).toBe(false);
  });

  it('goes up as it came in every turn, however its JSON is spelled', async () => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream, env: window });
    upstream.otherwise(answer('Read.'));
    const long = longText(20_000).replaceAll('e', String.raw`\u0065`);
    const spelled = `{"content": "${long}", "role": "user" }`;
    const rest = ', {"role":"assistant","content":"Read."}, {"role":"user","content":"And?"}';
    for (const more of ['', rest])
      await (await proxy.post(`{"model":"m","messages":[${spelled}${more}]}`, inProject)).text();
    for (const { rawBody } of upstream.requests) expect(rawBody.toString()).toContain(spelled);
  });
});

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Message } from '../../src/wire/types.ts';
import { calling, clientTools, longText, resultOf, user } from '../support/conversation.ts';
import { startProxy, type TestProxy } from '../support/proxy.ts';
import { answer, callTools, startScriptedUpstream } from '../support/scripted-upstream.ts';

/**
 * Conversations of clients that send neither a session header nor a directory that we know how to
 * read.
 */

const secret = `password of client A is hunter2\n${longText(24_000)}`;
const greeting = answer('Hello! How can I help you today?');

function prompt(directory: string, day = 'Monday'): Message {
  return {
    role: 'system',
    content: `You are an agent. Today is ${day}. You work in ${directory}.`,
  };
}

/** Whether anything of ours stands in what went upstream last. */
function sawOurs(upstream: Awaited<ReturnType<typeof startScriptedUpstream>>): boolean {
  return (upstream.requests.at(-1)?.body.tools ?? []).some((tool) =>
    tool.function?.name?.startsWith('rlm_'),
  );
}

async function storesOf({ dataDir }: TestProxy): Promise<readonly string[]> {
  const names = await readdir(join(dataDir, 'sessions'));
  return names.filter((name) => name.endsWith('_context.txt')).map((name) => name.slice(0, -12));
}

/** What a search in the conversation finds, as the model would ask for it. */
async function totalOf(
  proxy: TestProxy,
  upstream: Awaited<ReturnType<typeof startScriptedUpstream>>,
  messages: readonly Message[],
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  upstream.script(callTools({ id: 'own_1', name: 'rlm_find', args: { text: 'hunter2' } }));
  upstream.otherwise(answer('That is all that I found.'));
  await proxy.ask({ messages, tools: clientTools }, headers);
  const sent = upstream.requests.at(-1)?.body.messages ?? [];
  return String(sent.find((message) => message.tool_call_id === 'own_1')?.content);
}

describe('two conversations that begin alike', () => {
  it('in two projects share no store, whether the greeting came to both or was brought along', async () => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream });
    upstream.otherwise(greeting);
    const hello: Message = { role: 'assistant', content: 'Hello! How can I help you today?' };
    const a: Message[] = [prompt('/home/me/clientA'), user('hi')];
    await proxy.ask({ messages: a, tools: clientTools });
    a.push(hello, user('run it'), calling('bash:0', 'bash', { command: 'x' }));
    a.push(resultOf('bash:0', secret));
    await proxy.ask({ messages: a, tools: clientTools });
    expect(sawOurs(upstream)).toBe(true);
    expect((await storesOf(proxy)).length).toBe(1);
    const b: Message[] = [prompt('/home/me/clientB'), user('hi'), hello, user('what is stored?')];
    await proxy.ask({ messages: b, tools: clientTools });
    expect(sawOurs(upstream)).toBe(false);
    await proxy.ask({ messages: b.slice(0, 2), tools: clientTools });
    await proxy.ask({ messages: b, tools: clientTools });
    expect(sawOurs(upstream)).toBe(false);
    // With a large text of its own it has a store of its own.
    b.push({ role: 'assistant', content: 'Nothing.' }, user(longText(12_000)));
    expect(await totalOf(proxy, upstream, b)).not.toContain('password of client A');
    expect((await storesOf(proxy)).length).toBe(2);
  });

  it('with the same counted calls share no store, and no restart changes that', async () => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream });
    const run = calling('bash:0', 'bash', { command: 'ls' });
    const first: Message[] = [user('look around'), run, resultOf('bash:0', secret)];
    upstream.script(callTools({ id: 'bash:0', name: 'bash', args: { command: 'ls' } }));
    await proxy.ask({ messages: first.slice(0, 1), tools: clientTools });
    upstream.otherwise(answer('Seen.'));
    await proxy.ask({ messages: first, tools: clientTools });
    await using after = await proxy.restart();
    const other = [user('look around'), run, resultOf('bash:0', longText(12_000, 'mine'))];
    expect(await totalOf(after, upstream, other)).not.toContain('password of client A');
  });
});

describe('a conversation that was here before', () => {
  it('finds its store by an answer of ours: under another system prompt, after a restart, after undo', async () => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream });
    const reply = 'I have read the whole output, and this is my summary of it. '.repeat(5);
    upstream.otherwise(answer(reply));
    const asked = user(`Read this.\n${secret}`);
    const { message } = await proxy.ask({ messages: [prompt('/a'), asked], tools: clientTools });
    const [store] = await storesOf(proxy);
    const next: Message[] = [prompt('/a', 'Tuesday'), asked, message, user('And now?')];
    expect(await totalOf(proxy, upstream, next)).toContain('password of client A');
    await using after = await proxy.restart();
    expect(await totalOf(after, upstream, next)).toContain('password of client A');
    // With its text gone from the history, only what was stored can have it.
    const gone: Message[] = [prompt('/a'), user('Forget it.'), message, user('And now?')];
    await after.ask({ messages: gone, tools: clientTools });
    expect(sawOurs(upstream)).toBe(false);
    const byId = { 'x-rlm-session': String(store) };
    expect(await totalOf(after, upstream, [user('What was there?')], byId)).toContain(
      'password of client A',
    );
    expect(await storesOf(after)).toEqual([store]);
  });

  it('goes on under its chat, in a project that is named without a name for the chat, too', async () => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream });
    const inProject = { 'x-rlm-directory': '/work/named' };
    const one: Message[] = [user('Keep a number for me.')];
    upstream.script(answer('Hm.'));
    await proxy.ask({ messages: [user(secret)], tools: clientTools }, inProject);
    const exec = async (messages: Message[], code: string): Promise<string> => {
      const id = `exec_${upstream.requests.length}`;
      upstream.script(callTools({ id, name: 'rlm_exec', args: { code } }));
      upstream.otherwise(
        answer(`Done number ${upstream.requests.length} ${'of them '.repeat(30)}`),
      );
      const { message } = await proxy.ask({ messages, tools: clientTools }, inProject);
      messages.push({ role: 'assistant', content: message.content ?? '' }, user('Go on.'));
      const sent = upstream.requests.at(-1)?.body.messages ?? [];
      return String(sent.find((each) => each.tool_call_id === id)?.content);
    };
    await exec(one, 'var kept = 41');
    expect(await exec(one, 'kept + 1')).toContain('=> 42');
    expect(await exec([user('Keep a number for me.')], 'typeof kept')).toContain('undefined');
  });

  it('under the key by which stores were once found is listed, and no request comes to it', async () => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream });
    const old = await proxy.app.sessions.forKey('fingerprint:chat_0011223344556677', {
      create: true,
    });
    await old?.store.append([{ kind: 'tool_result', text: secret }]);
    upstream.otherwise(greeting);
    await proxy.ask({ messages: [user('hi')], tools: clientTools });
    expect(sawOurs(upstream)).toBe(false);
    expect((await proxy.app.sessions.list()).map(({ id }) => id)).toEqual([old?.id]);
    const byId = { 'x-rlm-session': String(old?.id) };
    expect(await totalOf(proxy, upstream, [user('hi')], byId)).toContain('password of client A');
  });
});

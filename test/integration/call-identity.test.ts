import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Message } from '../../src/wire/types.ts';
import { calling, clientTools, longText, resultOf, user } from '../support/conversation.ts';
import { startProxy, type TestProxy } from '../support/proxy.ts';
import {
  answer,
  startScriptedUpstream,
  type ScriptedUpstream,
} from '../support/scripted-upstream.ts';

/** Outputs that a client has pruned, where the provider numbers its calls anew in every turn. */

const mark = '[Old tool result content cleared]';
const chat = { 'x-session-id': 'numbered' };

function turn(args: Readonly<Record<string, unknown>>, output: string, id = 'bash:0'): Message[] {
  return [
    user(`Run ${Object.values(args).join(' ')}.`),
    calling(id, 'bash', args),
    resultOf(id, output),
    { role: 'assistant', content: 'Done.' },
  ];
}

const alpha = turn({ command: 'alpha' }, longText(24_000, 'AAAA output of alpha'));
const beta = turn({ command: 'beta' }, longText(24_000, 'BBBB output of beta'));

/** The same with the outputs pruned. */
function pruned(messages: readonly Message[]): Message[] {
  return messages.map((message) =>
    message.role === 'tool' ? { ...message, content: mark } : message,
  );
}

/** What went upstream in the place of each tool output. */
async function outputsSent(
  proxy: TestProxy,
  upstream: ScriptedUpstream,
  messages: readonly Message[],
): Promise<string[]> {
  await proxy.ask({ messages: [...messages, user('And now?')], tools: clientTools }, chat);
  const last = upstream.requests.at(-1)?.body.messages ?? [];
  return last.filter(({ role }) => role === 'tool').map(({ content }) => String(content));
}

describe('a pruned output', () => {
  it('is the one of its own call, and never that of another under the same id', async () => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream });
    upstream.otherwise(answer('Done.'));
    const sent = async (messages: readonly Message[]): Promise<string[]> =>
      outputsSent(proxy, upstream, messages);
    const [stubOfAlpha] = await sent(alpha);
    await sent([...alpha, ...beta]);
    const gamma = pruned(turn({ command: 'gamma' }, ''));
    const other = pruned([user('Run alpha.'), calling('bash:0', 'grep', { command: 'alpha' })]);
    other.push(resultOf('bash:0', mark));
    expect(await sent(pruned(alpha))).toEqual([stubOfAlpha]);
    expect(await sent(gamma)).toEqual([mark]);
    expect(await sent(other)).toEqual([mark]);
    // What was found for one of them changes nothing for both.
    const both = await sent(pruned([...alpha, ...beta]));
    expect(both[0]).toBe(stubOfAlpha);
    expect(both[1]).toContain('BBBB output of beta 1:');
    await using after = await proxy.restart();
    expect(await outputsSent(after, upstream, pruned(alpha))).toEqual([stubOfAlpha]);
  });

  it('is the same whatever the order of its arguments, and none where the same call had two', async () => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream });
    upstream.otherwise(answer('Done.'));
    const sent = async (messages: readonly Message[]): Promise<string[]> =>
      outputsSent(proxy, upstream, messages);
    const first = turn({ command: 'x', limit: 1 }, longText(24_000, 'first'));
    const [stub] = await sent(first);
    const turned = pruned(turn({ limit: 1, command: 'x' }, ''));
    turned[0] = first[0] as Message;
    expect(await sent(turned)).toEqual([stub]);
    await sent([...alpha, ...turn({ command: 'alpha' }, longText(24_000, 'again'))]);
    expect(await sent(pruned(alpha))).toEqual([mark]);
  });

  it('that came again is written down once, however often a restart makes it known again', async () => {
    await using upstream = await startScriptedUpstream();
    await using first = await startProxy({ upstream });
    upstream.otherwise(answer('Done.'));
    // The same text for two calls under one id, and two texts for two calls.
    const messages = [...alpha, ...beta, ...turn({ command: 'beta' }, String(alpha[2]?.content))];
    await outputsSent(first, upstream, messages);
    const [session] = await first.app.sessions.list();
    const journal = join(first.dataDir, 'sessions', `${session?.id}_entries.jsonl`);
    const before = await readFile(journal, 'utf8');
    await using second = await first.restart();
    await outputsSent(second, upstream, messages);
    expect(await readFile(journal, 'utf8')).toBe(before);
  });
});

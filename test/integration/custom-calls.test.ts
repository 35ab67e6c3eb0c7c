import { expect, it } from 'vitest';
import type { Message } from '../../src/wire/types.ts';
import { startProxy } from '../support/proxy.ts';
import {
  answer,
  done,
  finish,
  reply,
  role,
  startScriptedUpstream,
  toolDelta,
} from '../support/scripted-upstream.ts';

const tools = [{ type: 'custom', custom: { name: 'apply_patch', description: 'free text' } }];
const patch = '*** Begin Patch\n"quoted" {not json';

/** What a provider streams for a custom call, in pieces. */
const customAnswer = reply(
  role(),
  toolDelta({ index: 0, id: 'call_c', type: 'custom', custom: { name: 'apply_patch', input: '' } }),
  toolDelta({ index: 0, custom: { input: patch.slice(0, 9) } }),
  toolDelta({ index: 0, custom: { input: patch.slice(9) } }),
  finish('tool_calls'),
  done(),
);

const called = { id: 'call_c', type: 'custom', custom: { name: 'apply_patch', input: patch } };

it.each(['never', 'always'])(
  'hands a custom tool’s call to the client, whole and streamed (%s)',
  async (inject) => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream, env: { RLM_INJECT: inject } });
    const messages = [{ role: 'user' as const, content: 'patch it' }];
    upstream.script(customAnswer, customAnswer);

    const whole = await proxy.ask({ messages, tools });
    expect(whole.finishReason).toBe('tool_calls');
    expect(whole.message.tool_calls).toEqual([called]);

    const streamed = await proxy.post({ model: 'scripted', stream: true, messages, tools });
    const frames = (await streamed.text())
      .split('\n\n')
      .filter((line) => line.startsWith('data: {'))
      .map((line) => JSON.parse(line.slice(6)) as { choices: { delta: Message }[] });
    const pieces = frames.flatMap(({ choices }) => choices[0]?.delta.tool_calls ?? []);
    expect(pieces[0]).toMatchObject({ index: 0, id: 'call_c', type: 'custom' });
    expect(pieces.map((piece) => piece.custom?.input).join('')).toBe(patch);
    expect(pieces.every((piece) => piece.function === undefined)).toBe(true);
    for (const { body } of upstream.requests) expect(body.tools).toContainEqual(tools[0]);
  },
);

it.each([
  ['a custom call', called],
  ['a call of a kind that nobody knows', { id: 'call_c', type: 'computer', action: { x: 1 } }],
  ['a call without function and type', { id: 'call_c' }],
])('passes a history with %s on as it came', async (_name, call) => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream });
  upstream.otherwise(answer('done'));
  const history = (output: string): Message[] => [
    { role: 'user', content: 'patch it' },
    { role: 'assistant', content: null, tool_calls: [call] },
    { role: 'tool', tool_call_id: 'call_c', content: output },
    { role: 'user', content: 'and now?' },
  ];
  await proxy.ask({ messages: history('short'), tools });
  expect(upstream.requests[0]?.body.messages).toEqual(history('short'));
  // An output that is stored, and one so large that a stub may take its place.
  const headers = { 'x-rlm-directory': '/p' };
  await proxy.ask({ messages: history('a line of output\n'.repeat(100)), tools }, headers);
  await proxy.ask({ messages: history('a line of output\n'.repeat(40_000)), tools }, headers);
  expect(upstream.requests).toHaveLength(3);
  const sent = upstream.requests[2]?.body.messages ?? [];
  expect(sent.find((message) => message.role === 'assistant')?.tool_calls).toEqual([call]);
});

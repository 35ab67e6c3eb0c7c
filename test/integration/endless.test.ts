import { expect, it } from 'vitest';
import { longText, outputRequest, user } from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import {
  answer,
  callTools,
  flood,
  frame,
  reply,
  role,
  stall,
  startScriptedUpstream,
  toolCall,
} from '../support/scripted-upstream.ts';

const body = { model: 'm', messages: [user('hi')] };

it.each(['never', 'always'])(
  'cuts an answer without end, says so, and hangs up (%s)',
  async (inject) => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({
      upstream,
      env: { RLM_INJECT: inject, RLM_MAX_ANSWER_CHARS: '20000' },
    });
    upstream.otherwise(reply(role(), flood('endless words ', 1_000_000_000)));
    const { message, finishReason } = await proxy.ask({ messages: body.messages });
    expect(finishReason).toBe('length');
    expect(String(message.content)).toMatch(/endless [\s\S]*turn\.answerChars/);
    expect(String(message.content).length).toBeLessThan(20_200);
    await upstream.requests[0]?.ended;
    expect(upstream.requests[0]?.aborted).toBe(true);
  },
);

it('leaves a sub-model whose answer does not end, and the turn goes on', async () => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream });
  upstream.script(
    callTools({ name: 'rlm_query', args: { question: 'What does it say?' } }),
    reply(role(), flood('endless words '.repeat(100), 1_000_000_000)),
    answer('Done.'),
  );
  const { message } = await proxy.ask(outputRequest(longText(20_000)));
  expect(message.content).toBe('Done.');
  const [, sub, last] = upstream.requests;
  await sub?.ended;
  expect(sub?.aborted).toBe(true);
  expect(String(last?.body.messages.at(-1)?.content)).toContain('endless words');
});

it('takes 16,000 calls of one step', async () => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream });
  const calls = Array.from({ length: 16_000 }, (_, index) => ({
    index,
    id: `c${index}`,
    type: 'function',
    function: { name: 'bash', arguments: '{}' },
  }));
  const message = { role: 'assistant', content: null, tool_calls: calls };
  upstream.script(reply(frame({ choices: [{ index: 0, message, finish_reason: 'tool_calls' }] })));
  const turn = await proxy.ask({ messages: body.messages });
  expect(turn.message.tool_calls).toHaveLength(16_000);
});

it('hands over no more calls than the limit', async () => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream, env: { RLM_MAX_ANSWER_CALLS: '3' } });
  const calls = Array.from({ length: 5 }, (_, index) =>
    toolCall('bash', {}, { id: `c${index}`, index }),
  );
  upstream.script(reply(role(), ...calls, stall()));
  const turn = await proxy.ask({ messages: body.messages });
  expect(turn.message.tool_calls?.length).toBeLessThanOrEqual(3);
  expect(String(turn.message.content)).toContain('turn.answerCalls');
});

it('refuses a frame that is larger than its limit, once', async () => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({
    upstream,
    env: { RLM_UPSTREAM_MAX_FRAME_BYTES: '65536' },
  });
  upstream.otherwise(
    reply(frame({ choices: [{ index: 0, delta: { content: 'x'.repeat(70_000) } }] })),
  );
  const response = await proxy.post(body);
  expect(response.status).toBe(502);
  expect(await response.text()).toContain('RLM_UPSTREAM_MAX_FRAME_BYTES');
  expect(upstream.requests).toHaveLength(1);
});

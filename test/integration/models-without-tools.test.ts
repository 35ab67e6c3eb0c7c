import { describe, expect, it } from 'vitest';
import type { Message } from '../../src/wire/types.ts';
import { bytesOf } from '../property/weave-checks.ts';
import { clientTools, longText, systemFor, user } from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import {
  answer,
  startScriptedUpstream,
  status,
  type RecordedRequest,
  type Reply,
} from '../support/scripted-upstream.ts';

const refusal = 'registry.ollama.ai/library/gemma3:12b does not support tools';

/** A server that takes no tools, and says so with the type that others use for passing failures. */
function server({ body }: RecordedRequest): Reply {
  return (body.tools ?? []).length > 0
    ? status(400, { error: { message: refusal, type: 'api_error' } })
    : answer('Well.');
}

describe('with a model that takes no tools', () => {
  it('a chat goes on without ours, its texts whole; it is asked once and told in /health', async () => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream });
    upstream.otherwise(server);
    const messages: Message[] = [systemFor('/work/bare'), user(longText(18_000, 'first'))];
    const well = { role: 'assistant' as const, content: 'Well.' };
    expect((await proxy.ask({ messages })).message.content).toBe('Well.');
    messages.push(well, user(longText(18_000, 'second')));
    expect((await proxy.ask({ messages })).message.content).toBe('Well.');
    expect(upstream.requests).toHaveLength(3);
    expect(bytesOf(upstream.requests[1]?.body.messages ?? [])).toBe(bytesOf(messages.slice(0, 2)));
    expect(bytesOf(upstream.requests[2]?.body.messages ?? [])).toBe(bytesOf(messages));
    expect((await proxy.health()).modelsWithoutTools).toHaveLength(1);
  });

  it('a request with tools of its own is refused as it would be without us', async () => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream });
    upstream.otherwise(server);
    const messages = [systemFor('/work/own-tools'), user(longText(18_000))];
    const response = await proxy.post({ model: 'm', messages, tools: clientTools });
    expect(response.status).toBe(400);
    expect(await response.text()).toContain('does not support tools');
    expect(upstream.requests).toHaveLength(1);
  });

  it('only in JSON mode, other requests keep our tools', async () => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream });
    const message = 'json mode cannot be combined with tool/function calling';
    upstream.script(
      status(400, { error: { message, type: 'invalid_request_error' } }),
      answer('{"a":1}'),
      answer('Well.'),
    );
    const messages = [systemFor('/work/groq'), user(longText(18_000))];
    const json = { response_format: { type: 'json_object' } };
    expect((await proxy.ask({ messages, ...json })).message.content).toBe('{"a":1}');
    await proxy.ask({ messages: [systemFor('/work/groq-two'), user(longText(18_000))] });
    expect(upstream.requests.map(({ body }) => (body.tools ?? []).length > 0)).toEqual([
      true,
      false,
      true,
    ]);
  });

  it('what does not fit stands by its ends', async () => {
    await using upstream = await startScriptedUpstream();
    const env = { RLM_UPSTREAM_CONTEXT_WINDOW: '16000' };
    await using proxy = await startProxy({ upstream, env });
    upstream.otherwise(server);
    const messages = [systemFor('/work/bare-large'), user(longText(120_000))];
    await proxy.ask({ messages });
    const last = upstream.requests.at(-1);
    expect(String(last?.body.messages.at(-1)?.content)).toContain('are left out here');
    expect(last?.body.tools).toBeUndefined();
  });
});

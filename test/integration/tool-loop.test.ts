import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import {
  answer,
  callTools,
  cut,
  done,
  finish,
  Gate,
  reply,
  role,
  status,
  text,
  toolCall,
  usage,
} from '../support/scripted-upstream.ts';
import {
  clientTools,
  longText,
  outputRequest,
  resultOf,
  systemFor,
  user,
} from '../support/conversation.ts';
import { startPair } from '../support/proxy.ts';
import { storedTexts } from '../support/stored-texts.ts';

const needle = 'token-7f3a-π🙂';

describe('a turn with calls of our tools, and one without', () => {
  it('text arrives as it comes, role first, and text before a hidden call is not lost', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    const gate = new Gate();
    upstream.script(
      reply(
        role(),
        text('Let me look. '),
        gate,
        toolCall('rlm_stats', {}),
        finish('tool_calls'),
        done(),
      ),
      reply(role(), text('There is '), text('one entry.'), finish(), usage(), done()),
    );
    const response = await proxy.post({
      model: 'm',
      stream: true,
      ...outputRequest(longText(20_000)),
    });
    const reader = (response.body ?? new ReadableStream<Uint8Array>())
      .pipeThrough(new TextDecoderStream())
      .getReader();
    let seen = '';
    while (!seen.includes('Let me look.')) seen += (await reader.read()).value ?? '';
    // The upstream is still held: what was seen came while it was talking.
    expect(seen.indexOf('"role":"assistant"')).toBeLessThan(seen.indexOf('Let me look.'));
    gate.open();
    for (let next = await reader.read(); !next.done; next = await reader.read()) seen += next.value;
    const deltas = seen
      .split('\n\n')
      .filter((frame) => frame.startsWith('data: {'))
      .map((frame) => JSON.parse(frame.slice(6)) as { choices: { delta: { content?: string } }[] });
    expect(deltas.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe(
      'Let me look. There is one entry.',
    );
    expect(seen).not.toContain('rlm_stats');
    expect(seen.trimEnd().endsWith('data: [DONE]')).toBe(true);
  });

  it('of a mixed turn the client gets its call, and the hidden result is used', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    const request = outputRequest(`${longText(20_000)}\n${needle}`);
    upstream.script(
      callTools(
        { name: 'rlm_find', args: { text: needle }, id: 'own' },
        { name: 'bash', args: { command: 'ls' }, id: 'theirs' },
      ),
      answer('both'),
    );
    const first = await proxy.ask(request);
    expect(first.finishReason).toBe('tool_calls');
    expect(first.message.tool_calls?.map((call) => call.id)).toEqual(['theirs']);
    expect(upstream.requests).toHaveLength(1);
    await proxy.ask({
      ...request,
      messages: [...request.messages, first.message, resultOf('theirs', 'a b c')],
    });
    const sent = upstream.requests[1]?.body.messages.slice(-3);
    expect(sent?.[0]?.tool_calls?.map((call) => call.id)).toEqual(['own', 'theirs']);
    expect(sent?.slice(1).map((message) => message.tool_call_id)).toEqual(['own', 'theirs']);
    expect(String(sent?.[1]?.content)).toContain(needle);
  });

  it('an upstream that dies in the middle is reported, not repeated and glued', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.script(reply(role(), text('PART1 '), cut()), answer('PART2'));
    const response = await proxy.post({ model: 'm', stream: true, messages: [user('hi')] });
    const body = await response.text();
    expect(body).toContain('PART1');
    expect(body).not.toContain('PART2');
    expect(body).toContain('"error"');
    expect(upstream.requests).toHaveLength(1);
  });

  it('an upstream that dies before its first chunk is asked again, once the client has seen nothing', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.script(
      status(503, { error: { message: 'down' } }, { 'retry-after-ms': '1' }),
      answer('up again'),
    );
    const { message } = await proxy.ask({ messages: [user('hi')] });
    expect(message.content).toBe('up again');
  });

  it('a small chat goes upstream as it came, every parameter and message member', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.script(answer('ok'));
    const request = {
      model: 'rlm-internal.rlm-core-v1',
      temperature: 0,
      top_p: 0.3,
      stop: ['x'],
      seed: 7,
      tool_choice: 'auto',
      response_format: { type: 'json_object' },
      reasoning_effort: 'low',
      n: 1,
      user: 'me',
      unknown_member: { a: [1, null] },
      tools: clientTools,
      messages: [
        systemFor('/work/project'),
        user('hi'),
        { role: 'assistant', content: 'hello', reasoning_content: 'thinking', name: 'x' },
        {
          role: 'user',
          content: [
            { type: 'text', text: '', cache_control: { type: 'ephemeral' } },
            { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } },
          ],
        },
      ],
    };
    const response = await proxy.post(request);
    expect(response.status).toBe(200);
    const {
      stream: _,
      stream_options: __,
      ...sent
    } = upstream.requests[0]?.body ?? { model: '', messages: [] };
    expect(sent).toEqual({ ...request, model: 'scripted' });
    expect(upstream.requests).toHaveLength(1);
    expect(await storedTexts(proxy)).toEqual([]);
  });

  it('usage is the last step’s prompt and the turn’s completion, with all steps beside it, streamed and not', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    const counts = (prompt: number, completion: number, cached: number) =>
      usage({
        prompt_tokens: prompt,
        completion_tokens: completion,
        total_tokens: prompt + completion,
        prompt_tokens_details: { cached_tokens: cached },
      });
    const script = () =>
      upstream.script(
        reply(toolCall('rlm_stats', {}), finish('tool_calls'), counts(1_000, 10, 0), done()),
        reply(text('ok'), finish(), counts(1_500, 20, 900), done()),
      );
    const wanted = {
      prompt_tokens: 1_500,
      completion_tokens: 30,
      total_tokens: 1_530,
      prompt_tokens_details: { cached_tokens: 900 },
      rlm: { steps: 2, prompt_tokens: 2_500, cached_tokens: 900, completion_tokens: 30 },
    };
    script();
    const whole = await proxy.ask(outputRequest(longText(20_000)));
    expect(whole.usage).toMatchObject(wanted);
    script();
    const client = new OpenAI({ baseURL: proxy.baseURL, apiKey: 'x', maxRetries: 0 });
    const stream = await client.chat.completions.create({
      model: 'm',
      stream: true,
      stream_options: { include_usage: true },
      ...(outputRequest(longText(20_000)) as unknown as { messages: [] }),
    });
    const usages = [];
    for await (const chunk of stream) if (chunk.usage) usages.push(chunk.usage);
    expect(usages).toHaveLength(1);
    expect(usages[0]).toMatchObject(wanted);
  });

  it.each([
    [
      400,
      { error: { message: 'bad', type: 'invalid_request_error', code: 'bad_thing' } },
      400,
      'bad_thing',
    ],
    [401, { error: { message: 'no key' } }, 401, undefined],
    [404, { error: { message: 'no model', code: 'model_not_found' } }, 404, 'model_not_found'],
    [422, { error: { message: 'odd' } }, 422, undefined],
    [
      400,
      {
        error: {
          message: "This model's maximum context length is 10 tokens",
          code: 'context_length_exceeded',
        },
      },
      400,
      'context_length_exceeded',
    ],
    [429, { error: { code: '1113', message: 'Insufficient balance' } }, 402, '1113'],
  ])('upstream status %i with %j', async (code, body, wantedStatus, wantedCode) => {
    await using setup = await startPair({
      RLM_UPSTREAM_MAX_RETRIES: '0',
      RLM_UPSTREAM_PROFILE: 'zai',
    });
    const { upstream, proxy } = setup;
    upstream.otherwise(status(code, body));
    for (const stream of [false, true]) {
      const response = await proxy.post({ model: 'm', stream, messages: [user('hi')] });
      expect(response.status).toBe(wantedStatus);
      const { error } = (await response.json()) as {
        error: { message: string; type: string; code: string | null };
      };
      expect(typeof error.message).toBe('string');
      expect(typeof error.type).toBe('string');
      expect(error).toMatchObject(wantedCode === undefined ? {} : { code: wantedCode });
    }
  });

  it('a request that is no chat request is 400 in OpenAI’s shape', async () => {
    await using setup = await startPair();
    for (const body of [
      'nonsense',
      '[]',
      '{"model":"m"}',
      '{"model":"m","messages":[]}',
      '{"model":5,"messages":[{"role":"user","content":"x"}]}',
      '{"model":"m","messages":[{"role":"robot"}]}',
    ]) {
      const response = await setup.proxy.post(body);
      expect([body, response.status]).toEqual([body, 400]);
      expect(await response.json()).toMatchObject({ error: { type: 'invalid_request_error' } });
    }
    expect(setup.upstream.requests).toHaveLength(0);
  });

  it('a model that never stops calling gets one last step without tools; streamed and whole answers are the same', async () => {
    const contents: unknown[] = [];
    for (const stream of [false, true]) {
      await using setup = await startPair({ RLM_MAX_STEPS: '4' });
      const { upstream, proxy } = setup;
      let round = 0;
      upstream.otherwise((request) =>
        request.body.tool_choice === 'none'
          ? answer('This is what I have.')
          : callTools({ name: 'rlm_get_context', args: { offset: (round += 1) }, id: `c${round}` }),
      );
      const response = await proxy.post({ model: 'm', stream, ...outputRequest(longText(20_000)) });
      expect(response.status).toBe(200);
      const raw = await response.text();
      const content = stream
        ? raw
            .split('\n\n')
            .filter((frame) => frame.startsWith('data: {'))
            .map(
              (frame) =>
                (JSON.parse(frame.slice(6)) as { choices: { delta: { content?: string } }[] })
                  .choices[0]?.delta.content ?? '',
            )
            .join('')
        : (JSON.parse(raw) as { choices: { message: { content: string } }[] }).choices[0]?.message
            .content;
      contents.push(content);
      expect(upstream.requests).toHaveLength(4);
      expect(upstream.requests.at(-1)?.body.messages.at(-1)?.role).toBe('tool');
      expect(raw).toContain('"finish_reason":"stop"');
    }
    expect(contents[0]).toMatch(
      /^This is what I have\.\n\n\[rlm-opencode\] Stopped by the limit turn\.steps: 4 steps/,
    );
    expect(contents[1]).toBe(contents[0]);
  });

  it('the second turn begins with the bytes of the first', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.script(callTools({ name: 'rlm_stats', args: {} }), answer('one'), answer('two'));
    const request = outputRequest(longText(20_000));
    const first = await proxy.ask(request);
    await proxy.ask({
      ...request,
      messages: [...request.messages, first.message, user('and now?')],
    });
    const bodies = upstream.requests.map((each) => each.rawBody.toString());
    for (const [at, body] of bodies.slice(1).entries())
      expect(body.startsWith((bodies[at] ?? '').replace(/\]\}$/, ''))).toBe(true);
  });
});

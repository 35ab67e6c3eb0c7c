import { describe, expect, it } from 'vitest';
import { callName } from '../../src/wire/calls.ts';
import type { Message, PlainRequest } from '../../src/wire/types.ts';
import { bytesOf, expectPrefix, expectWellFormed } from '../property/weave-checks.ts';
import {
  calling,
  clientTools,
  longText,
  resultOf,
  systemFor,
  user,
} from '../support/conversation.ts';
import { startPair, startProxy, windowOf } from '../support/proxy.ts';
import {
  answer,
  callTools,
  reply,
  role,
  text,
  toolCall,
  finish,
  usage,
  done,
  startScriptedUpstream,
  status,
  type RecordedRequest,
} from '../support/scripted-upstream.ts';

const needle = 'NEEDLE-4711-in-the-middle';
const line = 'cannot be opened in this request';
const extract = {
  type: 'function',
  function: { name: 'extract', parameters: { type: 'object', properties: {} } },
};
const forced = { type: 'function', function: { name: 'extract' } };
const listed = {
  type: 'allowed_tools',
  allowed_tools: { mode: 'auto', tools: [forced] },
};

/** A text with the needle in its middle. */
function document(lengthChars: number, word = 'document'): string {
  const half = longText(lengthChars / 2, word);
  return `${half}\n${needle}\n${half}`;
}

function toolNames({ body }: RecordedRequest): readonly string[] {
  return (body.tools ?? []).map((tool) => tool.function?.name ?? '');
}

/** Every way in which a client keeps a model from calling our tools. */
const closed: readonly (readonly [string, Partial<PlainRequest>])[] = [
  ['a named function', { tools: [extract], tool_choice: forced }],
  [
    'a named custom tool',
    { tools: [extract], tool_choice: { type: 'custom', custom: { name: 'x' } } },
  ],
  ['none', { tools: [extract], tool_choice: 'none' }],
  ['none without tools', { tool_choice: 'none' }],
  ['a list of allowed tools', { tools: [extract], tool_choice: listed }],
  [
    'a list in the flat form',
    {
      tools: [extract],
      tool_choice: {
        type: 'allowed_tools',
        mode: 'required',
        tools: [{ type: 'function', name: 'extract' }],
      },
    },
  ],
  ['the old form', { functions: [extract.function], function_call: { name: 'extract' } }],
  ['the old form with none', { functions: [extract.function], function_call: 'none' }],
];

describe('a request in which the model may call none of our tools', () => {
  it.each(closed)('goes as it came, its large text whole: %s', async (_, members) => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.otherwise(answer('Found.'));
    const messages = [systemFor('/work/closed'), user(document(18_000))];
    await proxy.ask({ messages, ...members });
    expect(upstream.requests).toHaveLength(1);
    const { body } = upstream.requests[0] as RecordedRequest;
    expect(bytesOf(body.messages)).toBe(bytesOf(messages));
    expect(body.tools).toEqual(members.tools);
    for (const name of ['tool_choice', 'function_call'])
      expect(body[name]).toEqual((members as PlainRequest)[name]);
  });

  it('keeps what stood whole in the requests that follow, over a restart, too', async () => {
    await using upstream = await startScriptedUpstream();
    upstream.otherwise(answer('Found.'));
    let proxy = await startProxy({ upstream });
    const messages: Message[] = [systemFor('/work/after'), user(document(18_000))];
    await proxy.ask({ messages, tools: clientTools, tool_choice: 'none' });
    for (const question of ['And?', 'And then?']) {
      messages.push({ role: 'assistant', content: 'Found.' }, user(question));
      await proxy.ask({ messages, tools: clientTools });
      proxy = await proxy.restart();
    }
    await using _last = proxy;
    const prompts = upstream.requests.map(({ body }) => body.messages);
    for (const [index, prompt] of prompts.slice(1).entries())
      expectPrefix(prompt, bytesOf(prompts[index] ?? []));
    expect(bytesOf(prompts[2] ?? [])).toContain(needle);
  });

  it('leaves stubs that were there, says so near the newest message, and keeps new texts whole; the prefix holds before and after', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.otherwise(answer('Well.'));
    const messages: Message[] = [systemFor('/work/both'), user(longText(15_000, 'first'))];
    const well = { role: 'assistant' as const, content: 'Well.' };
    await proxy.ask({ messages, tools: clientTools });
    messages.push(well, user(document(15_000, 'second')));
    await proxy.ask({ messages, tools: clientTools, tool_choice: 'none' });
    messages.push(well, user('Goes on.'));
    await proxy.ask({ messages, tools: clientTools });
    messages.push(well, user(document(15_000, 'third')));
    await proxy.ask({ messages, tools: clientTools });
    const prompts = upstream.requests.map(({ body }) => body.messages);
    for (const [index, prompt] of prompts.slice(1).entries()) {
      expectWellFormed(prompt);
      expectPrefix(prompt, bytesOf(prompts[index] ?? []));
    }
    expect(bytesOf(prompts[0] ?? [])).not.toContain(line);
    expect(String(prompts[1]?.at(-1)?.content)).toContain(line);
    expect(bytesOf(prompts[1] ?? []).split(line)).toHaveLength(2);
    expect(String(prompts[1]?.at(-1)?.content)).toContain(needle);
    expect(toolNames(upstream.requests[1] as RecordedRequest)).toContain('rlm_search');
    expect(String(prompts[3]?.at(-1)?.content)).not.toContain(needle);
  });

  it('says so in a chat without a stub of its own, too, once the window has moved something out, and the prefix holds', async () => {
    await using setup = await startPair(windowOf(12_000));
    const { upstream, proxy } = setup;
    upstream.otherwise(answer('Found.'));
    const messages: Message[] = [systemFor('/work/told')];
    const moved = (): boolean => bytesOf(lastPrompt()).includes(line);
    const lastPrompt = (): readonly Message[] => upstream.requests.at(-1)?.body.messages ?? [];
    for (let turn = 0; turn < 40 && !moved(); turn += 1) {
      messages.push(user(longText(3_000, `part${turn}`)));
      await proxy.ask({ messages, tools: [extract], tool_choice: 'none' });
      messages.push({ role: 'assistant', content: 'Found.' });
    }
    const before = bytesOf(lastPrompt());
    expect(before).toContain(line);
    messages.push(user('And?'));
    await proxy.ask({ messages, tools: [extract], tool_choice: 'none' });
    expectPrefix(lastPrompt(), before);
  });

  it('a text that had a stub in the same request before keeps it', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.otherwise(answer('Well.'));
    const messages = [systemFor('/work/again'), user(document(15_000))];
    const name = { 'x-session-id': 'again' };
    await proxy.ask({ messages, tools: clientTools }, name);
    await proxy.ask({ messages, tools: [...clientTools, extract], tool_choice: forced }, name);
    const [first, second] = upstream.requests.map(({ body }) => bytesOf(body.messages));
    expect(second).not.toContain(needle);
    expect(second).toContain(line);
    expect(first).not.toContain(needle);
  });

  it('a text that another chat of the project has as a stub stands whole', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.otherwise(answer('Well.'));
    const messages = [systemFor('/work/two'), user(document(15_000))];
    const open = { messages, tools: clientTools };
    await proxy.ask(open, { 'x-session-id': 'one' });
    await proxy.ask(open, { 'x-session-id': 'one' });
    await proxy.ask({ ...open, tool_choice: 'none' }, { 'x-session-id': 'two' });
    const [first, , third] = upstream.requests.map(({ body }) => bytesOf(body.messages));
    expect(first).not.toContain(needle);
    expect(third).toContain(needle);
  });

  it('offers our tools in the next request, where the store held something before', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.otherwise(answer('Well.'));
    const system = systemFor('/work/due');
    await proxy.ask({ messages: [system, user(longText(2_000))], tools: clientTools });
    const messages = [system, user('Name it.')];
    await proxy.ask({ messages, tools: clientTools, tool_choice: 'none' });
    const more = [...messages, { role: 'assistant' as const, content: 'Well.' }, user('And?')];
    await proxy.ask({ messages: more, tools: clientTools });
    expect(upstream.requests.map((each) => toolNames(each).includes('rlm_search'))).toEqual([
      false,
      false,
      true,
    ]);
  });
});

describe('a request that demands a call', () => {
  it('and brings no tools comes to an answer: ours are offered and nothing is demanded', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.script(callTools({ name: 'rlm_search', args: { pattern: 'NEEDLE-\\d+' } }));
    upstream.otherwise(answer('There it is.'));
    const messages = [systemFor('/work/required'), user(document(18_000))];
    const { message } = await proxy.ask({ messages, tool_choice: 'required' });
    expect(message.content).toBe('There it is.');
    expect(upstream.requests.map(({ body }) => body.tool_choice)).toEqual(['auto', 'auto']);
    expect(toolNames(upstream.requests[0] as RecordedRequest)).toContain('rlm_search');
    expect(bytesOf(upstream.requests[1]?.body.messages ?? [])).toContain(needle);
  });

  it('and brings tools keeps its demand in each step, and ours answer it, too', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.script(
      callTools({ name: 'rlm_search', args: { pattern: 'NEEDLE-\\d+' } }),
      callTools({ name: 'extract', args: { found: needle }, id: 'call_x' }),
    );
    const messages = [systemFor('/work/demand'), user(document(18_000))];
    const { message } = await proxy.ask({ messages, tools: [extract], tool_choice: 'required' });
    expect(message.tool_calls?.map((call) => callName(call))).toEqual(['extract']);
    expect(upstream.requests.map(({ body }) => body.tool_choice)).toEqual(['required', 'required']);
  });

  it('in a small chat without tools goes as it came', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.otherwise(answer('Well.'));
    await proxy.ask({ messages: [user('hi')], tool_choice: 'required' });
    expect(upstream.requests[0]?.body).toMatchObject({ tool_choice: 'required' });
    expect(upstream.requests[0]?.body).not.toHaveProperty('tools');
  });
});

const small = windowOf(16_000);

describe('such a request with a text that does not fit', () => {
  it('under a forced choice steps of ours come first, and the choice holds in the last one', async () => {
    await using setup = await startPair(small);
    const { upstream, proxy } = setup;
    upstream.script(
      callTools({ name: 'rlm_search', args: { pattern: 'NEEDLE-\\d+' }, id: 'call_s' }),
      reply(role(), text('I have it.'), finish(), usage(), done()),
      callTools({ name: 'extract', args: { found: needle }, id: 'call_x' }),
    );
    const messages = [systemFor('/work/forced'), user(document(120_000))];
    const { message } = await proxy.ask({ messages, tools: [extract], tool_choice: forced });
    expect(upstream.requests.map(({ body }) => body.tool_choice)).toEqual(['auto', 'auto', forced]);
    expect(message.tool_calls?.map((call) => callName(call))).toEqual(['extract']);
    expect(message.content ?? '').toBe('');
    const last = upstream.requests[2]?.body.messages ?? [];
    expect(bytesOf(last)).toContain(needle);
    expectWellFormed(last);
  });

  it('a call that is what the client demands ends the turn at once; another one does not reach it', async () => {
    await using setup = await startPair(small);
    const { upstream, proxy } = setup;
    upstream.script(
      callTools({ name: 'bash', args: {}, id: 'call_b' }),
      callTools({ name: 'extract', args: { found: 1 }, id: 'call_x' }),
      callTools({ name: 'extract', args: { found: 2 }, id: 'call_y' }),
    );
    const tools = [...clientTools, extract];
    const ask = async (directory: string): Promise<readonly string[]> => {
      const messages = [systemFor(directory), user(document(120_000))];
      const { message } = await proxy.ask({ messages, tools, tool_choice: forced });
      return (message.tool_calls ?? []).map((call) => call.id);
    };
    expect(await ask('/work/met')).toEqual(['call_x']);
    expect(upstream.requests).toHaveLength(2);
    expect(await ask('/work/met-too')).toEqual(['call_y']);
    expect(upstream.requests).toHaveLength(3);
  });

  it('from a list our tools are allowed, too, until the client is handed over to', async () => {
    await using setup = await startPair(small);
    const { upstream, proxy } = setup;
    upstream.script(
      callTools({ name: 'rlm_search', args: { pattern: 'NEEDLE-\\d+' } }),
      answer('There it is.'),
    );
    const messages = [systemFor('/work/list'), user(document(120_000))];
    const { message } = await proxy.ask({ messages, tools: [extract], tool_choice: listed });
    expect(message.content).toBe('There it is.');
    const first = upstream.requests[0] as RecordedRequest;
    const allowed = (first.body.tool_choice as typeof listed).allowed_tools.tools;
    const names = allowed.map((tool) => tool.function.name);
    expect(names).toEqual(expect.arrayContaining(['extract', 'rlm_search']));
  });

  it('where nothing can be called its two ends stand there and the gap is named; later turns can open it', async () => {
    await using setup = await startPair(small);
    const { upstream, proxy } = setup;
    upstream.otherwise(answer('Well.'));
    const whole = `FIRST WORDS\n${document(200_000)}\nLAST WORDS`;
    const messages: Message[] = [systemFor('/work/none'), user(whole)];
    await proxy.ask({ messages, tools: clientTools, tool_choice: 'none' });
    const [sent] = upstream.requests;
    const shown = String(sent?.body.messages.at(-1)?.content);
    expect(shown).toMatch(/^FIRST WORDS/);
    expect(shown).toContain('LAST WORDS');
    expect(shown).toMatch(/\d{5,6} characters of this text are left out here/);
    expect(shown).toContain(line);
    expect(sent?.rawBody.length).toBeLessThan(16_000 * 3.6);
    expect(sent?.rawBody.length).toBeGreaterThan(16_000 * 3.6 * 0.5);
    messages.push({ role: 'assistant', content: 'Well.' }, user('And?'));
    await proxy.ask({ messages, tools: clientTools });
    const [, next] = upstream.requests;
    expect(toolNames(next as RecordedRequest)).toContain('rlm_get_context');
    expect(bytesOf(next?.body.messages ?? [])).toContain('entry e1');
  });

  it('older material goes first, as always, and none of the new', async () => {
    await using setup = await startPair(windowOf(32_000));
    const { upstream, proxy } = setup;
    upstream.otherwise(answer('Well.'));
    const messages: Message[] = [systemFor('/work/older')];
    for (let turn = 1; turn <= 12; turn += 1)
      messages.push(
        user(`Request ${turn}`),
        calling(`call-${turn}`, 'bash', { command: `run ${turn}` }),
        resultOf(`call-${turn}`, longText(5_000, `output-${turn}-of`)),
        { role: 'assistant', content: `Conclusion ${turn}.` },
      );
    messages.push(
      user('Now this'),
      calling('call-new', 'bash', { command: 'cat new' }),
      resultOf('call-new', document(40_000)),
    );
    await proxy.ask({ messages, tools: clientTools, tool_choice: 'none' });
    const { body, rawBody } = upstream.requests[0] as RecordedRequest;
    expect(rawBody.length).toBeLessThan(32_000 * 3.6 * 0.9);
    expect(bytesOf(body.messages)).toContain(needle);
    expect(bytesOf(body.messages)).not.toContain('output-1-of 50:');
    expect(String(body.messages.at(-1)?.content)).toContain(line);
    expectWellFormed(body.messages);
  });

  it('is refused with a reason where even the ends of its texts do not fit', async () => {
    await using setup = await startPair(small);
    const { upstream, proxy } = setup;
    upstream.otherwise(answer('Well.'));
    const calls = Array.from({ length: 60 }, (_, index) => `call-${index}`);
    const messages: Message[] = [
      systemFor('/work/too-much'),
      user('All of these'),
      {
        role: 'assistant',
        content: '',
        tool_calls: calls.map((id) => ({
          id,
          type: 'function' as const,
          function: { name: 'bash', arguments: '{}' },
        })),
      },
      ...calls.map((id) => resultOf(id, longText(12_000, id))),
    ];
    const response = await proxy.post({
      model: 'rlm-internal.rlm-core-v1',
      messages,
      tools: clientTools,
      tool_choice: 'none',
    });
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    expect(error.code).toBe('context_length_exceeded');
    expect(error.message).toContain('tool_choice');
    expect(upstream.requests).toHaveLength(0);
  });

  it('where only the upstream knows its window, its refusal makes the text smaller', async () => {
    await using setup = await startPair();
    const { upstream, proxy } = setup;
    upstream.script(
      status(400, {
        error: { message: 'maximum context length exceeded', code: 'context_length_exceeded' },
      }),
      answer('Well.'),
    );
    const messages = [systemFor('/work/unknown'), user(document(120_000))];
    await proxy.ask({ messages, tools: clientTools, tool_choice: 'none' });
    const [first, second] = upstream.requests;
    expect(String(first?.body.messages.at(-1)?.content)).toContain(needle);
    expect(second?.rawBody.length).toBeLessThan((first?.rawBody.length ?? 0) * 0.95);
    expect(String(second?.body.messages.at(-1)?.content)).toContain('are left out here');
  });
});

describe('an answer that a program reads', () => {
  const json = { response_format: { type: 'json_object' } };

  it('is one document: what other steps say is shown as reasoning', async () => {
    for (const stream of [false, true]) {
      await using setup = await startPair();
      const { upstream, proxy } = setup;
      upstream.script(
        reply(
          role(),
          text('{"note":"I look first"}'),
          toolCall('rlm_stats', {}),
          finish('tool_calls'),
          usage(),
          done(),
        ),
        answer('{"a":1}'),
      );
      const messages = [systemFor('/work/json'), user(longText(15_000))];
      const request = { model: 'rlm-internal.rlm-core-v1', messages, tools: clientTools, ...json };
      const response = await proxy.post({ ...request, stream });
      const { content, reasoning } = deltasOf(await response.text(), stream);
      expect(JSON.parse(content)).toEqual({ a: 1 });
      expect(reasoning).toContain('I look first');
    }
  });

  it('holds no sentence of ours beside it when a limit ends the turn', async () => {
    await using setup = await startPair({ RLM_MAX_STEPS: '2' });
    const { upstream, proxy } = setup;
    upstream.script(callTools({ name: 'rlm_stats', args: {} }), answer('{"a":2}'));
    const messages = [systemFor('/work/limit'), user(longText(15_000))];
    const { message } = await proxy.ask({ messages, tools: clientTools, ...json });
    expect(JSON.parse(String(message.content))).toEqual({ a: 2 });
    expect(String(message['reasoning_content'])).toContain('turn.steps');
  });
});

interface Frame {
  readonly choices?: readonly {
    readonly delta?: Partial<Record<string, string>>;
    readonly message?: Partial<Record<string, string>>;
  }[];
}

function deltasOf(body: string, stream: boolean): { content: string; reasoning: string } {
  const frames = stream
    ? body
        .split('\n')
        .filter((each) => each.startsWith('data: {'))
        .map((each) => JSON.parse(each.slice(6)) as Frame)
    : [JSON.parse(body) as Frame];
  let content = '';
  let reasoning = '';
  for (const { choices } of frames) {
    const part = choices?.[0]?.delta ?? choices?.[0]?.message ?? {};
    content += part['content'] ?? '';
    reasoning += part['reasoning_content'] ?? '';
  }
  return { content, reasoning };
}

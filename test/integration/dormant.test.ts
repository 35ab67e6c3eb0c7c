import { describe, expect, it } from 'vitest';
import { maxOpeningToolChars, openingToolName } from '../../src/prompt/dormant-tool.ts';
import type { Message, PlainRequest, ToolDefinition } from '../../src/wire/types.ts';
import { bytesOf, expectPrefix, expectWellFormed, textOf } from '../property/weave-checks.ts';
import {
  calling,
  clientTools,
  longText,
  resultOf,
  systemFor,
  user,
} from '../support/conversation.ts';
import { faultyFiles } from '../faults/faulty-files.ts';
import { startPair, type TestProxy } from '../support/proxy.ts';
import {
  answer,
  callTools,
  done,
  finish,
  reply,
  role,
  type ScriptedUpstream,
  status,
  text,
  toolCall,
  usage,
} from '../support/scripted-upstream.ts';

/** What a chat is offered in a project that has texts of earlier work, and when that changes. */

const project = '/work/dormant';
const needle = 'token-7f3a-π🙂';

function names(tools: readonly ToolDefinition[] | undefined): readonly string[] {
  return (tools ?? [])
    .map((tool) => tool.function?.name ?? '')
    .filter((name) => name.startsWith('rlm_'));
}

/** Tools of ours and bytes of the list, of each request that went up. */
function seen(upstream: ScriptedUpstream): readonly {
  readonly own: readonly string[];
  readonly messages: readonly Message[];
}[] {
  return upstream.requests.map(({ body }) => ({ own: names(body.tools), messages: body.messages }));
}

const six = [
  'rlm_get_context',
  'rlm_search',
  'rlm_find',
  'rlm_stats',
  'rlm_query',
  'rlm_exec',
] as const;

/** Another chat of the project leaves texts in its store; what it sent is forgotten here. */
async function storeTexts(
  { upstream, proxy }: { readonly upstream: ScriptedUpstream; readonly proxy: TestProxy },
  texts: readonly string[] = [`${longText(3_000)}\n${needle}\n`, longText(2_000, 'other')],
): Promise<void> {
  upstream.script(answer('Kept.'));
  const messages = [systemFor(project), user('Keep these.')];
  for (const [at, content] of texts.entries())
    messages.push(calling(`k${at}`, 'bash', { command: `cat ${at}` }), resultOf(`k${at}`, content));
  await proxy.ask({ messages, tools: clientTools }, { 'x-session-id': 'earlier' });
  upstream.requests.length = 0;
}

/** A chat of the project as its client plays it. */
class Chat {
  readonly history: Message[] = [systemFor(project)];
  proxy: TestProxy;
  /** What the last answer's usage says that the chat has. */
  tools = 'none';
  readonly #name: string | undefined;

  constructor(proxy: TestProxy, name: string | undefined = 'new') {
    this.proxy = proxy;
    this.#name = name;
  }

  /** The same history under another name. */
  fork(proxy: TestProxy, name: string): Chat {
    const fork = new Chat(proxy, name);
    fork.history.splice(0, 1, ...this.history);
    return fork;
  }

  async ask(question: string | Message[], more: Partial<PlainRequest> = {}): Promise<Message> {
    this.history.push(...(typeof question === 'string' ? [user(question)] : question));
    const { message, usage: counts } = await this.proxy.ask(
      { messages: this.history, tools: clientTools, ...more },
      this.#name === undefined ? {} : { 'x-session-id': this.#name },
    );
    this.history.push(message);
    const told = counts?.['rlm'] as { readonly tools?: string } | undefined;
    this.tools = told?.tools ?? 'none';
    return message;
  }
}

/** Each request begins with what the one before said, from this one on. */
function expectPrefixesFrom(requests: ReturnType<typeof seen>, from: number): void {
  for (const [at, { own, messages }] of requests.entries()) {
    expectWellFormed(messages);
    const before = requests[at - 1];
    if (at <= from || before === undefined) continue;
    expect(own).toEqual(before.own);
    expectPrefix(messages, bytesOf(before.messages));
  }
}

describe('a new chat in a project with texts of earlier work', () => {
  it('has one short tool and no instructions, the same bytes in every turn, whatever is stored meanwhile', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    await storeTexts(pair);
    upstream.otherwise(answer('Hello.'));
    const chat = new Chat(proxy);
    await chat.ask('Hi.');
    const [first] = upstream.requests;
    expect(names(first?.body.tools)).toEqual([openingToolName]);
    const [tool] = (first?.body.tools ?? []).slice(clientTools.length);
    expect(JSON.stringify(tool).length).toBeLessThanOrEqual(maxOpeningToolChars);
    expect(tool?.function?.description).toContain(' 2 texts ');
    expect(first?.body.messages).toEqual(chat.history.slice(0, 2));
    upstream.script(answer('Kept.'));
    await new Chat(proxy, 'third').ask(longText(4_000, 'more'));
    await chat.ask('And?');
    chat.proxy = await proxy.restart();
    await using after = chat.proxy;
    expect(after.origin).not.toBe('');
    await chat.ask('And then?');
    expectPrefixesFrom(seen(upstream).toSpliced(1, 1), 0);
    for (const { body } of upstream.requests.toSpliced(1, 1))
      expect(body.tools).toEqual(first?.body.tools);
  });

  it('is active from the step behind its first call on, and stays so', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    await storeTexts(pair);
    const chat = new Chat(proxy);
    upstream.script(
      answer('Hello.'),
      callTools({ name: openingToolName, args: { words: needle } }),
    );
    upstream.otherwise(answer('There it is.'));
    await chat.ask('Hi.');
    expect(chat.tools).toBe('dormant');
    const said = await chat.ask('What was the token?');
    expect(chat.tools).toBe('active');
    expect(said.content).toBe('There it is.');
    expect(said.tool_calls).toBeUndefined();
    const result = textOf(upstream.requests.at(-1)?.body.messages.at(-1) as Message);
    // What was asked for, and what there is now.
    expect(result).toMatch(/^note: the context store is open/);
    for (const name of six) expect(result.split('\n')[0]).toContain(name);
    expect(result).toContain(needle);
    chat.proxy = await proxy.restart();
    await using after = chat.proxy;
    expect(after.origin).not.toBe('');
    await chat.ask('Sure?');
    const requests = seen(upstream);
    expect(requests.map(({ own }) => own.length)).toEqual([1, 1, 6, 6]);
    expect(requests[3]?.own).toEqual(six);
    expectPrefixesFrom(requests, 2);
    const system = textOf(requests[2]?.messages[0] as Message);
    expect(system).toContain('# Context store');
    expect(system).toContain('e1 bash');
    // But for the system message's instructions, the list is the one that it was.
    expect(requests[2]?.messages.slice(1, 4)).toEqual(requests[1]?.messages.slice(1));
  });

  it.each([['{}'], [''], ['{"words": ""}']])(
    'a call that looks for nothing (%s) gets what is there',
    async (args) => {
      await using pair = await startPair();
      const { upstream, proxy } = pair;
      await storeTexts(pair);
      upstream.script(
        reply(role(), toolCall(openingToolName, args), finish('tool_calls'), done()),
        answer('Two texts.'),
      );
      await new Chat(proxy).ask('What is there?');
      const result = textOf(upstream.requests[1]?.body.messages.at(-1) as Message);
      expect(result).toContain('2 texts of earlier work:\n- e1 bash');
      expect(result).not.toContain('error');
    },
  );

  it('a call of another tool of ours, though it is not offered, is run and opens the store, too', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    await storeTexts(pair);
    upstream.script(
      callTools(
        { name: 'rlm_get_context', args: { entry: 'e1', tail: 2 } },
        { name: 'rlm_find', args: { text: needle } },
      ),
      answer('Read.'),
    );
    await new Chat(proxy).ask('Read it.');
    const [, next] = seen(upstream);
    expect(next?.own).toEqual(six);
    const [read, found] = (next?.messages.slice(-2) ?? []).map(textOf);
    expect(read).toMatch(/^note: the context store is open.*\n/);
    expect(read).toContain(needle);
    expect(found).not.toContain('the context store is open');
  });

  it('a call beside one of the client’s makes the chat active for the next request', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    await storeTexts(pair);
    upstream.script(
      callTools(
        { name: openingToolName, args: { words: needle }, id: 'own' },
        { name: 'bash', args: { command: 'ls' }, id: 'theirs' },
      ),
      answer('Both.'),
    );
    const chat = new Chat(proxy);
    const said = await chat.ask('Look.');
    expect(said.tool_calls?.map(({ id }) => id)).toEqual(['theirs']);
    await chat.ask([resultOf('theirs', 'a b')]);
    const requests = seen(upstream);
    expect(requests.map(({ own }) => own.length)).toEqual([1, 6]);
    expectWellFormed(requests[1]?.messages ?? []);
    expect(JSON.stringify(requests[1]?.messages)).toContain('the context store is open');
  });

  it('two requests at the same time make one activation', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    await storeTexts(pair);
    upstream.otherwise(({ body }) =>
      body.messages.at(-1)?.role === 'tool'
        ? answer('Yes.')
        : callTools({ name: openingToolName, args: { words: needle } }),
    );
    await Promise.all([new Chat(proxy).ask('One?'), new Chat(proxy).ask('Two?')]);
    const systems = seen(upstream)
      .filter(({ own }) => own.length === 6)
      .map(({ messages }) => textOf(messages[0] as Message));
    expect(systems).toHaveLength(2);
    expect(new Set(systems).size).toBe(1);
  });
});

describe('a fork, which its client gives a name of its own', () => {
  it('begins with what its chat was offered, and goes on with the same bytes', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    await storeTexts(pair);
    upstream.otherwise(({ body }) =>
      body.messages.at(-1)?.content === 'Open it.'
        ? callTools({ name: openingToolName, args: { words: needle } })
        : answer('Yes.'),
    );
    const chat = new Chat(proxy);
    await chat.ask('Hi.');
    const dormant = chat.fork(proxy, 'fork of a dormant one');
    await chat.ask('Open it.');
    await chat.ask('And?');
    await using after = await proxy.restart();
    const active = chat.fork(after, 'fork of an active one');
    // More comes into the store: what the chat was told of it stays.
    await new Chat(after, 'another').ask(longText(4_000, 'more'));
    const of = async (fork: Chat): Promise<ReturnType<typeof seen>> => {
      const before = upstream.requests.length;
      await fork.ask('And in the fork?');
      return seen(upstream).slice(before);
    };
    const [hi, , opened, last] = seen(upstream);
    const [activeFork] = await of(active);
    expectPrefixesFrom([last, activeFork] as ReturnType<typeof seen>, 0);
    expect(activeFork?.own).toEqual(six);
    dormant.proxy = after;
    // Its chat is active by now, and so it is told the same.
    const [dormantFork] = await of(dormant);
    expect(dormantFork?.own).toEqual(six);
    expect(dormantFork?.messages[0]).toEqual(opened?.messages[0]);
    expect(dormantFork?.messages[1]).toEqual(hi?.messages[1]);
  });

  it('of a dormant chat is dormant, and opens the store for itself', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    await storeTexts(pair);
    upstream.otherwise(answer('Yes.'));
    const chat = new Chat(proxy);
    await chat.ask('Hi.');
    await new Chat(proxy, 'another').ask(longText(4_000, 'more'));
    const fork = chat.fork(proxy, 'fork');
    await fork.ask('And?');
    upstream.script(callTools({ name: openingToolName, args: { words: needle } }));
    await fork.ask('Open it.');
    await chat.ask('And here?');
    const [first, , forked, , opened, here] = upstream.requests;
    expect(forked?.body.tools).toEqual(first?.body.tools);
    expect(names(opened?.body.tools)).toEqual(six);
    expect(here?.body.tools).toEqual(first?.body.tools);
    expectPrefix(here?.body.messages ?? [], bytesOf(first?.body.messages ?? []));
  });
});

describe('what else makes a chat active', () => {
  it('its first stub, in the first request or in a later one', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    await storeTexts(pair);
    upstream.otherwise(answer('Seen.'));
    const chat = new Chat(proxy);
    await chat.ask('Hi.');
    await chat.ask(longText(20_000, 'pasted'));
    await chat.ask('And?');
    await new Chat(proxy, 'other').ask(longText(20_000, 'other'));
    const requests = seen(upstream);
    expect(requests.map(({ own }) => own.length)).toEqual([1, 6, 6, 6]);
    expectPrefixesFrom(requests.slice(0, 3), 1);
    // What is told is what was there before the chat, and none of its own.
    expect(textOf(requests[1]?.messages[0] as Message)).toContain('2 entries');
  });

  it('a demotion, with room for long texts', async () => {
    await using pair = await startPair({
      RLM_UPSTREAM_CONTEXT_WINDOW: '24000',
      RLM_STRIP_MIN_CHARS: '',
    });
    const { upstream, proxy } = pair;
    await storeTexts(pair);
    // A model that counts its prompts: the window is measured by that.
    upstream.otherwise(({ rawBody }) => {
      const tokens = Math.round(rawBody.length / 3.6);
      const counts = { prompt_tokens: tokens, completion_tokens: 2, total_tokens: tokens + 2 };
      return reply(role(), text('Seen.'), finish(), usage(counts), done());
    });
    const chat = new Chat(proxy);
    for (let turn = 0; turn < 20; turn += 1) await chat.ask(longText(4_500, `turn ${turn}`));
    const counts = seen(upstream).map(({ own }) => own.length);
    expect(counts[0]).toBe(1);
    expect(counts.at(-1)).toBe(6);
    // One change and no way back.
    expect(counts).toEqual(counts.toSorted((a, b) => a - b));
    const at = counts.indexOf(6);
    const stubbed = seen(upstream)[at]?.messages ?? [];
    expect(JSON.stringify(stubbed)).toMatch(/e\d+/);
    expectPrefixesFrom(seen(upstream).slice(0, at), 0);
  });

  it('`RLM_INJECT=always`, and a request that asks for it by its header', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    await storeTexts(pair);
    upstream.otherwise(answer('Hello.'));
    const request = { messages: [systemFor(project), user('Hi.')], tools: clientTools };
    const headers = { 'x-session-id': 'asked', 'x-rlm-inject': 'always' };
    await proxy.ask(request, headers);
    await proxy.ask(request, { 'x-session-id': 'asked' });
    await using always = await startPair({ RLM_INJECT: 'always' });
    always.upstream.otherwise(answer('Hello.'));
    await always.proxy.ask(request, { 'x-session-id': 'always' });
    for (const { own } of [...seen(upstream), ...seen(always.upstream)]) expect(own).toEqual(six);
  });

  it('the client’s own choice where it names a tool of ours, and a tool that has the name itself', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    await storeTexts(pair);
    upstream.otherwise(answer('Hello.'));
    await new Chat(proxy, 'one').ask('Hi.', {
      tool_choice: { type: 'function', function: { name: 'rlm_stats' } },
    });
    const theirs: ToolDefinition = {
      type: 'function',
      function: { name: openingToolName, parameters: { type: 'object', properties: {} } },
    };
    await new Chat(proxy, 'two').ask('Hi.', { tools: [theirs] });
    const [named, taken] = upstream.requests;
    expect(names(named?.body.tools)).toEqual(six);
    expect(taken?.body.tools?.[0]).toEqual(theirs);
    expect(names(taken?.body.tools).slice(1)).toEqual(
      six.filter((name) => name !== openingToolName),
    );
  });
});

it('while nothing can be written down the store is searched all the same, and opened later', async () => {
  const disk = { isFull: false };
  const { files } = faultyFiles(({ path }) =>
    disk.isFull && path.endsWith('_chats.jsonl')
      ? { kind: 'error', code: 'ENOSPC' }
      : { kind: 'none' },
  );
  await using pair = await startPair({}, { files });
  const { upstream, proxy } = pair;
  await storeTexts(pair);
  upstream.otherwise(({ body }) =>
    body.messages.at(-1)?.role === 'user'
      ? callTools({ name: openingToolName, args: { words: needle } })
      : answer('There.'),
  );
  const chat = new Chat(proxy);
  upstream.script(answer('Hello.'));
  await chat.ask('Hi.');
  disk.isFull = true;
  expect((await chat.ask('Where is it?')).content).toBe('There.');
  const result = textOf(upstream.requests.at(-1)?.body.messages.at(-1) as Message);
  expect(result).toContain(needle);
  expect(result).not.toContain('the context store is open');
  disk.isFull = false;
  await chat.ask('And now?');
  expect(seen(upstream).map(({ own }) => own.length)).toEqual([1, 1, 1, 1, 6]);
});

describe('what gets nothing', () => {
  it('a chat in a project without texts, and one whose texts are all its own', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    upstream.otherwise(answer('Hello.'));
    const chat = new Chat(proxy);
    await chat.ask('Hi.');
    const own = longText(3_000);
    await chat.ask(own);
    await chat.ask('And?');
    // The same history under another name: all there is stands in it.
    const other = new Chat(proxy, 'renamed');
    await other.ask(own);
    for (const { body } of upstream.requests) expect(names(body.tools)).toEqual([]);
    expect(seen(upstream).at(-1)?.messages).toEqual(other.history.slice(0, 2));
  });

  it('a request that lets the model call nothing; the next one that does is dormant', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    await storeTexts(pair);
    upstream.otherwise(answer('Hello.'));
    const chat = new Chat(proxy);
    await chat.ask('Hi.', { tool_choice: 'none' });
    await chat.ask('And?');
    // From then on the tool stands there, whether it may be called or not.
    await chat.ask('And then?', { tool_choice: 'none' });
    await chat.ask('And now?', {
      tool_choice: { type: 'function', function: { name: 'bash' } },
    });
    const requests = seen(upstream);
    expect(requests.map(({ own }) => own)).toEqual([
      [],
      [openingToolName],
      [openingToolName],
      [openingToolName],
    ]);
    expectPrefixesFrom(requests, 1);
  });

  it('a model that takes no tools', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    await storeTexts(pair);
    upstream.script(
      status(400, { error: { message: 'scripted does not support tools' } }),
      answer('Hello.'),
      answer('Again.'),
    );
    const chat = new Chat(proxy);
    await chat.ask('Hi.', { tools: [] });
    await chat.ask('And?', { tools: [] });
    expect(seen(upstream).map(({ own }) => own.length)).toEqual([1, 0, 0]);
  });
});

describe('a chat under way', () => {
  it('that is active stays so, without a look at the store', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    upstream.otherwise(answer('Seen.'));
    const chat = new Chat(proxy);
    await chat.ask(longText(20_000));
    chat.proxy = await proxy.restart();
    await using after = chat.proxy;
    expect(after.origin).not.toBe('');
    await chat.ask('And?');
    expectPrefixesFrom(seen(upstream), 0);
    expect(seen(upstream).map(({ own }) => own)).toEqual([six, six]);
  });

  it('whose prompt was too long for the upstream is woken within what it takes', async () => {
    await using pair = await startPair({
      RLM_UPSTREAM_CONTEXT_WINDOW: '64000',
      RLM_STRIP_MIN_CHARS: '',
    });
    const { upstream, proxy } = pair;
    await storeTexts(pair);
    upstream.script(
      status(400, {
        error: { message: 'too long', code: 'context_length_exceeded' },
      }),
      callTools({ name: openingToolName, args: {} }),
      reply(role(), text('Done.'), finish(), done()),
    );
    const said = await new Chat(proxy).ask(longText(60_000, 'pasted'));
    expect(said.content).toBe('Done.');
    const [refused, smaller, last] = upstream.requests;
    const size = (request: typeof refused): number => request?.rawBody.length ?? 0;
    expect(size(smaller)).toBeLessThan(size(refused));
    expect(size(last)).toBeLessThan(size(refused));
    expectPrefix(last?.body.messages ?? [], bytesOf(smaller?.body.messages ?? []));
  });
});

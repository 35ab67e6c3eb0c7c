import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { faultyFiles, type Fault } from '../faults/faulty-files.ts';
import { calling, longText, outputRequest, resultOf, user } from '../support/conversation.ts';
import { startPair, startProxy } from '../support/proxy.ts';
import {
  answer,
  callTools,
  cut,
  raw,
  reply,
  role,
  type ScriptedReply,
  startScriptedUpstream,
  status,
  text,
} from '../support/scripted-upstream.ts';
import { modeOf, readTraces, recordedExchanges, recordedRequest } from '../support/trace.ts';

/** A folder of the test's own, gone afterwards. */
let folder = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rlm-trace-'));
  onTestFinished(async () => rm(folder, { recursive: true, force: true }));
});

const model = 'rlm-internal.rlm-core-v1';
const output = longText(30_000, 'needle-7');
const search = callTools({ name: 'rlm_search', args: { pattern: 'needle-7 77:' } });

test('a turn with hidden calls can be played again from its trace, to the byte', async () => {
  const before = join(folder, 'before');
  const later = join(folder, 'later');
  const RLM_TRACE_DIR = join(folder, 'traces');
  const first = outputRequest(output);
  const next = {
    model,
    stream: true,
    ...first,
    messages: [
      ...first.messages,
      { role: 'assistant', content: 'It is line 77.' },
      calling('call_2', 'bash', { command: 'npm run lint' }),
      resultOf('call_2', longText(25_000, 'lint')),
      user('And now? \u{1F600}'),
    ],
  };
  await using upstream = await startScriptedUpstream();
  {
    await using proxy = await startProxy({ upstream, dataDir: before });
    upstream.script(search, answer('It is line 77.'));
    await proxy.ask(first);
  }
  await cp(before, later, { recursive: true });
  const body = JSON.stringify(next);
  let shown: string;
  {
    await using proxy = await startProxy({ upstream, dataDir: before, env: { RLM_TRACE_DIR } });
    upstream.script(search, answer('Line 77 again.'));
    shown = await (await proxy.post(body, { 'x-session-affinity': 'chat-1' })).text();
  }
  const [trace, ...others] = await readTraces(RLM_TRACE_DIR);
  if (trace === undefined) throw new Error('nothing was written down');
  expect(others).toEqual([]);
  const exchanges = await recordedExchanges(trace);
  const sent = upstream.requests.slice(2).map(({ rawBody }) => rawBody.toString());
  expect(exchanges.map((each) => each.sent.toString())).toEqual(sent);
  expect(sent).toHaveLength(2);

  // Nothing of the first proxy is left but its data directory as it was, and the trace.
  await using second = await startScriptedUpstream();
  second.script(...exchanges.map((each) => each.answer));
  await using proxy = await startProxy({ upstream: second, dataDir: later });
  const request = await recordedRequest(trace);
  expect(request).toMatchObject({ path: '/v1/chat/completions', body });
  expect((await trace.bytes('answer.body')).toString()).toBe(shown);
  const again = await (await proxy.post(request.body, request.headers)).text();
  expect(second.requests.map(({ rawBody }) => rawBody.toString())).toEqual(sent);
  const withoutIds = (frames: string): string =>
    frames.replaceAll(/"(id|created)":("[^"]*"|\d+)/g, '');
  expect(withoutIds(again)).toBe(withoutIds(shown));
});

/** Requests for the same in the other protocols, with what they have of credentials. */
const otherProtocols = [
  {
    path: '/v1/responses',
    headers: {
      'user-agent': 'codex_exec/0.171.0 (Debian 12.0.0; x86_64)',
      'thread-id': 'thread-1',
      authorization: 'Bearer key-of-the-client',
    },
    body: {
      model,
      stream: true,
      prompt_cache_key: 'thread-1',
      input: [
        { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Look.' }] },
        { type: 'function_call', call_id: 'call_1', name: 'bash', arguments: '{}' },
        { type: 'function_call_output', call_id: 'call_1', output },
      ],
    },
    end: 'event: response.completed',
  },
  {
    path: '/v1/messages',
    headers: {
      'user-agent': 'claude-cli/2.1.332 (external, cli)',
      'anthropic-version': '2023-06-01',
      'x-claude-code-session-id': 'session-1',
      'x-api-key': 'key-of-the-client',
    },
    body: {
      model,
      stream: true,
      max_tokens: 1_000,
      messages: [
        { role: 'user', content: 'Look.' },
        { role: 'assistant', content: [{ type: 'tool_use', id: 'c', name: 'bash', input: {} }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'c', content: output }] },
      ],
    },
    end: 'event: message_stop',
  },
] as const;

test.each(otherProtocols)(
  'a turn at $path can be played again from what its client sent, to the byte',
  async ({ path, headers, body, end }) => {
    const RLM_TRACE_DIR = join(folder, 'traces');
    const sentBody = JSON.stringify(body);
    const post = async (origin: string, at: string, asked: RequestInit): Promise<string> =>
      (await fetch(origin + at, { method: 'POST', ...asked })).text();
    let shown = '';
    let sent: string[];
    {
      await using pair = await startPair({ RLM_TRACE_DIR });
      pair.upstream.script(search, answer('It is line 77.'));
      shown = await post(pair.proxy.origin, path, {
        headers: { 'content-type': 'application/json', ...headers },
        body: sentBody,
      });
      sent = pair.upstream.requests.map(({ rawBody }) => rawBody.toString());
    }
    expect(shown).toContain(end);
    const [trace, ...others] = await readTraces(RLM_TRACE_DIR);
    if (trace === undefined) throw new Error('nothing was written down');
    expect(others).toEqual([]);
    const request = await recordedRequest(trace);
    expect(request).toMatchObject({ path, body: sentBody });
    expect((await trace.bytes('answer.body')).toString()).toBe(shown);
    const translated = JSON.parse((await trace.bytes('translated.body')).toString()) as {
      messages: { role: string }[];
    };
    expect(translated.messages.map(({ role: each }) => each)).toEqual([
      'user',
      'assistant',
      'tool',
    ]);
    for (const name of trace.names)
      expect([name, (await trace.bytes(name)).includes('key-of-the-client')]).toEqual([
        name,
        false,
      ]);

    const exchanges = await recordedExchanges(trace);
    await using second = await startPair();
    second.upstream.script(...exchanges.map((each) => each.answer));
    const again = await post(second.proxy.origin, request.path, {
      headers: request.headers,
      body: request.body,
    });
    expect(second.upstream.requests.map(({ rawBody }) => rawBody.toString())).toEqual(sent);
    const withoutIds = (frames: string): string =>
      frames
        .replaceAll(/"(id|item_id|created_at|completed_at)":("[^"]*"|\d+)/g, '')
        .replaceAll(/"(signature|encrypted_content)":"[^"]*"/g, '');
    expect(withoutIds(again)).toBe(withoutIds(shown));
  },
);

test('a trace holds request, settings, memory, entries and exchanges, for the eyes of one user and without keys', async () => {
  const RLM_TRACE_DIR = join(folder, 'traces');
  const key = 'sk-0123456789abcdef0123456789abcdef';
  const token = 'client-token-0123456789';
  await using upstream = await startScriptedUpstream();
  upstream.script(
    status(503, { error: { message: `busy, and your key is ${key}` } }, { 'retry-after-ms': '1' }),
    search,
    answer('fine'),
  );
  let requestId: string | null;
  {
    await using proxy = await startProxy({
      upstream,
      env: { RLM_TRACE_DIR, RLM_UPSTREAM_API_KEY: key, RLM_API_TOKEN: token },
    });
    const headers = {
      authorization: `Bearer ${token}`,
      cookie: 'crumb-0123456789',
      'x-api-key': 'other-0123456789',
      'x-session-affinity': 'chat-1',
    };
    const response = await proxy.post({ model, ...outputRequest(output) }, headers);
    requestId = response.headers.get('x-request-id');
    expect(await response.text()).toContain('fine');
  }
  const [trace] = await readTraces(RLM_TRACE_DIR);
  if (trace === undefined) throw new Error('nothing was written down');
  expect(trace.path).toMatch(/\/\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z-req_[0-9a-f]{16}$/);
  expect(trace.path.endsWith(String(requestId))).toBe(true);
  expect(trace.names).toEqual(
    [
      'answer.body',
      'entries.json',
      'memory.json',
      'request.body',
      'request.json',
      'sessions.json',
      'settings.json',
      'turn.json',
      ...[1, 2, 3].flatMap((n) => [
        `upstream-${n}.json`,
        `upstream-${n}.request.body`,
        `upstream-${n}.answer.body`,
      ]),
    ].toSorted(),
  );
  expect(await modeOf(RLM_TRACE_DIR)).toBe(0o700);
  expect(await modeOf(trace.path)).toBe(0o700);
  for (const name of trace.names) {
    expect([name, await modeOf(join(trace.path, name))]).toEqual([name, 0o600]);
    const bytes = await trace.bytes(name);
    for (const secret of [key, token, 'crumb-0123456789', 'other-0123456789'])
      expect([name, secret, bytes.includes(secret)]).toEqual([name, secret, false]);
  }
  for (const name of trace.names.filter((each) => each.endsWith('.json')))
    expect([name, (await trace.json(name)).version]).toEqual([name, 1]);
  const { headers } = await trace.json('request.json');
  expect(headers).toMatchObject({
    authorization: '[removed]',
    cookie: '[removed]',
    'x-api-key': '[removed]',
    'x-session-affinity': 'chat-1',
  });
  expect((await trace.json('settings.json')).settings).toMatchObject({
    strip: { minChars: 10_000 },
    providers: [{ apiKey: '(set, not shown)' }],
  });
  const { reads } = await trace.json('memory.json');
  expect(reads.map((each: { key: string }) => each.key)).toContain('chat:chat-1');
  const { entries } = await trace.json('entries.json');
  expect(entries).toHaveLength(1);
  expect(entries[0]).toMatchObject({
    id: 'e1',
    how: ['captured', 'read'],
    kind: 'tool_result',
    tool: 'bash',
    lengthChars: output.length,
    outline: { type: expect.any(String), items: expect.any(Array) },
  });
  expect(await trace.json('upstream-1.json')).toMatchObject({
    upstream: 'upstream',
    url: `${upstream.baseURL}/chat/completions`,
    request: { headers: { authorization: 'Bearer [key]' } },
    answer: { status: 503 },
    end: { ok: true },
  });
  expect((await trace.bytes('upstream-1.answer.body')).toString()).toContain('your key is [key]');
  expect(await trace.json('upstream-2.json')).toMatchObject({
    answer: { status: 200 },
    ms: { head: expect.any(Number), firstByte: expect.any(Number), end: expect.any(Number) },
    end: { ok: true },
  });
  expect(await trace.json('turn.json')).toMatchObject({
    requestId,
    models: [{ upstream: 'upstream', model: 'scripted' }],
    upstreamRequests: 3,
    end: { ok: true },
  });
});

test('stored texts are written only where they are asked for', async () => {
  const RLM_TRACE_DIR = join(folder, 'traces');
  {
    await using setup = await startPair({ RLM_TRACE_DIR, RLM_TRACE_TEXTS: '1' });
    setup.upstream.script(answer('fine'));
    await setup.proxy.ask(outputRequest(output));
  }
  const [trace] = await readTraces(RLM_TRACE_DIR);
  expect((await trace?.json('entries.json'))?.entries[0]?.text).toBe('entry-e1.txt');
  expect((await trace?.bytes('entry-e1.txt'))?.toString()).toBe(output);
});

test('memory that is read from what is at hand is written down, too', async () => {
  const RLM_TRACE_DIR = join(folder, 'traces');
  const first = outputRequest(output);
  {
    await using setup = await startPair({ RLM_TRACE_DIR });
    const { upstream, proxy } = setup;
    upstream.script(search, answer('It is line 77.'), answer('Yes.'), answer('Yes!'));
    await proxy.ask(first);
    const messages = [...first.messages, { role: 'assistant', content: 'It is line 77.' }];
    await proxy.ask({ ...first, messages: [...messages, user('Sure?')] });
    await proxy.ask({ ...first, messages: [...messages, user('Really sure?')] });
  }
  const traces = await readTraces(RLM_TRACE_DIR);
  const keys = await Promise.all(
    traces.map(async (trace) =>
      (await trace.json('memory.json')).reads.map(
        ({ key }: { key: string }) => key.split(':', 1)[0],
      ),
    ),
  );
  expect(keys[2]).toEqual(keys[1]);
  expect(keys[2]).toEqual(expect.arrayContaining(['chat', 'turn', 'record']));
});

test('what a program asks and reads stands in the trace of its own turn, also where an earlier one has started its thread', async () => {
  const RLM_TRACE_DIR = join(folder, 'traces');
  const first = outputRequest(output);
  const program = (id: string): ScriptedReply =>
    callTools({
      name: 'rlm_exec',
      id,
      args: { code: `llm_query("${id}?", context.read(0, 100))` },
    });
  {
    await using setup = await startPair({ RLM_TRACE_DIR });
    const { upstream, proxy } = setup;
    upstream.script(program('one'), answer('sub one'), answer('It is line 77.'));
    upstream.script(program('two'), answer('sub two'), answer('Yes.'));
    const headers = { 'x-session-affinity': 'chat-1' };
    expect((await proxy.ask(first, headers)).message.content).toBe('It is line 77.');
    const messages = [
      ...first.messages,
      { role: 'assistant' as const, content: 'It is line 77.' },
      user('Sure?'),
    ];
    expect((await proxy.ask({ ...first, messages }, headers)).message.content).toBe('Yes.');
  }
  const traces = await readTraces(RLM_TRACE_DIR);
  for (const [index, word] of ['one', 'two'].entries()) {
    const trace = traces[index];
    expect(trace?.names).toContain('upstream-3.answer.body');
    expect((await trace?.bytes('upstream-2.request.body'))?.toString()).toContain(`${word}?`);
    expect((await trace?.bytes('upstream-2.answer.body'))?.toString()).toContain('sub');
    expect((await trace?.json('entries.json'))?.entries.map(({ id }) => id)).toEqual(['e1']);
  }
});

test('a turn that fails, or that its client leaves, ends with a code in its trace', async () => {
  const RLM_TRACE_DIR = join(folder, 'traces');
  {
    await using setup = await startPair({ RLM_TRACE_DIR, RLM_UPSTREAM_MAX_RETRIES: '0' });
    const { upstream, proxy } = setup;
    upstream.script(
      status(401, { error: { message: 'no' } }),
      reply(role(), text('half'), cut()),
      reply(role(), text('half'), ...Array.from({ length: 3 }, () => text('more')), raw(''), {
        end: 'stall',
      }),
    );
    const ask = { model, messages: [user('Hello')], stream: true };
    expect((await proxy.post(ask)).status).toBe(401);
    expect(await (await proxy.post(ask)).text()).toContain('upstream_cut');
    const leaving = new AbortController();
    const response = await proxy.post(ask, {}, leaving.signal);
    await response.body?.getReader().read();
    leaving.abort();
    await upstream.requests[2]?.ended;
    expect((await proxy.post({ model, messages: [] })).status).toBe(400);
    expect((await proxy.post('{"model": "x", "messages": [{')).status).toBe(400);
  }
  const traces = await readTraces(RLM_TRACE_DIR);
  const ends = await Promise.all(traces.map(async (trace) => (await trace.json('turn.json')).end));
  expect(ends.map(({ code }) => code)).toEqual([
    'unauthorized',
    'upstream_cut',
    'cancelled',
    'invalid_request',
    'invalid_request',
  ]);
  expect((await traces[1]?.json('upstream-1.json'))?.end.ok).toBe(false);
  expect((await traces[2]?.json('upstream-1.json'))?.end.ok).toBe(false);
  const bodies = await Promise.all(
    traces.map(async (trace) => (await trace.bytes('request.body')).toString()),
  );
  expect(bodies).toContain('{"model": "x", "messages": [{');
});

test('the oldest turns go when there are too many or they are too large; what is not ours stays', async () => {
  const dir = join(folder, 'traces');
  const notes = '2020-notes.txt';
  const old = '2020-01-01T00-00-00.000Z-req_0000000000000000';
  await mkdir(join(dir, 'mine'), { recursive: true });
  await mkdir(join(dir, old));
  await writeFile(join(dir, notes), 'mine');
  await writeFile(join(dir, old, 'request.body'), Buffer.alloc(700_000));
  await writeFile(join(dir, old, 'turn.json'), '{}');
  const limits = { RLM_TRACE_MAX_BYTES: '1048576', RLM_TRACE_MAX_TURNS: '3' };
  {
    await using setup = await startPair({ RLM_TRACE_DIR: dir, ...limits });
    setup.upstream.otherwise(answer('fine'));
    const ask = async (content: string): Promise<void> => {
      expect((await setup.proxy.ask({ messages: [user(content)] })).message.content).toBe('fine');
      // A turn that is still being written would not go.
      await vi.waitFor(
        async () => {
          for (const { names } of await readTraces(dir)) expect(names).toContain('turn.json');
        },
        { timeout: 60_000 },
      );
    };
    await ask('Hello 0');
    expect(await readdir(dir)).toContain(old);
    await ask('x'.repeat(400_000));
    expect(await readdir(dir)).not.toContain(old);
    for (const content of ['Hello 1', 'Hello 2', 'Hello 3', 'Hello 4']) await ask(content);
    // Too large to be kept: the turn goes on without a trace.
    await ask('x'.repeat(600_000));
  }
  const names = await readdir(dir);
  expect(names.filter((name) => !name.includes('-req_')).toSorted()).toEqual([notes, 'mine']);
  const bodies = await Promise.all(
    (await readTraces(dir)).map(async (trace) => (await trace.bytes('request.body')).toString()),
  );
  expect(bodies.length).toBeLessThanOrEqual(3);
  expect(bodies.at(-1)).toContain('Hello 4');
});

test.each([
  ['a full disk', (): Fault => ({ kind: 'error', code: 'ENOSPC' }), 'ENOSPC'],
  ['a disk that takes half', (): Fault => ({ kind: 'short-write', code: 'ENOSPC' }), 'ENOSPC'],
])('%s costs the trace and nothing else, and is said once', async (_, fault, code) => {
  const dir = join(folder, 'traces');
  const { files } = faultyFiles(({ name, path }) =>
    name === 'write' && path.startsWith(dir) ? fault() : { kind: 'none' },
  );
  const lines: string[] = [];
  {
    await using setup = await startPair(
      { RLM_TRACE_DIR: dir },
      { files, onLog: (line) => lines.push(line) },
    );
    const { upstream, proxy } = setup;
    upstream.script(search, answer('found'));
    upstream.otherwise(answer('fine'));
    expect((await proxy.ask(outputRequest(output))).message.content).toBe('found');
    expect((await proxy.ask({ messages: [user('Hello')] })).message.content).toBe('fine');
  }
  expect(await readdir(dir)).toEqual([]);
  const told = lines.filter((line) => line.includes('could not be written down'));
  expect(told).toHaveLength(1);
  expect(told[0]).toContain(code);
});

test('where traces cannot be written at all, turns go on and it is said once', async () => {
  const file = join(folder, 'file');
  await writeFile(file, '');
  const lines: string[] = [];
  {
    await using setup = await startPair(
      { RLM_TRACE_DIR: join(file, 'traces') },
      { onLog: (line) => lines.push(line) },
    );
    setup.upstream.otherwise(answer('fine'));
    for (const content of ['Hello', 'Hello again'])
      expect((await setup.proxy.ask({ messages: [user(content)] })).message.content).toBe('fine');
  }
  expect(lines.filter((line) => line.includes('could not be written down'))).toHaveLength(1);
});

test('a large body is written as it came', async () => {
  const RLM_TRACE_DIR = join(folder, 'traces');
  const body = JSON.stringify({ model, messages: [user('è x '.repeat(1_500_000))] });
  {
    await using setup = await startPair({ RLM_TRACE_DIR });
    setup.upstream.script(answer('fine'));
    expect((await setup.proxy.post(body)).status).toBe(200);
  }
  const [trace] = await readTraces(RLM_TRACE_DIR);
  expect((await trace?.bytes('request.body'))?.equals(Buffer.from(body))).toBe(true);
});

test('with the built-in demo upstream the prompt and the answer are written down', async () => {
  const RLM_TRACE_DIR = join(folder, 'traces');
  {
    await using proxy = await startProxy({ env: { RLM_TRACE_DIR } });
    await proxy.ask({ messages: [user('Hello, who are you?')] });
  }
  const [trace] = await readTraces(RLM_TRACE_DIR);
  expect((await trace?.bytes('upstream-1.request.body'))?.toString()).toContain(
    'Hello, who are you?',
  );
  expect((await trace?.bytes('upstream-1.answer.body'))?.toString()).toContain('data: [DONE]');
});

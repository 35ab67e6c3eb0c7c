import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import type { Message } from '../../src/wire/types.ts';
import {
  calling,
  clientTools,
  longText,
  resultOf,
  systemFor,
  user,
} from '../support/conversation.ts';
import { filesHolding } from '../support/files-below.ts';
import { startProxy, type TestProxy } from '../support/proxy.ts';
import {
  answer,
  callTools,
  done,
  finish,
  reply,
  type ScriptedUpstream,
  startScriptedUpstream,
  text,
  toolDelta,
} from '../support/scripted-upstream.ts';

/** Put together, so that no scanner takes them for real ones. */
const token = ['ghp', 'R7k2ZpW9xVb4TnM8sLd3HfJ6gCy5AqE1uYt0'].join('_');
const key = ['AIza', 'Sy7Rk2ZpW9xVb4TnM8sLd3HfJ6gCy5AqE1u'].join('');
const keyLine = 'MIIEowIBAAKCAQEA7Rk2ZpW9xVb4TnM8sLd3HfJ6gCy5AqE1uYt0q7Rk2ZpW9xVb';
const pem = ['-----BEGIN RSA ', `PRIVATE KEY-----\n${keyLine}\n${keyLine}`].join('');
const secrets = [token, key, keyLine];

let folder = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rlm-secrets-'));
  onTestFinished(async () => rm(folder, { recursive: true, force: true }));
});

/** All files below a folder that hold one of the secrets. */
const holders = async (directory: string): Promise<readonly string[]> =>
  filesHolding(directory, ...secrets);

function expectNoSecretIn(text: string): void {
  for (const secret of secrets) expect(text).not.toContain(secret);
}

function expectPrefixes(upstream: ScriptedUpstream): void {
  const lists = upstream.requests.map(({ body }) =>
    body.messages.slice(1).map((each) => JSON.stringify(each)),
  );
  for (const [index, list] of lists.entries()) {
    const before = lists[index - 1] ?? [];
    expect(list.slice(0, before.length)).toEqual(before);
  }
}

/** A turn: a small message, a call with a secret in it, an output with one, a hidden step. */
async function playTurn(
  proxy: TestProxy,
  upstream: ScriptedUpstream,
  messages: Message[],
  outputChars: number,
): Promise<void> {
  const id = `call-${messages.length}`;
  messages.push(user(`My key is ${key}. Is it right? ${messages.length}`));
  upstream.script(callTools({ name: 'bash', args: { command: `curl -u me:${token} x` }, id }));
  messages.push((await proxy.ask({ messages, tools: clientTools })).message);
  const text = longText(outputChars, `word-${messages.length}`);
  messages.push(resultOf(id, `${text.slice(0, 300)}\nTOKEN=${token}\n${text}\n${pem}`));
  upstream.script(
    callTools({ name: 'rlm_find', args: { text: 'TOKEN=' }, id: `own-${messages.length}` }),
    answer(`It is ${token}, as far as I can see, and there is no other one of ${messages.length}.`),
  );
  messages.push((await proxy.ask({ messages, tools: clientTools })).message);
}

test('masked: the same bytes in every turn, after a restart and in a fork, and the secret is nowhere', async () => {
  const log: string[] = [];
  const traces = join(folder, 'traces');
  const env = { RLM_CAPTURE_SECRETS: 'mask', RLM_TRACE_DIR: traces };
  await using upstream = await startScriptedUpstream();
  let proxy = await startProxy({
    upstream,
    env,
    dataDir: join(folder, 'data'),
    onLog: (line) => log.push(line),
  });
  const messages: Message[] = [systemFor('/work/masked')];
  await playTurn(proxy, upstream, messages, 30_000);
  await playTurn(proxy, upstream, messages, 600);
  proxy = await proxy.restart();
  await playTurn(proxy, upstream, messages, 30_000);
  upstream.script(answer('A fork.'));
  await proxy.ask(
    { messages: [...messages, user('And now?')], tools: clientTools },
    {
      'x-session-affinity': 'fork',
    },
  );
  await proxy[Symbol.asyncDispose]();

  expectPrefixes(upstream);
  const last = upstream.requests.at(-1)?.body.messages ?? [];
  expect(last.filter(({ role }) => role === 'tool')).toHaveLength(6);
  const sent = upstream.requests.map(({ rawBody }) => rawBody.toString()).join('\n');
  expectNoSecretIn(sent);
  expect(sent).toContain(`My key is ${'#'.repeat(key.length)}. Is it right?`);
  expect(sent).toContain(`curl -u me:${'#'.repeat(token.length)} x`);
  expect(sent).toContain('BEGIN RSA PRIVATE KEY');
  expectNoSecretIn(log.join('\n'));
  expect(await holders(join(folder, 'data'))).toEqual([]);
  const ofAnswers = new Set(['answer.body', 'upstream-1.answer.body', 'upstream-2.answer.body']);
  // What the model has said itself is written down as it was said.
  expect((await holders(traces)).filter((path) => !ofAnswers.has(basename(path)))).toEqual([]);
  const client = messages
    .filter(({ role }) => role === 'assistant')
    .map((each) => JSON.stringify(each))
    .join('\n');
  expect(client).toContain(token);
});

test('the model that says a secret itself is not told it again, in this turn or a later one', async () => {
  const env = { RLM_CAPTURE_SECRETS: 'mask' };
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream, env });
  const messages: Message[] = [
    systemFor('/work/said'),
    user('Look'),
    calling('c1', 'bash', { command: 'ls' }),
    resultOf('c1', longText(20_000)),
  ];
  upstream.script(
    callTools({ name: 'rlm_find', args: { text: token }, id: 'own-1' }),
    answer('No such text is stored anywhere in this project.'),
  );
  messages.push((await proxy.ask({ messages, tools: clientTools })).message, user('Sure?'));
  upstream.script(answer('Yes.'));
  await proxy.ask({ messages, tools: clientTools });
  expectNoSecretIn(
    upstream.requests
      .slice(1)
      .map(({ rawBody }) => rawBody.toString())
      .join(),
  );
  expect(upstream.requests).toHaveLength(3);
  expectPrefixes(upstream);
});

test('a secret that the model says in many frames is masked as one when it goes up again', async () => {
  const env = { RLM_CAPTURE_SECRETS: 'mask', RLM_DATA_DIR: join(folder, 'pieces') };
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream, env, dataDir: join(folder, 'pieces') });
  const messages: Message[] = [
    systemFor('/work/pieces'),
    user('Look'),
    calling('c1', 'bash', { command: 'ls' }),
    resultOf('c1', longText(20_000)),
  ];
  const said = `The token is ${token}, and nothing else.`;
  const args = JSON.stringify({ text: token });
  const pieces = (text: string): readonly string[] => text.match(/.{1,7}/gs)!;
  upstream.script(
    reply(
      ...pieces('I look for it: ').map((piece) => text(piece)),
      toolDelta({ index: 0, id: 'own-1', function: { name: 'rlm_find', arguments: '' } }),
      ...pieces(args).map((piece) => toolDelta({ index: 0, function: { arguments: piece } })),
      finish('tool_calls'),
      done(),
    ),
    reply(...pieces(said).map((piece) => text(piece)), finish(), done()),
  );
  const { message } = await proxy.ask({ messages, tools: clientTools });
  // It is the client's own model that says it: the client gets it as it is.
  expect(message.content).toContain(said);
  messages.push(message, user('Sure?'));
  upstream.script(answer('Yes.'));
  await proxy.ask({ messages, tools: clientTools });
  expectNoSecretIn(
    upstream.requests
      .slice(1)
      .map(({ rawBody }) => rawBody.toString())
      .join(),
  );
  expectPrefixes(upstream);
  expect(await holders(folder)).toEqual([]);
});

test('a message of 6 MB is masked, whatever pieces it comes in, and stored without its secrets', async () => {
  const env = { RLM_CAPTURE_SECRETS: 'mask' };
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream, env });
  const lines = longText(3_000_000);
  const content = `${lines}\n"key": "${token}"\t${pem}\n${lines}`;
  const messages = [
    systemFor('/work/large'),
    user('Look'),
    calling('c1', 'bash', { command: 'cat log' }),
    resultOf('c1', content),
  ];
  for (const text of ['Much.', 'Much.']) {
    upstream.script(answer(text));
    await proxy.ask({ messages, tools: clientTools });
  }
  const [first, second] = upstream.requests.map(({ body }) =>
    body.messages.map((each) => JSON.stringify(each)),
  );
  expect(second).toEqual(first);
  upstream.script(
    callTools({ name: 'rlm_search', args: { pattern: '"key": ' }, id: 'own-2' }),
    answer('Found.'),
  );
  await proxy.ask({ messages, tools: clientTools });
  const sent = upstream.requests.map(({ rawBody }) => rawBody.toString()).join('\n');
  expect(sent).toContain('#'.repeat(token.length));
  expectNoSecretIn(sent);
  expect(await holders(proxy.dataDir)).toEqual([]);
}, 120_000);

test.each([
  [
    '/v1/responses',
    {
      input: [{ type: 'message', role: 'user', content: `It is ${token}\n` }],
      instructions: `Use ${key}`,
    },
  ],
  [
    '/v1/messages',
    {
      max_tokens: 100,
      system: `Use ${key}`,
      messages: [
        { role: 'user', content: 'Go' },
        {
          role: 'assistant',
          content: [{ type: 'tool_use', id: 't1', name: 'bash', input: { command: token } }],
        },
        {
          role: 'user',
          content: [{ type: 'tool_result', tool_use_id: 't1', content: `It is ${token}\n` }],
        },
      ],
    },
  ],
] as const)('masked and refused at %s, too', async (path, body) => {
  await using upstream = await startScriptedUpstream();
  for (const does of ['mask', 'refuse']) {
    await using proxy = await startProxy({ upstream, env: { RLM_CAPTURE_SECRETS: does } });
    upstream.script(answer('Yes.'));
    const reply = await fetch(`${proxy.origin}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'scripted', ...body }),
    });
    const text = await reply.text();
    expect([does, reply.status]).toEqual([does, does === 'mask' ? 200 : 400]);
    // What a client says of its own request is repeated to it, and to nobody else.
    expect([text.includes(token), text.includes('RLM_CAPTURE_SECRETS=mask')]).toEqual([
      false,
      does === 'refuse',
    ]);
  }
  expect(upstream.requests).toHaveLength(1);
  const sent = upstream.requests[0]?.rawBody.toString() ?? '';
  expectNoSecretIn(sent);
  expect(sent).toContain('#'.repeat(token.length));
  expect(sent).toContain(`Use ${'#'.repeat(key.length)}`);
});

test('refused: says what kind where, never the secret; what was accepted before is not looked at', async () => {
  await using upstream = await startScriptedUpstream();
  const dataDir = join(folder, 'data');
  const messages: Message[] = [systemFor('/work/refused'), user(`It is ${token}, I think.`)];
  {
    await using before = await startProxy({ upstream, dataDir });
    upstream.script(answer('So it is.'));
    messages.push((await before.ask({ messages, tools: clientTools })).message);
  }
  const env = { RLM_CAPTURE_SECRETS: 'refuse' };
  await using proxy = await startProxy({ upstream, dataDir, env });
  upstream.script(answer('Good.'));
  messages.push(user('And now?'));
  messages.push((await proxy.ask({ messages, tools: clientTools })).message);
  const sent = upstream.requests.length;
  messages.push(user(`Then ${pem}`));
  for (let n = 0; n < 2; n += 1) {
    const reply = await proxy.post({ model: 'scripted', messages, tools: clientTools });
    const text = await reply.text();
    expect(reply.status).toBe(400);
    expect(JSON.parse(text)).toMatchObject({
      error: { type: 'invalid_request_error', param: 'messages[5]' },
    });
    expect(text).toContain('private key');
    expectNoSecretIn(text);
  }
  expect(upstream.requests).toHaveLength(sent);
});

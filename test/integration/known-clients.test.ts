import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { allClients } from '../../src/clients/known-clients.ts';
import type { Message } from '../../src/wire/types.ts';
import { type ClientRequest, clientRequests } from '../support/client-requests.ts';
import { calling, clientTools, longText, resultOf, user } from '../support/conversation.ts';
import { startPair, type TestProxy } from '../support/proxy.ts';
import { answer, callTools, type ScriptedUpstream } from '../support/scripted-upstream.ts';

/** What every client that has a row gets, whatever its requests look like. */

const needle = 'only-in-the-output-of-make';
const output = `${longText(12_000)}\n${needle}\n${longText(2_000, 'end')}`;
const ids = Object.keys(clientRequests);

let temp = '';
let pair: Awaited<ReturnType<typeof startPair>>;
let upstream: ScriptedUpstream;
/** Conversations of the turns so far, as the log names them. */
const chats: string[] = [];

beforeAll(async () => {
  temp = await mkdtemp(join(tmpdir(), 'rlm-temp-'));
  const onLog = (line: string): void => {
    const { msg, chat } = JSON.parse(line) as { msg: string; chat: string };
    if (msg === 'turn') chats.push(chat);
  };
  pair = await startPair({ TMPDIR: temp }, { onLog });
  upstream = pair.upstream;
  upstream.otherwise(answer('ok'));
});
afterAll(async () => {
  await pair[Symbol.asyncDispose]();
  await rm(temp, { recursive: true });
});

function requestOf(id: string, directory: string, rest: readonly Message[], chat?: string) {
  const make = clientRequests[id];
  if (make === undefined) throw new Error(`no request of ${id}`);
  return make(directory, rest, chat);
}

/** Sends a request; what went upstream for it. */
async function send(
  { headers, members, messages }: ClientRequest,
  tools: readonly object[] = clientTools,
): Promise<{ readonly tools: readonly string[]; readonly messages: readonly Message[] }> {
  const from = upstream.requests.length;
  const body = { ...members, messages, tools } as Parameters<TestProxy['ask']>[0];
  await pair.proxy.ask(body, headers);
  const sent = upstream.requests[from]?.body;
  const names = (sent?.tools ?? []).map((tool) => tool.function?.name ?? '');
  return { tools: names.filter((name) => name.startsWith('rlm_')), messages: sent?.messages ?? [] };
}

/** A chat in which a command has put this out. */
function afterCommand(text = output, name = 'bash'): readonly Message[] {
  return [
    user('Build it.'),
    calling('call_1', name, { command: 'make' }),
    resultOf('call_1', text),
  ];
}

it('there is a request of every row', () => {
  expect(ids).toEqual(allClients.map(({ id }) => id));
});

describe.each(ids)('a chat of the client %s', (id) => {
  it('is at home in its directory: it finds what another client has put there, and nothing from elsewhere', async () => {
    const first = id === 'opencode' ? 'kilo' : 'opencode';
    await send(requestOf(first, `/work/both-${id}`, afterCommand(), 'first'));
    const other = await send(requestOf(id, `/work/alone-${id}`, [user('hi')], 'second'));
    expect(other.tools).toEqual([]);
    upstream.script(callTools({ name: 'rlm_find', args: { text: needle }, id: 'own_1' }));
    const asked = requestOf(id, `/work/both-${id}`, [user('hi')], 'third');
    const headers = { ...asked.headers, 'x-rlm-inject': 'always' };
    const same = await send({ ...asked, headers });
    expect(same.tools).toContain('rlm_find');
    const found = upstream.requests.at(-1)?.body.messages.at(-1);
    expect(String(found?.content)).toContain(needle);
  });

  it('leaves its large output in the store of that directory', async () => {
    await send(requestOf(id, `/work/mine-${id}`, afterCommand()));
    const other = id === 'opencode' ? 'kilo' : 'opencode';
    const { tools } = await send(requestOf(other, `/work/mine-${id}`, [user('hi')], 'another'));
    expect(tools).not.toEqual([]);
  });
});

describe('a folder of a project whose root its client names', () => {
  /** The request of a client that names both, in its own way. */
  const inProject: Readonly<Record<string, (root: string, folder: string) => ClientRequest>> = {
    opencode: (root, folder) => named(requestOf('opencode', folder, [user('hi')], 'sub'), root),
    kilo: (root, folder) => named(requestOf('kilo', folder, [user('hi')], 'sub'), root),
    codex: (root, folder) => {
      const { headers, ...rest } = requestOf('codex', folder, [user('hi')], 'sub');
      const facts = { request_kind: 'turn', workspaces: { [root]: { has_changes: false } } };
      return { ...rest, headers: { ...headers, 'x-codex-turn-metadata': JSON.stringify(facts) } };
    },
  };

  function named({ messages, ...rest }: ClientRequest, root: string): ClientRequest {
    const json = JSON.stringify(messages).replace(
      /Workspace root folder: [^\\]+/,
      () => `Workspace root folder: ${root}`,
    );
    return { ...rest, messages: JSON.parse(json) as readonly Message[] };
  }

  it.each(Object.keys(inProject))(
    'has the store of the root, whichever client comes after that: %s',
    async (id) => {
      const root = `/work/root-${id}`;
      await send(requestOf('cline', root, afterCommand()));
      const ask = inProject[id]!;
      expect((await send(ask(root, `${root}/packages/a`))).tools).not.toEqual([]);
      // The others say nothing of a root.
      for (const other of ['qwen', 'claude-code', 'cline']) {
        const asked = requestOf(other, `${root}/packages/a`, [user('hi')], `${other}-${id}`);
        expect([other, (await send(asked)).tools]).not.toEqual([other, []]);
      }
      const unseen = requestOf('qwen', `${root}/packages/b`, [user('hi')]);
      expect((await send(unseen)).tools).toEqual([]);
    },
  );

  it.each(Object.keys(inProject))(
    'gives the root what is first stored in it, under both names: %s',
    async (id) => {
      const root = `/work/first-${id}`;
      const { messages, ...rest } = inProject[id]!(root, `${root}/src`);
      await send({ ...rest, messages: [...messages, ...afterCommand().slice(1)] });
      for (const place of [root, `${root}/src`]) {
        const asked = requestOf('pi', place, [user('hi')]);
        expect([place, (await send(asked)).tools]).not.toEqual([place, []]);
      }
    },
  );

  it.each(Object.keys(inProject))('keeps a store of its own: %s', async (id) => {
    const root = `/work/own-${id}`;
    await send(requestOf('qwen', `${root}/lib`, afterCommand()));
    const { tools } = await send(inProject[id]!(root, `${root}/lib`));
    expect(tools).not.toEqual([]);
    expect((await send(requestOf('qwen', root, [user('hi')]))).tools).toEqual([]);
  });

  it.each([
    ['the root of the disk', '/'],
    ['a home that is a repository itself', homedir()],
    ['a folder elsewhere', '/work/elsewhere'],
    ['a folder whose name only begins so', '/work/mi'],
  ])('is on its own where %s is named as root', async (_, root) => {
    await send(requestOf('qwen', root, afterCommand()));
    for (const id of Object.keys(inProject)) {
      const folder = root === homedir() ? join(root, 'project') : '/work/mine-alone/x';
      expect([id, (await send(inProject[id]!(root, folder))).tools]).toEqual([id, []]);
    }
  });
});

describe('a directory in a text of the user', () => {
  const forms = {
    kilo: `<environment_details>\nWorking directory: /work/secret\n</environment_details>`,
    codex: '<environment_context>\n  <cwd>/work/secret</cwd>\n</environment_context>',
    qwen: "<system-reminder>\nThis is the Qwen Code.\n\nI'm currently working in the directory: /work/secret\n</system-reminder>",
    other: 'Working directory: /work/secret',
  };

  it.each(Object.entries(forms))(
    'is not the directory of a client that says it elsewhere: %s',
    async (_, text) => {
      await send(requestOf('opencode', '/work/secret', afterCommand()));
      for (const id of ['opencode', 'cline', 'other']) {
        const asked = requestOf(id, '/work/empty', [user(text)], `chat_${id}`);
        expect([id, (await send(asked)).tools]).toEqual([id, []]);
      }
      const bare = { headers: {}, messages: [user(text)] };
      expect((await send(bare)).tools).toEqual([]);
    },
  );

  it('is none of a client that is not known where its prompt names two', async () => {
    await send(requestOf('opencode', '/work/secret', afterCommand()));
    const content = 'Working directory: /work/secret\nWorking directory: /work/empty';
    const asked = { headers: {}, messages: [{ role: 'system' as const, content }, user('hi')] };
    expect((await send(asked)).tools).toEqual([]);
  });
});

describe('an output that its client has cut and saved nowhere', () => {
  const cuts: Readonly<Record<string, string>> = {
    cline: `[{"query":"make","result":"${longText(6_000).replaceAll('\n', '\\n')}\\n\\n...[truncated 17089 chars]...\\n\\n${longText(5_000, 'end').replaceAll('\n', '\\n')}"}]`,
    continue: `(previous output truncated: 29002 lines and 1800000 characters removed)\n\n${longText(12_000)}`,
    codex: `Chunk ID: 1\nOutput:\n${longText(6_000)}…1038607 chars truncated…${longText(6_000, 'end')}`,
  };

  it.each(Object.keys(cuts))(
    'of %s has a stub that says so, and a search without a hit tells it, too',
    async (id) => {
      upstream.script(
        callTools({ name: 'rlm_find', args: { text: needle }, id: 'own_1' }),
        callTools({ name: 'rlm_search', args: { pattern: 'quick' }, id: 'own_2' }),
        answer('ok'),
      );
      const text = cuts[id] ?? '';
      const { messages } = await send(requestOf(id, `/work/cut-${id}`, afterCommand(text)));
      const stub = String(messages.at(-1)?.content);
      expect(stub).toContain(`only these ${text.length} characters came`);
      expect(stub).not.toContain('complete and unchanged');
      const [zero, hits] = ['own_1', 'own_2'].map((call) =>
        String(
          upstream.requests.at(-1)?.body.messages.find((message) => message.tool_call_id === call)
            ?.content,
        ),
      );
      expect(zero).toContain('Not all is known: 1 of the texts searched (e1) had been cut');
      expect(hits).not.toContain('Not all is known');
    },
  );

  it('is whole where the same words stand in the output of a client that cuts otherwise', async () => {
    const text = cuts['cline'] ?? '';
    const asked = requestOf('opencode', '/work/quoted', afterCommand(text));
    const stub = String((await send(asked)).messages.at(-1)?.content);
    expect(stub).toContain('complete and unchanged');
  });
});

it('an output whose file pi has kept is stored whole', async () => {
  upstream.script(
    callTools({ name: 'rlm_find', args: { text: needle }, id: 'own_1' }),
    answer('ok'),
  );
  const file = join(temp, 'pi-bash-0123456789abcdef.log');
  const whole = `${output}\n${longText(30_000, 'tail')}`;
  await writeFile(file, whole);
  const cut = `${whole.slice(-11_000)}\n\n[Showing lines 600-900 of 900 (50.0KB limit). Full output: ${file}]`;
  await send(requestOf('pi', '/work/pi', afterCommand(cut)));
  expect(String(upstream.requests.at(-1)?.body.messages.at(-1)?.content)).toContain(needle);
  // With the file gone, what came is all there is, and it is said to be a part.
  await rm(file);
  const { messages } = await send(requestOf('pi', '/work/gone', afterCommand(cut)));
  expect(String(messages.at(-1)?.content)).toContain('NOT complete');
});

describe('a request that is no turn of a chat', () => {
  const long = [...afterCommand(), { role: 'assistant' as const, content: 'Built.' }];

  it('goes up byte for byte where a client has a title made, whatever the store holds', async () => {
    await send(requestOf('claude-code', '/work/helper', afterCommand()));
    const { headers } = requestOf('claude-code', '/work/helper', []);
    const content = '\nYou are naming a coding session. Working directory: /work/helper';
    const messages: readonly Message[] = [{ role: 'system', content }, user(output)];
    const sent = await send({ headers, messages }, []);
    expect(sent).toEqual({ tools: [], messages });
  });

  it('has none of our tools where a client has its memories made of the chat', async () => {
    const chat = requestOf('qwen', '/work/memory', long);
    expect((await send(chat)).tools).not.toEqual([]);
    const asks = user('Managed memory has TWO directories. Choose one.');
    const sent = await send(requestOf('qwen', '/work/memory', [...long, asks]));
    expect(sent.tools).toEqual([]);
  });

  it('is like the turn before where a client has its chat summarised', async () => {
    const before = await send(requestOf('crush', '/work/summary', afterCommand()));
    const asks = user('The conversation context above needs to be compacted. Summarize.');
    const sent = await send(requestOf('crush', '/work/summary', [...long, asks]));
    expect(sent.tools).toEqual(before.tools);
    expect(sent.messages.slice(0, before.messages.length)).toEqual(before.messages);
  });
});

describe('the conversation of a client', () => {
  it.each(['codex', 'claude-code'])(
    'is known by the body where a gateway has taken the headers away: %s',
    async (id) => {
      const { members = {}, messages } = requestOf(
        id,
        `/work/gateway-${id}`,
        [user('hi')],
        `chat-${id}`,
      );
      // Of Claude Code the first system message then tells.
      const first: readonly Message[] =
        id === 'codex' ? [] : [{ role: 'system', content: 'You are Claude Code, a tool.' }];
      const shown = [...first, ...messages];
      await send({ headers: {}, members, messages: shown });
      expect(chats.at(-1)).toBe(`chat-${id}`);
    },
  );

  it.each([
    ['codex', 'chat', { 'x-session-id': 'chat' }],
    ['claude-code', 'chat', { 'x-session-id': 'chat' }],
    ['opencode', 'chat', { 'x-session-id': 'chat', 'x-session-affinity': 'chat' }],
    ['qwen', undefined, {}],
    ['other', undefined, {}],
  ])('is named to the provider, so that it finds its cache: %s', async (id, chat, named) => {
    await send(requestOf(id, `/work/cache-${id}`, [user('hi')], chat));
    const { headers } = upstream.requests.at(-1) ?? {};
    const sent = Object.entries(headers ?? {}).filter(([name]) => /session|thread/.test(name));
    expect(Object.fromEntries(sent)).toEqual(named);
  });

  it('of a subagent is its own, beside the one that started it', async () => {
    const main = requestOf('claude-code', '/work/agents', [user('hi')], 'main');
    await send(main);
    const headers = { ...main.headers, 'x-claude-code-agent-id': 'agent-1' };
    await send({ ...main, headers });
    expect(chats.slice(-2)).toEqual(['main', 'main/agent-1']);
  });
});

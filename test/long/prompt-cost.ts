/**
 * What the proxy costs and saves in prompts, characters: `node test/long/prompt-cost.ts
 * [CHECKOUT ...]` starts the built program of each checkout (default: this one) before a scripted
 * model and prints one table.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Message } from '../../src/wire/types.ts';
import { calling, clientTools, resultOf, systemFor, user } from '../support/conversation.ts';
import {
  finish,
  reply,
  role,
  startScriptedUpstream,
  text,
  toolCall,
  usage,
  type RecordedRequest,
  type Reply,
  type ScriptedReply,
  type ScriptedUpstream,
} from '../support/scripted-upstream.ts';

/** Tokens of the upstream's window. */
const windowTokens = 128_000;

/** Bytes of a prompt that the scripted model counts as one token. */
const bytesPerToken = 3.6;

/** An answer that counts its prompt as a model does: the proxy learns by it. */
function answer(content: string): (request: RecordedRequest) => Reply {
  return (request) => reply(role(), text(content), finish(), counted(request));
}

function callTool(name: string, args: unknown): (request: RecordedRequest) => Reply {
  return (request) => reply(role(), toolCall(name, args), finish('tool_calls'), counted(request));
}

function counted({ rawBody }: RecordedRequest): ReturnType<typeof usage> {
  const tokens = Math.round(rawBody.length / bytesPerToken);
  return usage({ prompt_tokens: tokens, completion_tokens: 20, total_tokens: tokens + 20 });
}

/** Measured for one program, by what it is called. */
type Costs = ReadonlyMap<string, string>;

async function costsOf(checkout: string): Promise<Costs> {
  const dataDir = await mkdtemp(join(tmpdir(), 'rlm-prompt-cost-'));
  await using upstream = await startScriptedUpstream();
  const { child, origin } = await serve(checkout, dataDir, upstream);
  try {
    const asking = new Asking(upstream, origin, dataDir);
    const costs = new Map<string, string>();
    costs.set('a small chat in an empty project', `+${await overhead(asking, 'empty')}`);
    await asking.turn('store', [user(`Keep this.\n${logLines(0, 5_000)}`)], [answer('Kept.')]);
    const dormant = await overhead(asking, 'store');
    costs.set('a new chat in a project with texts: dormant, with one tool', `+${dormant}`);
    const { toolChars, hits } = await hitCost(asking);
    costs.set(`a search with ${hits} hits, characters a hit`, (toolChars / hits).toFixed(0));
    const active = await activeOverhead(asking);
    costs.set('the same chat when it is active: tools and instructions', `+${active}`);
    const file = await oneFile(asking);
    costs.set(
      'a file of 27,000 characters, to read it whole',
      `${file.chars} in ${file.steps} step(s)`,
    );
    costs.set('a document of 290,000 characters, first prompt', `${await oneDocument(asking)}`);
    const chat = await agentChat(asking);
    costs.set('an agent chat of 16 turns: all prompts', `${chat.sent} of ${chat.client}`);
    costs.set('its last prompt', `${chat.last} of ${chat.lastClient}`);
    return costs;
  } finally {
    child.kill('SIGKILL');
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function serve(
  checkout: string,
  dataDir: string,
  upstream: ScriptedUpstream,
): Promise<{ readonly child: ChildProcess; readonly origin: string }> {
  const child = spawn(process.execPath, [resolve(checkout, 'bin/rlm-opencode.js'), 'serve'], {
    env: {
      PATH: process.env['PATH'],
      HOME: dataDir,
      RLM_PORT: '0',
      RLM_DATA_DIR: dataDir,
      RLM_LOG_LEVEL: 'error',
      RLM_UPSTREAM_BASE_URL: upstream.baseURL,
      RLM_UPSTREAM_MODEL: 'scripted',
      RLM_UPSTREAM_API_KEY: 'test-key',
      RLM_UPSTREAM_CONTEXT_WINDOW: String(windowTokens),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  for (;;) {
    const [piece] = (await once(child.stdout, 'data')) as [Buffer];
    said += String(piece);
    const origin = /listening on (http:\S+)/.exec(said)?.[1];
    if (origin !== undefined) return { child, origin };
  }
}

/** Asks in chats, and counts what goes upstream. */
class Asking {
  readonly #upstream: ScriptedUpstream;
  readonly #origin: string;
  readonly #root: string;
  #chats = 0;

  constructor(upstream: ScriptedUpstream, origin: string, root: string) {
    this.#upstream = upstream;
    this.#origin = origin;
    this.#root = root;
  }

  /** One turn; the requests that it made upstream, and what the client sent, characters. */
  async turn(
    project: string,
    messages: readonly Message[],
    replies: readonly ScriptedReply[],
    chat = `chat-${(this.#chats += 1)}`,
  ): Promise<{ readonly bodies: readonly string[]; readonly clientChars: number }> {
    const from = this.#upstream.requests.length;
    this.#upstream.script(...replies);
    const list = [systemFor(`${this.#root}/${project}`), ...messages];
    const body = JSON.stringify({
      model: 'rlm-internal.rlm-core-v1',
      messages: list,
      tools: clientTools,
    });
    const response = await fetch(`${this.#origin}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-session-id': chat },
      body,
    });
    const told = await response.text();
    if (!response.ok) throw new Error(`${response.status}: ${told}`);
    const bodies = this.#upstream.requests.slice(from).map(({ rawBody }) => rawBody.toString());
    return { bodies, clientChars: body.length };
  }
}

/** What stands in a prompt beside what the client sent. */
async function overhead(asking: Asking, project: string): Promise<number> {
  const { bodies, clientChars } = await asking.turn(project, [user('Hi.')], [answer('Hello.')]);
  return Math.max(0, (bodies[0] ?? '').length - clientChars);
}

async function hitCost(
  asking: Asking,
): Promise<{ readonly toolChars: number; readonly hits: number }> {
  const search = callTool('rlm_search', { pattern: 'WARN', max_results: 40 });
  // What the first call opens is said once, with its result.
  const open = callTool('rlm_search', {});
  const replies = [open, search, answer('Many.')];
  const { bodies } = await asking.turn('store', [user('Warnings?')], replies);
  const { messages } = JSON.parse(bodies.at(-1) ?? '') as { readonly messages: readonly Message[] };
  const result = String(messages.findLast(({ role }) => role === 'tool')?.content);
  return { toolChars: result.length, hits: result.split('WARN').length - 1 };
}

async function activeOverhead(asking: Asking): Promise<number> {
  const search = callTool('rlm_search', { words: 'nothing of this' });
  const asked = [user('Is it there?')];
  const { bodies, clientChars } = await asking.turn(
    'store',
    asked,
    [search, answer('No.')],
    'used',
  );
  const { messages } = JSON.parse(bodies.at(-1) ?? '') as { readonly messages: readonly Message[] };
  const hidden = messages
    .slice(-2)
    .reduce((sum, message) => sum + JSON.stringify(message).length, 0);
  return (bodies.at(-1) ?? '').length - clientChars - hidden;
}

/** A model that wants to see all of a file that its client has read. */
async function oneFile(
  asking: Asking,
): Promise<{ readonly chars: number; readonly steps: number }> {
  const source = sourceText(27_000);
  const messages = [
    user('What does it do?'),
    calling('r1', 'read', { filePath: '/p/a.ts' }),
    resultOf('r1', source),
  ];
  const read: ScriptedReply = (request) =>
    JSON.stringify(request.body.messages).includes(source.slice(13_000, 13_400))
      ? answer('All.')(request)
      : callTool('rlm_get_context', { entry: 'e1', offset: 0, length: 30_000 })(request);
  const { bodies } = await asking.turn('file', messages, [read, answer('All of it.')]);
  return { chars: bodies.reduce((sum, body) => sum + body.length, 0), steps: bodies.length };
}

async function oneDocument(asking: Asking): Promise<number> {
  const asked = [user(`${sourceText(290_000)}\nWhat is it about?`)];
  const { bodies } = await asking.turn('document', asked, [answer('Much.')]);
  return (bodies[0] ?? '').length;
}

/** Each turn an output; of every fourth a model looks for a line. */
async function agentChat(asking: Asking): Promise<{
  readonly sent: number;
  readonly client: number;
  readonly last: number;
  readonly lastClient: number;
}> {
  const history: Message[] = [];
  let sent = 0;
  let client = 0;
  let last = 0;
  let lastClient = 0;
  for (let turn = 0; turn < 16; turn += 1) {
    const size = [300, 60_000, 12_000, 1_500_000][turn % 4] ?? 0;
    history.push(
      user(`Run step ${turn}.`),
      calling(`c${turn}`, 'bash', { command: `step ${turn}` }),
      resultOf(`c${turn}`, logLines(turn * 1_000_000, Math.ceil(size / 60))),
    );
    const find = callTool('rlm_search', { pattern: 'WARN', max_results: 10 });
    const said = answer(`Step ${turn} is done.`);
    const replies = turn % 4 === 3 ? [find, said] : [said];
    const { bodies, clientChars } = await asking.turn('agent', history, replies, 'agent');
    sent += bodies.reduce((sum, body) => sum + body.length, 0);
    client += clientChars;
    last = (bodies.at(-1) ?? '').length;
    lastClient = clientChars;
    history.push({ role: 'assistant', content: `Step ${turn} is done.` });
  }
  return { sent, client, last, lastClient };
}

function logLines(from: number, count: number): string {
  return Array.from({ length: count }, (_, at) => {
    const level = at % 100 === 7 ? 'WARN' : 'INFO';
    return `2026-11-26T10:00:00Z ${level} request ${from + at} served in ${(at * 7) % 90} ms`;
  }).join('\n');
}

function sourceText(chars: number): string {
  const lines: string[] = [];
  for (let at = 0, length = 0; length < chars; at += 1) {
    const line = `export function step${at}(input: number): number { return input + ${at}; }`;
    lines.push(line);
    length += line.length + 1;
  }
  return lines.join('\n').slice(0, chars);
}

const checkouts = process.argv.length > 2 ? process.argv.slice(2) : ['.'];
const all: (readonly [string, Costs])[] = [];
for (const checkout of checkouts) all.push([checkout, await costsOf(checkout)]);
const names = [...(all[0]?.[1].keys() ?? [])];
console.log(
  `| characters | ${all.map((_, at) => (all.length > 1 ? ['before', 'after'][at] : 'now')).join(' | ')} |`,
);
console.log(`| --- |${all.map(() => ' ---: |').join('')}`);
for (const name of names)
  console.log(`| ${name} | ${all.map(([, costs]) => costs.get(name) ?? '').join(' | ')} |`);

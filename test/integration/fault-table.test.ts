import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { storeCase } from '../../src/bench/questions/storing.ts';
import { ProxyError } from '../../src/errors.ts';
import { realFiles } from '../../src/store/disk/files.ts';
import type { Message } from '../../src/wire/types.ts';
import { faultyFiles, type Fault, type WriteCall } from '../faults/faulty-files.ts';
import { CliHome } from '../support/cli.ts';
import {
  calling,
  clientTools,
  longText,
  outputRequest,
  resultOf,
  systemFor,
  user,
} from '../support/conversation.ts';
import { answered, type ProviderFault, unreachable } from '../support/provider-faults.ts';
import { startProxy, type TestProxy } from '../support/proxy.ts';
import {
  answer,
  callTools,
  done,
  finish,
  reply,
  type Reply,
  role,
  type ScriptedReply,
  type ScriptedUpstream,
  startScriptedUpstream,
  text,
  toolCall,
} from '../support/scripted-upstream.ts';
import { hurriedClock } from '../support/test-upstream.ts';
import { toolResult } from '../support/tool-results.ts';

/**
 * Each row of docs/faults.md is what came of a run: `vitest run test/integration/fault-table.test.ts
 * -u` (or `npm run docs`) writes down what is seen now.
 */
type Row = readonly string[];

const largeOutput = longText(60_000);
const request = { model: 'm', ...outputRequest(largeOutput) };
const search = callTools({ name: 'rlm_search', args: { pattern: 'line 7:' } });

/** What one request got, and what the log said from then on. */
interface Seen {
  readonly got: string;
  readonly log: string;
}

/** A proxy before a provider that fails, and its log. */
async function withFault<Result>(
  fault: ProviderFault,
  before: readonly ScriptedReply[],
  use: (proxy: TestProxy, upstream: ScriptedUpstream) => Promise<Result>,
): Promise<Result & { readonly log: string }> {
  const lines: string[] = [];
  await using upstream = await startScriptedUpstream();
  await using place = await fault.open?.();
  upstream.script(...before);
  if (fault.reply !== undefined) upstream.otherwise(fault.reply);
  await using proxy = await startProxy({
    upstream,
    clock: hurriedClock,
    env: { ...fault.env, ...(place && { RLM_UPSTREAM_BASE_URL: place.baseURL }) },
    onLog: (line) => lines.push(line),
  });
  lines.length = 0;
  const result = await use(proxy, upstream);
  return { ...result, log: logged(lines) };
}

async function ask(
  fault: ProviderFault,
  before: readonly ScriptedReply[],
  stream: boolean,
): Promise<Seen> {
  return withFault(fault, before, async (proxy) => {
    const response = await proxy.post({ ...request, stream });
    return { got: stream ? await streamed(response) : await whole(response) };
  });
}

async function whole(response: Response): Promise<string> {
  const body = await response.text();
  const said = body.startsWith('{') ? (JSON.parse(body) as Record<string, unknown>) : {};
  const { error, choices } = said as {
    error?: { code?: string; message: string };
    choices?: { message: Message; finish_reason: string }[];
  };
  if (error !== undefined) return `**${response.status}** ${errorWords(error)}`;
  const [choice] = choices ?? [];
  return choice === undefined
    ? `**${response.status}** ${plain(body)}`
    : `**${response.status}** ${quoted(String(choice.message.content))} (${choice.finish_reason})`;
}

const signOfLife = 'signs of life';

async function streamed(response: Response): Promise<string> {
  if (response.headers.get('content-type')?.includes('event-stream') !== true)
    return whole(response);
  const told: string[] = [];
  let words = '';
  const tell = (part: string): void => {
    if (words !== '') told.push(quoted(words));
    words = '';
    if (told.at(-1) !== part) told.push(part);
  };
  for (const line of (await response.text()).split('\n')) {
    if (line === ': waiting') tell(signOfLife);
    if (!line.startsWith('data: {')) continue;
    const { error, choices } = JSON.parse(line.slice(6)) as {
      error?: { code?: string; message: string };
      choices?: {
        delta: { content?: string; reasoning_content?: string };
        finish_reason: string | null;
      }[];
    };
    const [choice] = choices ?? [];
    if (error !== undefined) tell(`last an error: ${errorWords(error)}`);
    if (choice?.delta.reasoning_content !== undefined) tell('lines of progress');
    words += choice?.delta.content ?? '';
    if (typeof choice?.finish_reason === 'string') tell(`(${choice.finish_reason})`);
  }
  // A slow machine has signs of life elsewhere, too; what counts is that no silence is without them.
  const kept = told.filter(
    (part, at) => part !== signOfLife || told[at + 1]?.startsWith('last') === true,
  );
  return [`**${response.status}**`, ...kept].join(', ');
}

function errorWords(error: { readonly code?: string; readonly message: string }): string {
  const code = error.code === undefined ? '' : `\`${error.code}\`: `;
  return code + plain(error.message);
}

/** The ends of what may be long. */
function quoted(text: string): string {
  const short = text.length > 200 ? `${text.slice(0, 20)} … ${text.slice(-160)}` : text;
  return `“${plain(short)}”`;
}

const levels: Readonly<Record<number, string>> = { 30: 'info', 40: 'warn', 50: 'error' };

/** What stands in a log at the usual level, but for the line of each turn. */
function logged(lines: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const line of lines) {
    const { level, msg, code } = JSON.parse(line) as { level: number; msg: string; code?: string };
    if (level < 30 || msg === 'turn') continue;
    const words = `${levels[level]}: ${msg}${code === undefined ? '' : ` (\`${code}\`)`}`;
    counts.set(words, (counts.get(words) ?? 0) + 1);
  }
  return [...counts].map(([words, count]) => (count > 1 ? `${words} ×${count}` : words)).join('; ');
}

/** Without what is another one in each run. */
function plain(text: string): string {
  return text
    .replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:PORT')
    .replaceAll(/(?:\/[\w.-]+)+\/rlm-(?:test|cli)-\w+/g, 'DIR')
    .replaceAll(/sess_[0-9a-f]{8,}/g, 'sess_ID')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

async function providerRows(
  faults: readonly ProviderFault[],
  before: readonly ScriptedReply[],
): Promise<readonly Row[]> {
  return inTurn(faults, async (fault) => {
    const [plainly, live] = await Promise.all([
      ask(fault, before, false),
      ask(fault, before, true),
    ]);
    return [fault.what, plainly.got, live.got === plainly.got ? 'the same' : live.got, live.log];
  });
}

/** A few at once: some rows wait for a silence to be over. */
async function inTurn<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<Row>,
): Promise<readonly Row[]> {
  const rows: Row[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) rows[at] = await work(items[at]!);
  };
  await Promise.all(Array.from({ length: 4 }, worker));
  return rows;
}

/** For what changes this process while it runs. */
async function oneByOne<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<Row>,
): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const item of items) rows.push(await work(item));
  return rows;
}

/** Rows one behind the other that differ in nothing but what fails are one. */
function merged(rows: readonly Row[]): readonly Row[] {
  const kept: { whats: string[]; rest: Row }[] = [];
  for (const [what, ...rest] of rows) {
    const last = kept.at(-1);
    if (last !== undefined && last.rest.join('|') === rest.join('|')) last.whats.push(what!);
    else kept.push({ whats: [what!], rest });
  }
  return kept.map(({ whats, rest }) => [whats.join('; ')].concat(rest));
}

/** A sub-model that fails: the model is told, and answers. */
async function subModelRow(fault: ProviderFault): Promise<Row> {
  const seen = await withFault(fault, [], async (proxy, upstream) => {
    let told: Record<string, unknown> = {};
    upstream.otherwise((asked) => {
      if (asked.body.tools === undefined) return fault.reply!;
      const { role: who, content } = asked.body.messages.at(-1)!;
      if (who !== 'tool')
        return callTools({ name: 'rlm_query', args: { question: 'Which is red?' } });
      told = toolResult(content);
      return answer('Done.');
    });
    const { sessionId } = await storeCase(proxy.app.sessions, '/project', [
      { path: 'items.txt', chunks: () => ['item 1: red\n'] },
    ]);
    const { message } = await proxy.ask(
      { messages: [user('Which is red?')] },
      { 'x-rlm-session': sessionId },
    );
    expect(message.content).toBe('Done.');
    const { answers, error } = told as {
      readonly answers?: readonly { readonly answer?: string; readonly failed?: string }[];
      readonly error?: string;
    };
    return { got: error ?? answers?.[0]?.failed ?? quoted(answers?.[0]?.answer ?? '') };
  });
  return [fault.what, plain(seen.got), seen.log];
}

/** One fault of each kind: what is particular to a fault stands in the tables above. */
const toldInAll = [...unreachable, ...answered].filter(({ what }) =>
  /^(nobody|401|400: prompt|429: again|500|it breaks after|silence after|a page)/.test(what),
);

/** The same question in the other protocols, each in a project of its own. */
const otherFaces = [
  {
    path: '/messages',
    body: { max_tokens: 100, messages: [{ role: 'user', content: 'What went wrong?' }] },
  },
  { path: '/responses', body: { input: 'What went wrong?' } },
] as const;

/** How other protocols tell of it: whole, then streamed. */
async function facesRow(fault: ProviderFault): Promise<Row> {
  const cells = await Promise.all(
    otherFaces.flatMap(({ path, body }) =>
      [false, true].map(async (stream) => {
        const { got } = await withFault(fault, [], async (proxy) => {
          const response = await fetch(`${proxy.baseURL}${path}`, {
            method: 'POST',
            headers: { 'content-type': 'application/json', 'anthropic-version': '2023-06-01' },
            body: JSON.stringify({ model: 'm', stream, ...body }),
          });
          return { got: `**${response.status}** ${faceWords(await response.text())}` };
        });
        return got;
      }),
    ),
  );
  return [fault.what, ...cells];
}

/** The last object of an answer that speaks of an error, as its protocol writes it. */
function faceWords(text: string): string {
  const objects = [...text.matchAll(/^(?:data: )?(\{.*\})$/gm)].map(
    ([, json = '']) => JSON.parse(json) as Record<string, unknown>,
  );
  const last = objects.findLast(({ error, response }) =>
    [error, (response as { error?: unknown } | undefined)?.error].some((said) => said != null),
  );
  if (last === undefined) return 'an answer';
  const { type, error, response } = last as {
    type?: string;
    error?: { type?: string; code?: string; message: string };
    response?: { error: { code: string; message: string } };
  };
  const { message, ...names } = error ?? response!.error;
  const event = response === undefined ? '' : `\`${type}\`, `;
  return `${event}\`${'type' in names ? names.type : names.code}\`: ${plain(message)}`;
}

/** A provider that fails, and another one that is named as its fallback. */
async function fallbackRow(fault: ProviderFault): Promise<Row> {
  const lines: string[] = [];
  await using failing = await startScriptedUpstream();
  if (fault.reply !== undefined) failing.otherwise(fault.reply);
  await using place = await fault.open?.();
  await using second = await startScriptedUpstream();
  second.otherwise(answer('From the other one.'));
  using home = new CliHome();
  const providers = {
    first: { baseURL: place?.baseURL ?? failing.baseURL, fallback: ['second.m'] },
    second: { baseURL: second.baseURL },
  };
  const path = join(home.dataDir, '.config/rlm-opencode/config.jsonc');
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, JSON.stringify({ providers }));
  await using proxy = await startProxy({
    dataDir: home.dataDir,
    clock: hurriedClock,
    env: { ...fault.env },
    onLog: (line) => lines.push(line),
  });
  lines.length = 0;
  const asked = { model: 'first.m', messages: [user('What went wrong?')] };
  const got = await streamed(await proxy.post({ ...asked, stream: true }));
  return [fault.what, got, logged(lines)];
}

/** What is passed through to a provider that fails. */
async function passedRow(fault: ProviderFault): Promise<Row> {
  const seen = await withFault(fault, [], async (proxy, upstream) => {
    upstream.others = fault.reply;
    const response = await fetch(`${proxy.baseURL}/embeddings`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'm', input: 'A text.' }),
    });
    return { got: await passedAnswer(response) };
  });
  return [fault.what, seen.got, seen.log];
}

/** It comes as the provider gives it, so it may break in the middle, too. */
async function passedAnswer(response: Response): Promise<string> {
  if (response.status >= 400) return whole(response);
  const text = await response.text().catch(() => undefined);
  if (text === undefined) return `**${response.status}**, then the connection breaks`;
  const last = /data: (\{"error":.*\})\s*$/.exec(text)?.[1];
  if (last === undefined) return `**${response.status}** as it came`;
  const { error } = JSON.parse(last) as { error: { code?: string; message: string } };
  return `**${response.status}** as it came, last an error: ${errorWords(error)}`;
}

/** What else is asked of a provider that fails: its models; and what is not. */
async function besideRow(fault: ProviderFault): Promise<Row> {
  const seen = await withFault(fault, [], async (proxy, upstream) => {
    if (fault.reply !== undefined) upstream.models = fault.reply;
    const listed = await fetch(`${proxy.baseURL}/models`);
    const { data } = (await listed.json()) as { data: { id: string }[] };
    const counted = await fetch(`${proxy.baseURL}/messages/count_tokens`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'anthropic-version': '2023-06-01' },
      body: JSON.stringify({ model: 'm', messages: [user('How long is this?')] }),
    });
    return {
      got: `**${listed.status}** ${data.map(({ id }) => `\`${id}\``).join(', ')}`,
      count: `**${counted.status}** ${await counted.text()}`,
    };
  });
  return [fault.what, seen.got, plain(seen.count), seen.log];
}

const full: Fault = { kind: 'error', code: 'ENOSPC' };
const broken: Fault = { kind: 'error', code: 'EIO' };

/** A write that fails while a chat goes on. */
interface WriteFault {
  readonly what: string;
  readonly fault?: Fault;
  readonly hits?: (call: WriteCall) => boolean;
  /** The second turn is of another project, whose store is to be made. */
  readonly isNewProject?: true;
  /** Instead: what is put in the way, in the data directory. */
  readonly block?: (dataDir: string) => void;
  readonly env?: (dataDir: string) => Readonly<Record<string, string>>;
}

function inFile(end: string, wanted: WriteCall['name']): (call: WriteCall) => boolean {
  return ({ name, path }) => path.endsWith(end) && name === wanted;
}

const writeFaults: readonly WriteFault[] = [
  { what: 'text, disk full', fault: full, hits: inFile('_context.txt', 'write') },
  {
    what: 'text, full after a part of it',
    fault: { kind: 'short-write', code: 'ENOSPC' },
    hits: inFile('_context.txt', 'write'),
  },
  { what: 'text, broken disk', fault: broken, hits: inFile('_context.txt', 'write') },
  { what: 'text, not on the disk', fault: broken, hits: inFile('_context.txt', 'datasync') },
  { what: 'journal, disk full', fault: full, hits: inFile('_entries.jsonl', 'write') },
  { what: 'journal, not on the disk', fault: broken, hits: inFile('_entries.jsonl', 'datasync') },
  { what: 'memory of the chat, disk full', fault: full, hits: inFile('_chats.jsonl', 'write') },
  {
    what: 'files of a new store, disk full',
    fault: full,
    hits: ({ name, path }) => name === 'create' && /sess_[0-9a-f]+\.json/.test(path),
    isNewProject: true,
  },
  {
    what: 'which directory has which store, disk full',
    fault: full,
    hits: ({ path }) => path.includes('directory_to_rlm.json'),
    isNewProject: true,
  },
  { what: 'everything, disk full', fault: full, hits: ({ name }) => name !== 'sync' },
  {
    what: 'index of the search',
    block: (dataDir) => {
      const folder = join(dataDir, 'sessions');
      for (const name of readdirSync(folder))
        if (name.endsWith('_index')) replaceByFile(join(folder, name));
    },
  },
  {
    what: 'trace of the turn, disk full',
    env: (dataDir) => ({ RLM_TRACE_DIR: join(dataDir, 'traces') }),
    fault: full,
    hits: ({ path }) => path.includes('/traces/'),
  },
  {
    what: "sums of the day's use",
    block: (dataDir) => {
      rmSync(join(dataDir, 'use-of-the-day.json'), { force: true });
      mkdirSync(join(dataDir, 'use-of-the-day.json/in the way'), { recursive: true });
    },
  },
];

/** Says nothing of tokens: what is counted here is no provider's. */
function uncounted(content: string): Reply {
  return reply(role(), text(content), finish(), done());
}

function replaceByFile(path: string): void {
  rmSync(path, { recursive: true });
  writeFileSync(path, 'in the way');
}

/**
 * A first turn stores one text; then the fault begins, and the second turn brings another and
 * searches.
 */
async function writeRow({ what, fault, hits, block, env, isNewProject }: WriteFault): Promise<Row> {
  let isBroken = false;
  let failed = 0;
  const lines: string[] = [];
  const { files } = faultyFiles((call) => {
    if (!isBroken || fault === undefined || hits?.(call) !== true) return { kind: 'none' };
    failed += 1;
    return fault;
  });
  using home = new CliHome();
  const { dataDir } = home;
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({
    upstream,
    files,
    dataDir,
    env: env?.(dataDir) ?? {},
    onLog: (line) => lines.push(line),
  });
  upstream.script(uncounted('First.'));
  const { message } = await proxy.ask(request);
  isBroken = true;
  block?.(dataDir);
  lines.length = 0;
  // Where no store could be made there is nothing to search.
  if (isNewProject === undefined)
    upstream.script(
      reply(toolCall('rlm_search', { pattern: 'line 7:' }), finish('tool_calls'), done()),
    );
  upstream.script(uncounted('Second.'));
  const other = longText(50_000, 'other');
  const [system, ...rest] = request.messages;
  const next = [
    isNewProject === true ? systemFor('/work/new') : system!,
    ...rest,
    message,
    user('And now?'),
    calling('call_2', 'bash', { command: 'make' }),
    resultOf('call_2', other),
  ];
  const got = await whole(await proxy.post({ model: 'm', messages: next, tools: clientTools }));
  const sent = upstream.requests[1]?.body.messages.at(-1)?.content;
  const { status, lastStoreFault } = await proxy.health();
  const health = lastStoreFault === undefined ? status : `${status} (\`${lastStoreFault}\`)`;
  // What is written down behind the answer is written by now.
  await proxy.app[Symbol.asyncDispose]();
  if (fault !== undefined) expect({ what, failed }).not.toEqual({ what, failed: 0 });
  return [what, got, sent === other ? 'whole' : 'as a stub', health, logged(lines)];
}

const startFaults = ['ENOSPC', 'EROFS', 'EACCES'] as const;

/** A start on a disk that fails. */
async function startRow(code: string): Promise<Row> {
  const what = `data directory, when the server starts (${code})`;
  const lines: string[] = [];
  const failing = async (): Promise<never> => {
    throw Object.assign(new Error(code), { code });
  };
  const files = { ...realFiles, makeDirectory: failing, createExclusive: failing };
  await using upstream = await startScriptedUpstream();
  upstream.otherwise(uncounted('First.'));
  try {
    await using proxy = await startProxy({ upstream, files, onLog: (line) => lines.push(line) });
    const got = await whole(await proxy.post(request));
    const sent = upstream.requests[0]?.body.messages.at(-1)?.content;
    const { status, lastStoreFault } = await proxy.health();
    return [
      what,
      got,
      sent === largeOutput ? 'whole' : 'as a stub',
      `${status} (\`${lastStoreFault}\`)`,
      logged(lines),
    ];
  } catch (error) {
    return [what, `no start: ${plain(failureWords(error))}`, '', '', logged(lines)];
  }
}

function failureWords(error: unknown): string {
  if (!(error instanceof ProxyError)) throw error;
  return [error.message, error.parts.hint].join(' ');
}

/** A command that cannot write. */
interface CommandFault {
  readonly what: string;
  readonly args: readonly string[];
  /** What is run before, while all is well. */
  readonly first?: readonly string[];
  readonly block: (home: CliHome) => void;
  readonly isSetup?: true;
}

function fileAt(path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, 'in the way');
}

const commandFaults: readonly CommandFault[] = [
  {
    what: 'data directory: `serve`',
    args: ['serve'],
    block: ({ dataDir }) => fileAt(dataDir),
  },
  {
    what: 'log of a server in the background: `serve --background`',
    args: ['serve', '--background'],
    block: ({ dataDir }) => mkdirSync(join(dataDir, 'server.log'), { recursive: true }),
  },
  {
    what: 'settings: `init`',
    args: ['init', '--base-url', 'http://127.0.0.1:9/v1', '--model', 'm', '--yes', '--no-try'],
    block: ({ folder }) => fileAt(join(folder, '.config/rlm-opencode')),
  },
  {
    what: "a client's settings: `setup install`",
    isSetup: true,
    args: ['install', 'opencode'],
    block: ({ folder }) =>
      mkdirSync(join(folder, '.config/opencode/opencode.json'), { recursive: true }),
  },
  {
    what: 'store: `ingest`',
    args: ['ingest', 'notes.txt', '--directory', '/work'],
    block: ({ dataDir }) => fileAt(join(dataDir, 'sessions')),
  },
  {
    what: 'what is not UTF-8, kept beside the text: `ingest`',
    args: ['ingest', 'broken.txt', '--directory', '/work'],
    first: ['ingest', 'notes.txt', '--directory', '/work'],
    block: ({ folder, dataDir }) => {
      writeFileSync(
        join(folder, 'broken.txt'),
        Buffer.concat([Buffer.from('né '), Buffer.of(0xe6)]),
      );
      const text = readdirSync(join(dataDir, 'sessions')).find((name) => name.endsWith('.txt'))!;
      fileAt(join(dataDir, 'sessions', text.replace('_context.txt', '_originals')));
    },
  },
  {
    what: 'archive: `sessions export`',
    args: ['sessions', 'export', '/work', '--out', 'notes.txt/archive.tar.zst'],
    first: ['ingest', 'notes.txt', '--directory', '/work'],
    block: () => undefined,
  },
];

async function commandRow({ what, args, first, block, isSetup }: CommandFault): Promise<Row> {
  using home = new CliHome();
  const placed = (words: readonly string[]): readonly string[] =>
    words.map((word) => (/^\w+\.txt/.test(word) ? join(home.folder, word) : word));
  fileAt(join(home.folder, 'notes.txt'));
  if (first !== undefined) expect(await home.runHere(placed(first))).toMatchObject({ code: 0 });
  block(home);
  const { code, stderr } = isSetup
    ? await home.setup(placed(args))
    : await home.runHere(placed(args));
  return [what, String(code), plain(stderr)];
}

/** What stands above each table. */
interface Section {
  readonly title: string;
  readonly text: string;
  readonly head: Row;
  readonly rows: readonly Row[];
}

const sides = ['What fails', 'Whole answer', 'Streamed answer', 'Log'];

async function allSections(): Promise<readonly Section[]> {
  // Most of the time goes by in silences: they pass side by side.
  const [first, hidden, sub, faces, fallback, passed, beside] = await Promise.all([
    providerRows([...unreachable, ...answered], []),
    providerRows(answered, [search]),
    inTurn(answered, subModelRow),
    inTurn(toldInAll, facesRow),
    inTurn([...unreachable, ...answered], fallbackRow),
    inTurn([...unreachable, ...answered], passedRow),
    inTurn([...unreachable, ...answered], besideRow),
  ]);
  return [
    {
      title: 'The provider, at the first step of a turn',
      text: 'Until the first word a failure has a status; a stream that has begun ends with an error frame and without `[DONE]`. What may pass is tried again, four times with longer and longer waits; what will not pass is said at once.',
      head: sides,
      rows: first,
    },
    {
      title: 'The provider, at a hidden step',
      text: 'The model has called a tool of ours, and the next step fails. A stream has begun with lines of progress by then (`progress`); a whole answer has none of them.',
      head: sides,
      rows: hidden,
    },
    {
      title: 'The provider, asked by a sub-model',
      text: 'The model that asked is told, and answers with what it has; the client sees no failure.',
      head: ['What fails', 'The model is told', 'Log'],
      rows: sub,
    },
    {
      title: 'A provider that has a fallback',
      text: 'What another provider may do better goes to the fallback, before the first word; a refusal of the request itself does not.',
      head: ['What fails', 'Streamed answer', 'Log'],
      rows: fallback,
    },
    {
      title: 'The same in other protocols',
      text: 'A failure before the first word is an error of the protocol, with its status; later it is its last event.',
      head: [
        'What fails',
        '`/v1/messages`, whole',
        'streamed',
        '`/v1/responses`, whole',
        'streamed',
      ],
      rows: faces,
    },
    {
      title: 'What is passed through (`/v1/embeddings` and its like)',
      text: 'Nothing is tried again, and what has begun comes as the provider gives it.',
      head: ['What fails', 'Answer', 'Log'],
      rows: passed,
    },
    {
      title: 'Lists of models, and counts of tokens',
      text: 'The list has what the settings name, whatever the provider says; `rlm-opencode doctor` tells what is wrong with it. Tokens are counted here, and nobody is asked.',
      head: ['What fails', '`GET /v1/models`', '`POST /v1/messages/count_tokens`', 'Log'],
      rows: merged(beside),
    },
    {
      title: 'What a server writes, while a chat goes on',
      text: 'A first turn has stored a text; then the write fails, and a second turn brings another text, which is stored, and searches. No turn ends for it: what cannot be stored stays in the prompt, whole while the window has room.',
      head: ['What cannot be written', 'Answer', 'The new text goes up', '`/health`', 'Log'],
      rows: [...(await inTurn(startFaults, startRow)), ...(await inTurn(writeFaults, writeRow))],
    },
    {
      title: 'What commands write',
      text: 'A file stands where a folder should be, or the other way round.',
      head: ['What cannot be written', 'Exit', 'It says'],
      rows: await oneByOne(commandFaults, commandRow),
    },
  ];
}

function pageOf(sections: readonly Section[]): string {
  const row = (cells: Row): string =>
    `| ${cells.map((each) => each.replaceAll('|', '\\|')).join(' | ')} |`;
  const parts = sections.map(({ title, text, head, rows }) =>
    [`## ${title}\n`, `${text}\n`, row(head), row(head.map(() => '---')), ...rows.map(row)].join(
      '\n',
    ),
  );
  return `# What you see when something fails

Each row was run: a client, the proxy and a provider that fails over sockets, or a disk that fails
under it. \`npm run docs\` runs them again and writes this page; a test says when it is not true any
more (\`test/integration/fault-table.test.ts\`). \`DIR\`, \`PORT\` and \`ID\` stand for what is another one
in each run; the line that the log has for each turn is left out.

${parts.join('\n\n')}
`;
}

test('each fault is seen as docs/faults.md says', async () => {
  const sections = await allSections();
  for (const { head, rows } of sections)
    for (const cells of rows) expect(cells).toHaveLength(head.length);
  await expect(pageOf(sections)).toMatchFileSnapshot('../../docs/faults.md');
});

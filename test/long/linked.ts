// Ten linked stores against one that holds all their texts: `node test/long/linked.ts [characters of
// each] [rounds] [folder]`. Prints, for each question, the median time of both and the blocks that
// they read: first of the search alone, then as a client of a real server sees it, over MCP. Stores
// that are in the folder are asked as they are; without a folder they are made, which takes minutes
// for 10 x 100M, and deleted again. Needs `npm run build`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { CorpusText } from '../../src/bench/corpus-text.ts';
import { randomIds, systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import type { SearchEngine } from '../../src/search/types.ts';
import { openSessions } from '../../src/store/sessions.ts';
import type { Session } from '../../src/store/types.ts';
import { linkedStoresOf } from '../../src/tools/linked/linked-stores.ts';
import { readingTools, ToolRegistry } from '../../src/tools/registry.ts';

const chars = Number(process.argv[2] ?? 100_000_000);
const rounds = Number(process.argv[3] ?? 5);
const keptFolder = process.argv[4];
/** Questions before times are taken: until V8 has compiled what runs often. */
const warmUpRounds = 200;
const storeCount = 10;
/** Texts of a store: as long as large outputs are. */
const textChars = 1_000_000;

const folder = keptFolder ?? (await mkdtemp(join(tmpdir(), 'rlm-linked-')));
const sessions = await openSessions({
  dataDir: folder,
  clock: systemClock,
  ids: randomIds,
  log: silentLogger(),
});
const engine = openSearchEngine({ clock: systemClock });
let blocksRead = 0;
const counted: SearchEngine = {
  ...engine,
  search: async (corpus, query, options) => {
    const result = await engine.search(corpus, query, options);
    blocksRead += result.work.blocksRead;
    return result;
  },
  searchSmall: async (corpus, query, options) => {
    const result = await engine.searchSmall(corpus, query, options);
    blocksRead += result?.work.blocksRead ?? 0;
    return result;
  },
  index: async (corpus, signal) => engine.index(corpus, signal),
};

async function storeOf(name: string): Promise<Session> {
  const session = await sessions.forDirectory(`/${name}`, { create: true });
  if (session === undefined) throw new Error('no session');
  return session;
}

/** Fills a store with the texts of some seeds. */
async function fill(session: Session, seeds: readonly number[]): Promise<void> {
  for (const seed of seeds) {
    const corpus = new CorpusText(seed);
    for (let left = chars; left > 0; left -= textChars) {
      const pieces: string[] = [];
      for (let size = 0; size < Math.min(left, textChars);) {
        const piece = corpus.next();
        pieces.push(piece);
        size += piece.length;
      }
      await session.store.append([{ kind: 'file', text: pieces.join('') }]);
    }
  }
}

const registry = new ToolRegistry(readingTools);

/** What a question has found, and how long that took. */
interface Answered {
  readonly ms: number;
  readonly found: string;
}

/** Who is asked: the store that holds all, or the one that is linked to the others. */
type Asked = 'one' | 'ten';

async function askEngine(session: Session, args: object): Promise<Answered> {
  const startedMs = performance.now();
  const text = await registry.run(
    {
      id: 'c',
      type: 'function',
      function: { name: 'rlm_search', arguments: JSON.stringify({ ...args, format: 'json' }) },
    },
    {
      session,
      linked: linkedStoresOf(sessions, session),
      search: counted,
      signal: new AbortController().signal,
      clock: systemClock,
      searchDeadlineMs: 600_000,
      maxResultChars: 20_000,
      isExplained: false,
    },
  );
  return answered(startedMs, text);
}

function answered(startedMs: number, text: string): Answered {
  const ms = performance.now() - startedMs;
  const { total, groups } = JSON.parse(text) as { total: number; groups?: readonly object[] };
  return { ms, found: `${total} lines, ${groups?.length ?? 0} groups` };
}

/** A server over the folder, and a client of it for each of both directories. */
async function startServer(): Promise<{
  ask(asked: Asked, args: object): Promise<Answered>;
  stop(): Promise<void>;
}> {
  const token = 'linked';
  const child = spawn(process.execPath, ['bin/rlm-opencode.js', 'serve', '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      RLM_CONFIG: '',
      RLM_DATA_DIR: folder,
      RLM_API_TOKEN: token,
      RLM_LOG_LEVEL: 'warn',
      RLM_UPSTREAM_BASE_URL: 'http://127.0.0.1:9/v1',
    },
  });
  let said = '';
  const url = await new Promise<string>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      const found = /http:\/\/[\d.]+:\d+/.exec(said)?.[0];
      if (found !== undefined) resolve(found);
    });
  });
  const clientOf = async (directory: string): Promise<Client> => {
    const client = new Client({ name: 'linked', version: '1' });
    const headers = { authorization: `Bearer ${token}`, 'x-rlm-directory': directory };
    const transport = new StreamableHTTPClientTransport(new URL(`${url}/mcp`), {
      requestInit: { headers },
    });
    await client.connect(transport);
    return client;
  };
  const clients = { one: await clientOf('/whole'), ten: await clientOf('/part-1') };
  return {
    ask: async (asked, args) => {
      const startedMs = performance.now();
      const { content } = await clients[asked].callTool({
        name: 'rlm_search',
        arguments: { ...args, format: 'json' },
      });
      const [part] = content as readonly { readonly text?: string }[];
      return answered(startedMs, part?.text ?? '');
    },
    stop: async () => {
      for (const client of Object.values(clients)) await client.close();
      child.kill('SIGTERM');
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}

const seeds = Array.from({ length: storeCount }, (_, index) => index + 1);
const [first, ...others] = await Promise.all(seeds.map(async (seed) => storeOf(`part-${seed}`)));
const whole = await storeOf('whole');
if (whole.store.totals.entries === 0) {
  for (const [index, session] of [first!, ...others].entries())
    await fill(session, [seeds[index]!]);
  for (const [index, { id: sessionId }] of others.entries())
    await first!.events.add({ type: 'link', timeMs: 1, sessionId, as: `other-${index + 1}` });
  await fill(whole, seeds);
}
// As a server does once nothing has come for a minute, or a linked store is opened.
for (const { store } of [first!, ...others, whole])
  await engine.index(await store.snapshot(), new AbortController().signal, true);

/** A name from the last of the ten, which stands in few places. */
const [rarePattern] = /\w+@example/.exec(new CorpusText(storeCount).next())!;

const scopes = { one: 'session', ten: 'linked' } as const;

/** Both turn about, so that both meet the same machine. */
async function compare(
  by: string,
  ask: (asked: Asked, args: object) => Promise<Answered>,
): Promise<void> {
  for (let round = 0; round < warmUpRounds; round += 1)
    for (const which of ['one', 'ten'] as const)
      await ask(which, { pattern: 'words to warm.*up', scope: scopes[which] });
  for (const question of [
    { pattern: 'retry.*timeout' },
    { pattern: 'handle[A-Z]\\w+\\(' },
    { pattern: 'no such words anywhere' },
    { pattern: rarePattern },
    { pattern: '(ERROR|WARN)', aggregate: 'count_by', group: 1 },
  ]) {
    const times: Record<Asked, number[]> = { one: [], ten: [] };
    const blocks = { one: 0, ten: 0 };
    const found = { one: '', ten: '' };
    for (let round = 0; round < rounds; round += 1) {
      for (const which of ['one', 'ten'] as const) {
        blocksRead = 0;
        const answer = await ask(which, { ...question, scope: scopes[which] });
        blocks[which] = blocksRead;
        found[which] = answer.found;
        times[which].push(answer.ms);
      }
    }
    if (found.one !== found.ten) throw new Error(`${found.one} is not ${found.ten}`);
    const median = (which: Asked): number =>
      Number(times[which].toSorted((a, b) => a - b)[rounds >> 1]!.toFixed(2));
    const ratio = Number((median('ten') / median('one')).toFixed(2));
    const ms = { one: median('one'), ten: median('ten') };
    const read = by === 'engine' ? { blocks } : {};
    console.log(JSON.stringify({ by, question, found: found.one, ms, ...read, ratio }));
  }
}

await compare('engine', async (which, args) => askEngine(which === 'one' ? whole : first!, args));
await engine[Symbol.asyncDispose]();
await sessions[Symbol.asyncDispose]();
const server = await startServer();
await compare('server', async (which, args) => server.ask(which, args));
await server.stop();
if (keptFolder === undefined) await rm(folder, { recursive: true });

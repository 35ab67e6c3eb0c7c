// Eight proxies on one shared store against one proxy with eight chats on a store of its own:
// `node test/long/team-turns.ts [turns] [rounds]`. Both do the same turns, half of whose texts come
// in all chats; they take turns in one run. Then all replicas are compared, and what an append costs
// is measured against the bare statement. Needs `npm run build` and PostgreSQL's programs.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { glob, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool } from 'pg';
import { randomIds, systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { initSharedStore } from '../../src/shared/database/init.ts';
import { encodeRow } from '../../src/shared/log.ts';
import { openSharedSessions } from '../../src/shared/shared-sessions.ts';
import { noPostgres, startPostgres } from '../support/postgres.ts';

if (noPostgres !== undefined) {
  console.log(noPostgres);
  process.exit(0);
}
const turns = Number(process.argv[2] ?? 2_000);
const rounds = Number(process.argv[3] ?? 3);
const chats = 8;
/** Turns of a conversation: its history is sent with each. */
const turnsOfChat = 5;
const textBytes = 30_000;
/** Appends that are measured: a process that has just begun is slower in both for the first. */
const appends = 1_000;
const firstAppends = 200;

await using postgres = await startPostgres();
const folder = await mkdtemp(join(tmpdir(), 'rlm-team-'));
await initSharedStore(postgres.url(), { log: silentLogger(), clock: systemClock });

const upstream = createServer((request, response) => {
  request.resume().on('end', () => {
    response.setHeader('content-type', 'application/json');
    response.end(
      '{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}',
    );
  });
}).listen(0, '127.0.0.1');
await once(upstream, 'listening');
const upstreamUrl = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/v1`;

interface Proxy {
  readonly url: string;
  readonly dataDir: string;
  stop(): Promise<void>;
}

async function startProxy(name: string, env: Readonly<Record<string, string>>): Promise<Proxy> {
  const dataDir = join(folder, name);
  const child: ChildProcess = spawn(
    process.execPath,
    ['bin/rlm-opencode.js', 'serve', '--port', '0'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...process.env,
        RLM_CONFIG: '',
        HOME: folder,
        RLM_DATA_DIR: dataDir,
        RLM_LOG_LEVEL: 'warn',
        RLM_UPSTREAM_BASE_URL: upstreamUrl,
        RLM_UPSTREAM_MODEL: 'm',
        RLM_UPSTREAM_API_KEY: 'k',
        ...env,
      },
    },
  );
  let said = '';
  const url = await new Promise<string>((resolve) => {
    child.stdout!.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      const found = /http:\/\/[\d.]+:\d+/.exec(said)?.[0];
      if (found !== undefined) resolve(found);
    });
  });
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
  };
  return { url, dataDir, stop };
}

function textOf(seed: string): string {
  const lines: string[] = [];
  for (let bytes = 0, i = 0; bytes < textBytes; i += 1) {
    const line = `${createHash('sha256').update(`${seed} ${i}`).digest('hex')} took ${i * 31} ms`;
    lines.push(line);
    bytes += line.length + 1;
  }
  return lines.join('\n');
}

async function post(url: string, body: unknown, chat: string): Promise<void> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-session-id': chat,
      'x-rlm-directory': '/work/shop',
      'x-rlm-project': 'shop',
    },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  await response.arrayBuffer();
}

/** Each turn brings a text that all chats get, or one of its own. */
async function drive(url: string, lane: number, label: string): Promise<void> {
  let messages: unknown[] = [];
  for (let turn = 0; turn < turns / chats; turn += 1) {
    const conversation = Math.floor(turn / turnsOfChat);
    if (turn % turnsOfChat === 0) messages = [{ role: 'user', content: 'go on' }];
    const id = `call_${turn}`;
    const text = textOf(turn % 2 === 0 ? `all ${label} ${turn}` : `${lane} ${label} ${turn}`);
    messages.push(
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id, type: 'function', function: { name: 'bash', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: id, content: text },
    );
    await post(url, { model: 'm', messages }, `chat_${label}_${lane}_${conversation}`);
    messages.push({ role: 'assistant', content: 'ok' }, { role: 'user', content: 'go on' });
  }
}

async function timed(urls: readonly string[], label: string): Promise<number> {
  const startMs = performance.now();
  await Promise.all(
    Array.from({ length: chats }, (_, i) => drive(urls[i % urls.length]!, i, label)),
  );
  return turns / ((performance.now() - startMs) / 1000);
}

const local = await startProxy('local', {});
const team = await Promise.all(
  Array.from({ length: chats }, (_, i) =>
    startProxy(`team-${i}`, { RLM_STORE_URL: postgres.url() }),
  ),
);
const ratios: number[] = [];
for (let round = 0; round < rounds; round += 1) {
  const alone = await timed([local.url], `local${round}`);
  const together = await timed(
    team.map(({ url }) => url),
    `team${round}`,
  );
  ratios.push(together / alone);
  console.log({ round, localTurnsPerS: alone, teamTurnsPerS: together, ratio: together / alone });
}
// One more turn everywhere, so that all have what the others stored last.
for (const [i, { url }] of team.entries()) await drive1(url, i);
async function drive1(url: string, i: number): Promise<void> {
  await post(url, { model: 'm', messages: [{ role: 'user', content: 'last' }] }, `last_${i}`);
}
for (const proxy of [local, ...team]) await proxy.stop();

const hashes = new Set<string>();
let entries = 0;
for (const { dataDir } of team) {
  for await (const journal of glob(join(dataDir, 'shared/*/sessions/*_entries.jsonl'))) {
    const lines = (await readFile(journal, 'utf8')).trimEnd().split('\n').slice(1);
    if (lines.length === 0) continue;
    const text = await readFile(journal.replace('_entries.jsonl', '_context.txt'));
    hashes.add(createHash('sha256').update(lines.join('\n')).update(text).digest('hex'));
    const records = lines.map(
      (line) => JSON.parse(line) as { type: string; seq: number; sha256: string },
    );
    const own = records.filter(({ type }) => type === 'entry');
    entries = own.length;
    const known = new Set(own.map(({ sha256 }) => sha256));
    if (known.size !== own.length) throw new Error('a hash has two entries');
    if (own.some(({ seq }, at) => seq !== at + 1)) throw new Error('a gap');
  }
}
console.log({ replicas: team.length, different: hashes.size, entries });

// What an append costs beside the statement that it is.
const sessions = await openSharedSessions({
  dataDir: join(folder, 'bench'),
  url: postgres.url(),
  clock: systemClock,
  ids: randomIds,
  log: silentLogger(),
  waitMs: 2_000,
  spoolBytes: 1_000_000,
});
const session = (await sessions.forDirectory('/bench', { create: true, project: 'bench' }))!;
const pool = new Pool({ connectionString: postgres.url(), max: 1 });
await pool.query(
  `insert into rlm_session (id, project, created_ms) values ('sess_00000000', 'bare', 0)`,
);
const bareSql = `with s as (update rlm_session set head = head + 1 where id = $1 returning head)
insert into rlm_log (session, pos, time_ms, writer, n, machine, facts, text)
select $1, head, 0, '00000000-0000-0000-0000-000000000000'::uuid, $2::bigint, 'bench', $3::bytea, $4::bytea from s
returning pos`;
const bareMs: number[] = [];
const appendMs: number[] = [];
for (let i = 0; i < appends; i += 1) {
  const text = textOf(`bench ${i}`);
  const bytes = Buffer.from(text);
  // The very bytes that the append sends.
  const row = await encodeRow(
    [{ op: 'texts', texts: [{ kind: 'tool_result', bytes: bytes.length }] }],
    [bytes],
    [i, 'AAAAAAAAAAAAAAAAAAAAAA'],
  );
  let startMs = performance.now();
  const values = ['sess_00000000', i + 1, row.facts, row.text];
  await pool.query({ name: 'bare', text: bareSql, values });
  bareMs.push(performance.now() - startMs);
  startMs = performance.now();
  await session.store.append([{ kind: 'tool_result', text }]);
  appendMs.push(performance.now() - startMs);
}
const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;
const first = (values: number[]): number => median(values.slice(0, firstAppends));
console.log({
  bareStatementP50Ms: median(bareMs),
  appendP50Ms: median(appendMs),
  ratio: median(appendMs) / median(bareMs),
  first: { bareStatementP50Ms: first(bareMs), appendP50Ms: first(appendMs) },
  firstRatio: first(appendMs) / first(bareMs),
  ratios: ratios.toSorted((a, b) => a - b),
});
await pool.end();
await sessions[Symbol.asyncDispose]();
upstream.close();
await rm(folder, { recursive: true, force: true });

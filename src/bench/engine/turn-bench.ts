import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Random } from '../random.ts';
import { percentile } from '../questions/scoring.ts';
import type { TurnCost } from './turn-bench-server.ts';

/** What to measure. */
interface TurnBenchPlan {
  /** Characters of resent history. */
  readonly sizesChars: readonly number[];
  readonly workDir: string;
  readonly seed: number;
  /** Repetitions; medians are told. */
  readonly runs: number;
  readonly onStep: (step: string) => void;
  readonly signal: AbortSignal;
}

/** Taking in a request whose history is so long. */
export interface TurnBenchRow {
  readonly sizeChars: number;
  readonly bodyBytes: number;
  /** Only receiving the body. */
  readonly receiving: TurnCost;
  /** Known but for three messages. */
  readonly known: TurnCost;
  /** Never seen before. */
  readonly firstSight: TurnCost;
  /** One message of 60 % of that size, never seen before. */
  readonly oneMessage: TurnCost;
  /** Time of `known` over that of `receiving`; the budget is 3. */
  readonly ratio: number;
}

/** Measures what a turn costs by the length of the history that the client sends again. */
export async function benchTurn(plan: TurnBenchPlan): Promise<readonly TurnBenchRow[]> {
  const rows: TurnBenchRow[] = [];
  for (const sizeChars of plan.sizesChars) {
    plan.signal.throwIfAborted();
    rows.push(await benchSize(plan, sizeChars));
  }
  return rows;
}

/** The rows as a table in Markdown. */
export function turnBenchTable(rows: readonly TurnBenchRow[]): string {
  return [
    '| history | receiving | known but for 3 messages | ratio | first sight | one message of 60 % |',
    '|---|---|---|---|---|---|',
    ...rows.map(
      (row) =>
        `| ${(row.sizeChars / 1e6).toFixed(0)}M | ${costText(row.receiving)} | ${costText(row.known)} | ${row.ratio.toFixed(2)} | ${costText(row.firstSight)} | ${costText(row.oneMessage)} |`,
    ),
  ].join('\n');
}

function costText({ ms, maxSliceMs, peakMiB }: TurnCost): string {
  return `${ms.toFixed(0)} ms, slice ${maxSliceMs.toFixed(0)} ms, peak ${peakMiB} MiB`;
}

async function benchSize(plan: TurnBenchPlan, sizeChars: number): Promise<TurnBenchRow> {
  plan.onStep(`a history of ${(sizeChars / 1e6).toFixed(0)}M characters`);
  const random = new Random(plan.seed);
  const history = historyOf(random, sizeChars);
  const fresh = (run: number): Buffer => Buffer.concat([history, lastMessages(run), end]);
  await using server = await startServer(plan.workDir);
  const firstSight = await server.send('/intake', fresh(0));
  const receiving: TurnCost[] = [];
  const known: TurnCost[] = [];
  for (let run = 1; run <= plan.runs; run += 1) {
    receiving.push(await server.send('/receive', fresh(run)));
    known.push(await server.send('/intake', fresh(run)));
  }
  // Its memory is to be its own.
  await using other = await startServer(plan.workDir);
  const large = Buffer.concat([begin, largeMessage(random, sizeChars * 0.6), end]);
  const oneMessage = await other.send('/intake', large);
  const row = { receiving: median(receiving), known: median(known) };
  return {
    sizeChars,
    bodyBytes: history.length,
    ...row,
    firstSight,
    oneMessage,
    ratio: row.known.ms / row.receiving.ms,
  };
}

/** The middle time; of slices and memory the worst. */
function median(costs: readonly TurnCost[]): TurnCost {
  return {
    ms: percentile(
      costs.map(({ ms }) => ms),
      0.5,
    ),
    maxSliceMs: Math.max(...costs.map(({ maxSliceMs }) => maxSliceMs)),
    peakMiB: Math.max(...costs.map(({ peakMiB }) => peakMiB)),
  };
}

const begin = Buffer.from('{"model":"m","messages":[');
const end = Buffer.from('],"tools":[]}');

/** Turns with outputs of 20,000 characters, as code looks in JSON: quotes and line ends escaped. */
function historyOf(random: Random, sizeChars: number): Buffer {
  const pieces: Buffer[] = [begin];
  for (let size = 0, turn = 0; size < sizeChars; turn += 1) {
    const call = {
      id: `call_${turn}`,
      type: 'function',
      function: { name: 'bash', arguments: `{"command":"show ${turn}"}` },
    };
    const output = codeText(random, 20_000, turn);
    const messages = [
      { role: 'user', content: `Question ${turn}?` },
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', tool_call_id: call.id, content: output },
      { role: 'assistant', content: `Answer ${turn}.` },
    ];
    pieces.push(Buffer.from(`${messages.map((message) => JSON.stringify(message)).join(',')},`));
    size += output.length;
  }
  return Buffer.concat(pieces);
}

function lastMessages(run: number): Buffer {
  const messages = [
    { role: 'user', content: `New question ${run}?` },
    { role: 'assistant', content: `New answer ${run}.` },
    { role: 'user', content: `And then ${run}?` },
  ];
  return Buffer.from(messages.map((message) => JSON.stringify(message)).join(','));
}

function largeMessage(random: Random, sizeChars: number): Buffer {
  return Buffer.from(JSON.stringify({ role: 'user', content: codeText(random, sizeChars, -1) }));
}

function codeText(random: Random, sizeChars: number, turn: number): string {
  const lines: string[] = [];
  for (let size = 0, n = 0; size < sizeChars; n += 1) {
    const line = `  const value${random.below(1000)} = read("file-${turn}-${n}.ts", { depth: ${random.below(99)} }); // naïve: ünïcode`;
    lines.push(line);
    size += line.length + 1;
  }
  return lines.join('\n');
}

interface BenchServer extends AsyncDisposable {
  send(path: string, body: Buffer): Promise<TurnCost>;
}

async function startServer(workDir: string): Promise<BenchServer> {
  const dataDir = await mkdtemp(join(workDir, 'rlm-bench-turn-'));
  // The same file beside this one, as source or built.
  const here = fileURLToPath(import.meta.url);
  const child = fork(here.replace(/turn-bench(\.\w+)$/, `turn-bench-server${extname(here)}`), [
    dataDir,
  ]);
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  return {
    send: async (path, body) => send(port, path, body),
    [Symbol.asyncDispose]: async () => {
      await stop(child);
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

async function stop(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.disconnect();
  await exited;
}

async function send(port: number, path: string, body: Buffer): Promise<TurnCost> {
  const headers = {
    'content-type': 'application/json',
    'content-length': body.length,
    'x-rlm-directory': '/bench',
  };
  const text = await new Promise<string>((resolve, reject) => {
    const request = httpRequest(
      { port, host: '127.0.0.1', path, method: 'POST', headers },
      (response) => {
        Array.fromAsync<Buffer>(response).then(
          (pieces) => resolve(Buffer.concat(pieces).toString()),
          reject,
        );
      },
    );
    request.on('error', reject);
    request.end(body);
  });
  return JSON.parse(text) as TurnCost;
}

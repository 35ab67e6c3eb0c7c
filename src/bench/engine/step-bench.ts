import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type Started, startProxy, stop, useOf } from './bench-processes.ts';
import { writeCorpus } from './corpus-file.ts';
import { injectHeader } from '../../clients/origin.ts';
import { percentile } from '../questions/scoring.ts';
import { countByRipgrep, findRipgrep } from './search-bench.ts';

/** What to measure. */
interface StepBenchPlan {
  /** The program's main module, run with `serve`. */
  readonly program: string;
  /** Characters of stored text, one store each. */
  readonly sizesChars: readonly number[];
  readonly workDir: string;
  readonly seed: number;
  /** Repetitions; medians are told. */
  readonly runs: number;
  readonly onStep: (step: string) => void;
  readonly signal: AbortSignal;
}

/** One call as a model makes it, medians in milliseconds. */
interface StepRow {
  readonly what: string;
  /** From the last byte of the tool call in the upstream's stream to the next upstream request. */
  readonly stepMs: number;
  /**
   * `rg -c` of the same over the same text, as a process; absent for a call that searches nothing.
   */
  readonly ripgrepMs?: number;
}

/** The figures of one size. */
export interface StepBenchResult {
  readonly chars: number;
  readonly rows: readonly StepRow[];
  /** What a turn that searches nothing costs the server; absent where the system does not tell. */
  readonly quietTurn?: { readonly readBytes: number; readonly cpuMs: number } | undefined;
  /** Chats that search at once. */
  readonly crowd: {
    readonly chats: number;
    readonly medianMs: number;
    readonly p99Ms: number;
    /** Turns of the chat that got fewest, over those of the chat that got most. */
    readonly fairness: number;
  };
}

/** What a model calls, and what ripgrep is asked beside it. */
const calls = [
  { what: 'needle', tool: 'rlm_search', args: { pattern: 'needle-3fa9c01d' } },
  { what: 'absent text', tool: 'rlm_search', args: { pattern: 'zzqx_never_there' } },
  {
    what: 'createHash\\(.*sha256',
    tool: 'rlm_search',
    args: { pattern: 'createHash\\(.*sha256' },
  },
  { what: 'find of an absent text', tool: 'rlm_find', args: { text: 'zzqx_never_there(' } },
  { what: 'rlm_stats', tool: 'rlm_stats', args: {} },
] as const;

/** What the model of the bench calls: one of our tools. */
export interface ModelCall {
  readonly tool: string;
  readonly args: Readonly<Record<string, unknown>>;
}

type Call = (typeof calls)[number];

/**
 * Chats that search at once in the crowd, and turns that each of them gets at most, after some that
 * are not counted.
 */
const crowd = { chats: 8, turns: 100, warmUpTurns: 15 };

/**
 * Measures what a model waits for: each call through the real server, in a process of its own, from
 * the end of the call in the upstream's stream to the next request, turn about with `rg -c` over
 * the same text.
 * @throws Error when the server does not start or a turn does not end
 */
export async function benchSteps(plan: StepBenchPlan): Promise<readonly StepBenchResult[]> {
  const results: StepBenchResult[] = [];
  for (const chars of plan.sizesChars) {
    plan.signal.throwIfAborted();
    const folder = await mkdtemp(join(plan.workDir, 'rlm-bench-steps-'));
    try {
      results.push(await benchSize(plan, folder, chars));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  return results;
}

/** The results as Markdown tables. */
export function stepBenchTable(results: readonly StepBenchResult[]): string {
  return results.map(sizeTable).join('\n\n');
}

function sizeTable({ chars, rows, quietTurn, crowd: many }: StepBenchResult): string {
  const lines = [
    `| ${(chars / 1e6).toFixed(0)}M characters | step | rg -c | rg/step |`,
    '|---|---:|---:|---:|',
    ...rows.map(({ what, stepMs, ripgrepMs }) =>
      ripgrepMs === undefined
        ? `| ${what} | ${stepMs.toFixed(2)} ms | | |`
        : `| ${what} | ${stepMs.toFixed(2)} ms | ${ripgrepMs.toFixed(1)} ms | ${(ripgrepMs / stepMs).toFixed(1)}x |`,
    ),
    '',
  ];
  if (quietTurn !== undefined)
    lines.push(
      `a turn that searches nothing: ${(quietTurn.readBytes / 1e6).toFixed(3)} MB read, ${quietTurn.cpuMs.toFixed(1)} ms of processor`,
    );
  lines.push(
    `${many.chats} chats searching at once: p50 ${many.medianMs.toFixed(1)} ms, p99 ${many.p99Ms.toFixed(1)} ms (${(many.p99Ms / many.medianMs).toFixed(1)}x); fewest turns of a chat ${(100 * many.fairness).toFixed(0)} % of the most`,
  );
  return lines.join('\n');
}

async function benchSize(
  plan: StepBenchPlan,
  folder: string,
  chars: number,
): Promise<StepBenchResult> {
  const say = (step: string): void =>
    plan.onStep(`${(chars / 1e6).toFixed(0)}M characters: ${step}`);
  const project = join(folder, 'project');
  const dataDir = join(folder, 'data');
  await mkdir(project, { recursive: true });
  await mkdir(dataDir, { recursive: true });
  say('writing the text');
  const { textPath } = writeCorpus(project, chars, plan.seed);
  const ripgrep = await findRipgrep();
  await using upstream = await startUpstream();
  const proxy = await startProxy(plan.program, { dataDir, upstream: `${upstream.origin}/v1` });
  try {
    say('storing it');
    await ingest(plan.program, { dataDir, project, textPath });
    const ask = async (call: Call | undefined, chat: string): Promise<number> =>
      (await askModel(upstream, proxy, { project, call, chat })).stepMs;
    say('warming up');
    for (const call of [undefined, ...calls])
      for (let n = 0; n < 3; n += 1) await ask(call, 'warm');
    const rows: StepRow[] = [];
    for (const call of calls) {
      say(call.what);
      rows.push(await row(plan, call, { ask, ripgrep, textPath }));
    }
    say('turns that search nothing');
    const quietTurn = await quietTurns(plan, proxy, () => ask(undefined, 'quiet'));
    say(`${crowd.chats} chats at once`);
    const many = await searchTogether(async (chat) => ask(calls[0], chat));
    return { chars, rows, quietTurn, crowd: many };
  } finally {
    await stop(proxy.child);
  }
}

async function row(
  plan: StepBenchPlan,
  call: Call,
  given: {
    readonly ask: (call: Call, chat: string) => Promise<number>;
    readonly ripgrep: string;
    readonly textPath: string;
  },
): Promise<StepRow> {
  const pattern = 'pattern' in call.args ? call.args.pattern : undefined;
  const literal = 'text' in call.args ? call.args.text : undefined;
  const steps: number[] = [];
  const ripgrep: number[] = [];
  for (let run = 0; run < plan.runs; run += 1) {
    plan.signal.throwIfAborted();
    steps.push(await given.ask(call, 'row'));
    const wanted = pattern ?? literal?.replaceAll(/\W/g, '\\$&');
    if (wanted === undefined) continue;
    const startMs = performance.now();
    await countByRipgrep(given.ripgrep, wanted, given.textPath);
    ripgrep.push(performance.now() - startMs);
  }
  return {
    what: call.what,
    stepMs: percentile(steps, 0.5),
    ...(ripgrep.length === 0 ? {} : { ripgrepMs: percentile(ripgrep, 0.5) }),
  };
}

async function quietTurns(
  { runs }: StepBenchPlan,
  { child }: Started,
  turn: () => Promise<unknown>,
): Promise<StepBenchResult['quietTurn']> {
  const before = useOf(child);
  for (let run = 0; run < runs; run += 1) await turn();
  const after = useOf(child);
  if (before === undefined || after === undefined) return undefined;
  return {
    readBytes: (after.readBytes - before.readBytes) / runs,
    cpuMs: (after.cpuMs - before.cpuMs) / runs,
  };
}

/** Each chat asks again as soon as it has its answer, until one of them has had all its turns. */
async function searchTogether(
  ask: (chat: string) => Promise<number>,
): Promise<StepBenchResult['crowd']> {
  const turns = Array.from({ length: crowd.chats }, () => 0);
  const times: number[] = [];
  // As with the single calls: what is measured is a server at work, not its compiler.
  await Promise.all(
    turns.map(async (_, chat) => {
      for (let n = 0; n < crowd.warmUpTurns; n += 1) await ask(`crowd-${chat}`);
    }),
  );
  await Promise.all(
    turns.map(async (_, chat) => {
      while (Math.max(...turns) < crowd.turns) {
        times.push(await ask(`crowd-${chat}`));
        turns[chat] = (turns[chat] ?? 0) + 1;
      }
    }),
  );
  return {
    chats: crowd.chats,
    medianMs: percentile(times, 0.5),
    p99Ms: percentile(times, 0.99),
    fairness: Math.min(...turns) / Math.max(...turns),
  };
}

/** Stores a file or a tree with the program's own command. @throws Error when it fails */
export async function ingest(
  program: string,
  where: { readonly dataDir: string; readonly project: string; readonly textPath: string },
): Promise<void> {
  const { dataDir, project, textPath } = where;
  const args = [program, 'ingest', textPath, '--directory', project, '--data-dir', dataDir];
  const child = spawn(process.execPath, args, {
    stdio: 'ignore',
    env: { PATH: process.env['PATH'], HOME: dataDir, XDG_CONFIG_HOME: dataDir },
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  const { size } = await stat(textPath);
  if (code !== 0) throw new Error(`${size} bytes could not be stored: ingest ended with ${code}.`);
}

/**
 * One turn. @returns Milliseconds of the whole turn, and from the end of the call to the next
 * upstream request (0 where nothing is called). @throws Error when the turn does not end
 */
export async function askModel(
  upstream: ModelUpstream,
  proxy: Started,
  turn: { readonly project: string; readonly call: ModelCall | undefined; readonly chat: string },
): Promise<{ readonly turnMs: number; readonly stepMs: number }> {
  const { project, call, chat } = turn;
  const id = upstream.expect(call);
  const startMs = performance.now();
  const response = await fetch(`${proxy.origin}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-rlm-directory': encodeURIComponent(project),
      'x-session-id': chat,
      [injectHeader]: 'always',
    },
    body: JSON.stringify({
      model: 'bench',
      stream: true,
      messages: [{ role: 'user', content: `Ask ${id}.` }],
    }),
  });
  const text = await response.text();
  if (!text.includes('[DONE]')) throw new Error(`A turn did not end: ${text.slice(-400)}`);
  return { turnMs: performance.now() - startMs, stepMs: upstream.stepMs(id) };
}

/** The provider of a bench. */
export interface ModelUpstream extends AsyncDisposable {
  readonly origin: string;
  /** @returns The number to ask for, so that the turn's requests are told apart from others' */
  expect(call: ModelCall | undefined): number;
  stepMs(id: number): number;
}

/**
 * The provider: makes the expected call in the first step of a turn, and ends the turn in the
 * second.
 */
export async function startUpstream(): Promise<ModelUpstream> {
  const expected = new Map<
    number,
    { call: ModelCall | undefined; endMs: number; stepMs: number }
  >();
  let lastId = 0;
  const answer = (body: string, startMs: number, response: ServerResponse): void => {
    const turn = expected.get(Number(/Ask (\d+)\./.exec(body)?.[1]));
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const isSecond = turn !== undefined && turn.endMs > 0;
    if (turn === undefined || turn.call === undefined || isSecond) {
      if (isSecond) turn.stepMs = startMs - turn.endMs;
      response.end(frames({ content: 'Done.' }, 'stop'));
      return;
    }
    const { tool, args } = turn.call;
    const call = {
      index: 0,
      id: `call_bench_${lastId}`,
      type: 'function',
      function: { name: tool, arguments: JSON.stringify(args) },
    };
    turn.endMs = performance.now();
    response.end(frames({ tool_calls: [call] }, 'tool_calls'));
  };
  const server = createServer((request, response) => {
    // A request has come when its head has.
    const startMs = performance.now();
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => answer(Buffer.concat(pieces).toString(), startMs, response));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    expect: (call) => {
      lastId += 1;
      expected.set(lastId, { call, endMs: 0, stepMs: 0 });
      return lastId;
    },
    stepMs: (id) => {
      const turn = expected.get(id);
      expected.delete(id);
      if (turn === undefined || (turn.call !== undefined && turn.stepMs === 0))
        throw new Error('The model was not asked again after its call.');
      return turn.stepMs;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}

function frames(delta: unknown, finishReason: string): string {
  const head = { id: 'chatcmpl-bench', object: 'chat.completion.chunk', created: 1_700_000_000 };
  const frame = (choice: unknown): string =>
    `data: ${JSON.stringify({ ...head, model: 'bench', choices: [choice] })}\n\n`;
  const first = frame({ index: 0, delta: { role: 'assistant', ...(delta as object) } });
  const last = frame({ index: 0, delta: {}, finish_reason: finishReason });
  return `${first}${last}data: [DONE]\n\n`;
}

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startProxy, stop, type Started } from './bench-processes.ts';
import type { LoopLag } from './event-loop-probe.ts';
import { percentile } from '../questions/scoring.ts';
import { askModel, ingest, type ModelCall, startUpstream } from './step-bench.ts';

/** What to measure. */
interface EntriesBenchPlan {
  /** The program's main module, run with `serve`. */
  readonly program: string;
  /** Entries of the two stores that are compared. */
  readonly counts: readonly [few: number, many: number];
  readonly workDir: string;
  /** Repetitions; medians are told. */
  readonly runs: number;
  readonly onStep: (step: string) => void;
  readonly signal: AbortSignal;
}

/** The figures of one store. All times are medians, milliseconds. */
interface EntriesRow {
  readonly entries: number;
  /** Whole turns, by what the model calls. */
  readonly turnMs: Readonly<Record<string, number>>;
  /** The first turn after a restart, nothing called. */
  readonly firstTurnMs: number;
  /** `JSON.parse` of the journal's lines, in a process of its own. */
  readonly parseMs: number;
  /**
   * The latest the event loop was in any first turn, beside what it is late in one of an empty
   * store.
   */
  readonly firstTurnLateMs: number;
}

/** What `bench entries` measures. */
export interface EntriesBench {
  readonly rows: readonly EntriesRow[];
}

const calls: readonly (ModelCall & { readonly what: string })[] = [
  { what: 'rlm_stats', tool: 'rlm_stats', args: {} },
  {
    what: 'search with a path',
    tool: 'rlm_search',
    args: { pattern: 'answer 17', filters: { path: 'part-1/**' } },
  },
];

/**
 * Lines that a small file has, so that a store of many entries is a store of many and not of much.
 */
const linesOfAFile = 3;

const filesOfAFolder = 1_000;

/**
 * Measures whether what a turn costs depends on how many entries a store holds. @throws Error when
 * the server does not start or a turn fails
 */
export async function benchEntries(plan: EntriesBenchPlan): Promise<EntriesBench> {
  const folder = await mkdtemp(join(plan.workDir, 'rlm-bench-entries-'));
  try {
    const stores: Store[] = [];
    for (const entries of plan.counts) {
      plan.onStep(`${entries} entries: storing`);
      stores.push(await makeStore(plan, join(folder, String(entries)), entries));
    }
    await using upstream = await startUpstream();
    const rows = stores.map(({ entries }) => ({
      entries,
      turns: new Map<string, number[]>(calls.map(({ what }) => [what, []])),
      first: [] as number[],
      parse: [] as number[],
      late: [] as number[],
    }));
    for (let run = 0; run < plan.runs; run += 1) {
      for (const [at, store] of stores.entries()) {
        plan.signal.throwIfAborted();
        plan.onStep(`${store.entries} entries: restart ${run + 1} of ${plan.runs}`);
        const row = rows[at]!;
        const proxy = await startProxy(plan.program, {
          dataDir: store.dataDir,
          upstream: `${upstream.origin}/v1`,
        });
        const turn = async (call: ModelCall | undefined): Promise<number> =>
          (await askModel(upstream, proxy, { project: store.project, call, chat: 'bench' })).turnMs;
        try {
          // What any process compiles in its first turn is not what this is about.
          await askModel(upstream, proxy, { project: folder, call: undefined, chat: 'other' });
          await lagOf(proxy);
          row.first.push(await turn(undefined));
          row.late.push((await lagOf(proxy)).maxMs);
          row.parse.push(await parseJournal(store.dataDir));
          for (const call of calls) {
            for (let warm = 0; warm < 3; warm += 1) await turn(call);
            for (let n = 0; n < plan.runs; n += 1) row.turns.get(call.what)!.push(await turn(call));
          }
        } finally {
          await stop(proxy.child);
        }
      }
    }
    return {
      rows: rows.map(({ entries, turns, first, parse, late }) => ({
        entries,
        turnMs: Object.fromEntries([...turns].map(([what, ms]) => [what, percentile(ms, 0.5)])),
        firstTurnMs: percentile(first, 0.5),
        parseMs: percentile(parse, 0.5),
        firstTurnLateMs: Math.max(...late),
      })),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The results as a Markdown table, each beside what is wanted of it. */
export function entriesBenchTable({ rows }: EntriesBench): string {
  const [few, many] = rows;
  if (few === undefined || many === undefined) return '';
  const lines = [
    ['', `${few.entries} entries`, `${many.entries} entries`, '', 'wanted'],
    ['---', '---:', '---:', '---:', '---'],
    ...calls.map(({ what }) => {
      const [a = NaN, b = NaN] = [few.turnMs[what], many.turnMs[what]];
      return [`turn with ${what}`, ms(a), ms(b), `${(b / a).toFixed(2)}x`, 'at most 1.5x'];
    }),
    ['first turn after a restart', ms(few.firstTurnMs), ms(many.firstTurnMs), '', ''],
    [
      '... of parsing the journal',
      ms(few.parseMs),
      ms(many.parseMs),
      `${(many.firstTurnMs / many.parseMs).toFixed(2)}x`,
      'at most 2.5x',
    ],
    [
      '... event loop late, at most',
      ms(few.firstTurnLateMs),
      ms(many.firstTurnLateMs),
      '',
      'at most 50 ms',
    ],
  ];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}

interface Store {
  readonly entries: number;
  readonly project: string;
  readonly dataDir: string;
}

async function makeStore(plan: EntriesBenchPlan, folder: string, entries: number): Promise<Store> {
  const project = join(folder, 'project');
  const dataDir = join(folder, 'data');
  await mkdir(dataDir, { recursive: true });
  for (let at = 0; at < entries; at += 1) {
    const part = join(project, `part-${Math.floor(at / filesOfAFolder)}`);
    if (at % filesOfAFolder === 0) await mkdir(part, { recursive: true });
    const line = `file ${at}: the answer ${at % 97} to question ${at}, as somebody wrote it down\n`;
    await writeFile(join(part, `note-${at}.txt`), line.repeat(linesOfAFile));
  }
  await ingest(plan.program, { dataDir, project, textPath: project });
  return { entries, project, dataDir };
}

async function parseJournal(dataDir: string): Promise<number> {
  const folder = join(dataDir, 'sessions');
  const names = await readdir(folder);
  const journals = names.filter((name) => name.endsWith('_entries.jsonl'));
  const code = `const { readFileSync } = require('node:fs');
    const startMs = performance.now();
    for (const path of process.argv.slice(1))
      for (const line of readFileSync(path, 'utf8').split('\\n')) if (line !== '') JSON.parse(line);
    process.stdout.write(String(performance.now() - startMs));`;
  const args = ['-e', code, ...journals.map((name) => join(folder, name))];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (bytes: Buffer) => (said += String(bytes)));
  await once(child, 'close');
  return Number(said);
}

async function lagOf({ child }: Started): Promise<LoopLag> {
  const told = once(child, 'message');
  child.send('loop-lag');
  // The probe answers with nothing else.
  return (await told)[0] as LoopLag;
}

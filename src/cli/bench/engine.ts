import { tmpdir } from 'node:os';
import { Command } from 'commander';
import { writeResults } from './document.ts';
import { sizeList, wholeNumber } from '../numbers.ts';
import { ProgressLine } from '../progress-line.ts';
import { jsonText, print } from '../screen.ts';

interface EngineFlags {
  readonly sizes: readonly number[];
  readonly seed: number;
  readonly runs: number;
  readonly out: string;
  readonly workDir: string;
  readonly json?: boolean;
}

/** A benchmark of one part of the engine: its results as data, and as a table. */
interface EngineBench {
  readonly name: string;
  readonly description: string;
  readonly run: (
    flags: EngineFlags,
    onStep: (step: string) => void,
    signal: AbortSignal,
  ) => Promise<{ readonly results: unknown; readonly table: string }>;
}

// Each loads its own code only when it runs: the other commands start sooner without it.
const benches: readonly EngineBench[] = [
  {
    name: 'search',
    description: 'search against ripgrep: index, scan, hostile patterns, memory, event loop',
    run: async ({ sizes, workDir, seed, runs }, onStep, signal) => {
      const { benchSearch, searchBenchTable } = await import('../../bench/engine/search-bench.ts');
      const results = await benchSearch({ sizesChars: sizes, workDir, seed, runs, onStep, signal });
      return { results, table: searchBenchTable(results) };
    },
  },
  {
    name: 'store',
    description: 'the store: ingest, commits, reads at any offset, opening',
    run: async ({ sizes, workDir, seed }, onStep, signal) => {
      const { benchStore, storeBenchTable } = await import('../../bench/engine/store-bench.ts');
      const results = await benchStore({ sizesChars: sizes, workDir, seed, onStep, signal });
      return { results, table: storeBenchTable(results) };
    },
  },
  {
    name: 'steps',
    description: 'what a model waits for: each call through the real server, beside rg -c',
    run: async ({ sizes, workDir, seed, runs }, onStep, signal) => {
      const { benchSteps, stepBenchTable } = await import('../../bench/engine/step-bench.ts');
      const program = process.argv[1] ?? '';
      const plan = { program, sizesChars: sizes, workDir, seed, runs, onStep, signal };
      const results = await benchSteps(plan);
      return { results, table: stepBenchTable(results) };
    },
  },
  {
    name: 'entries',
    description: 'turns in a store of 100 entries and in one of 60,000, whatever --sizes says',
    run: async ({ workDir, runs }, onStep, signal) => {
      const { benchEntries, entriesBenchTable } =
        await import('../../bench/engine/entries-bench.ts');
      const program = process.argv[1] ?? '';
      const counts = [100, 60_000] as const;
      const results = await benchEntries({ program, counts, workDir, runs, onStep, signal });
      return { results, table: entriesBenchTable(results) };
    },
  },
  {
    name: 'turn',
    description: 'a turn by the length of the history that the client sends again',
    run: async ({ sizes, workDir, seed, runs }, onStep, signal) => {
      const { benchTurn, turnBenchTable } = await import('../../bench/engine/turn-bench.ts');
      const results = await benchTurn({ sizesChars: sizes, workDir, seed, runs, onStep, signal });
      return { results, table: turnBenchTable(results) };
    },
  },
];

/** `rlm-opencode bench search | store | steps | entries | turn`. */
export function engineBenchCommands(): readonly Command[] {
  return benches.map((bench) =>
    new Command(bench.name)
      .description(bench.description)
      .option('--sizes <list>', 'characters of text, such as 1M,100M,1G', sizeList, [1e6, 1e7, 1e8])
      .option('--seed <number>', 'another seed makes another text', wholeNumber(0), 1)
      .option('--runs <count>', 'repetitions of each measurement', wholeNumber(1), 5)
      .option('--out <dir>', 'where the results go', 'bench-results')
      .option('--work-dir <dir>', 'where texts and stores are kept meanwhile', tmpdir())
      .option('--json', 'print the results as JSON')
      .action(async (flags: EngineFlags) => runEngineBench(bench, flags)),
  );
}

async function runEngineBench(bench: EngineBench, flags: EngineFlags): Promise<void> {
  const line = new ProgressLine();
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort(new Error('stopped')));
  const { results, table } = await bench.run(flags, (step) => line.text(step), stop.signal);
  line.clear();
  await writeResults(flags.out, bench.name, results, table);
  print(flags.json === true ? `${jsonText(results, 2)}\n` : `${table}\n`);
}

import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { estimateRun } from '../bench/bench-estimate.ts';
import { shortSize, summarize, tableOf } from '../bench/bench-summary.ts';
import { benchKinds, type BenchKind } from '../bench/cases.ts';
import { CellLog, type BenchCell } from '../bench/cells.ts';
import { plotOf } from '../bench/plot.ts';
import { runBench, type BenchPlan, type BenchWorld } from '../bench/rlm-bench.ts';
import type { Config } from '../config/resolve.ts';
import { bareUpstream, openBenchServer } from './bench-world.ts';
import { wholeNumber } from './numbers.ts';
import { addSettingFlags, loadFromFlags } from './setting-flags.ts';

/** What each benchmark asks, for `--help`. */
const descriptions: Readonly<Record<BenchKind, string>> = {
  niah: 'needles in a haystack: one, of several keys, several values, near-duplicates, paraphrased',
  aggregate: 'counts, tops and timelines over dated records of users',
  pairs: 'which pairs of users meet a condition',
  hops: 'the end of chains of assignments',
  codeqa: 'a generated repository with a known call graph',
  recall: 'the log of a long agent session',
};

interface BenchFlags {
  readonly sizes: readonly number[];
  readonly seeds: number;
  readonly questions?: readonly string[];
  readonly out: string;
  readonly workDir: string;
  readonly baseline?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** `rlm-opencode bench KIND`: one subcommand for each benchmark. */
export function benchCommand(): Command {
  const command = new Command('bench').description(
    'reproducible benchmarks through the real server; without an upstream a scripted policy plays the model',
  );
  for (const kind of benchKinds) command.addCommand(kindCommand(kind));
  return command;
}

function kindCommand(kind: BenchKind): Command {
  const command = new Command(kind)
    .description(descriptions[kind])
    .option('--sizes <list>', 'characters of context, such as 1M,10M,100M', sizeList, [1e6, 1e7])
    .option('--seeds <count>', 'different texts of each size', wholeNumber(1), 3)
    .option('--questions <list>', 'only these question ids', (text) => text.split(','))
    .option(
      '--out <dir>',
      'where the log, results and plot go; a run goes on where an earlier one stopped',
      'bench-results',
    )
    .option('--work-dir <dir>', 'where stores are kept while they are used', tmpdir())
    .option('--baseline', 'ask the upstream without the proxy too, the whole text in the prompt')
    .option('--yes', 'spend what the estimate says without asking again')
    .option('--json', 'print the results as JSON');
  return addSettingFlags(command, ['upstream-url', 'upstream-model']).action(
    async (flags: BenchFlags) => runKind(kind, flags),
  );
}

async function runKind(kind: BenchKind, flags: BenchFlags): Promise<void> {
  const { config } = loadFromFlags({ ...flags });
  const scripted = config.providers.length === 0;
  const model = scripted ? 'scripted policy, not a model' : modelName(config);
  const plan: BenchPlan = {
    kind,
    sizesChars: flags.sizes.toSorted((a, b) => a - b),
    seeds: Array.from({ length: flags.seeds }, (_, index) => index + 1),
    scriptedOnly: scripted,
    model,
    ...(flags.questions === undefined ? {} : { questions: flags.questions }),
  };
  await mkdir(flags.out, { recursive: true });
  const log = await CellLog.open(join(flags.out, `${kind}.cells.jsonl`));
  const bare = flags.baseline === true ? bareUpstream(config) : undefined;
  const estimate = estimateRun(plan, log, {
    ...(bare === undefined ? {} : { bare }),
    prices: pricesOf(config),
  });
  process.stderr.write(`${estimate.sentence}\n`);
  if (!scripted && estimate.questions > 0 && flags.yes !== true) {
    process.stderr.write('Nothing is spent yet: run it again with --yes.\n');
    return;
  }
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort(new Error('stopped; run it again to go on')));
  await runBench(
    plan,
    log,
    worldOf(config, flags, { signal: stop.signal, ...(bare === undefined ? {} : { bare }) }),
  );
  await report(
    kind,
    log.cells.filter((cell) => cell.model === model),
    flags,
  );
}

function worldOf(
  config: Config,
  flags: BenchFlags,
  given: Pick<BenchWorld, 'signal' | 'bare'>,
): BenchWorld {
  return {
    ...given,
    openServer: async (documents) => openBenchServer(config, flags.workDir, documents),
    onStored: ({ sizeChars, seed, ingestMs }) =>
      progress(`${shortSize(sizeChars)} seed ${seed}: stored in ${(ingestMs / 1000).toFixed(1)} s`),
    onCell: (cell) => progress(cellLine(cell)),
  };
}

function cellLine(cell: BenchCell): string {
  const outcome = cell.error ?? `score ${cell.score.toFixed(2)}`;
  return `${shortSize(cell.sizeChars)} seed ${cell.seed} ${cell.system} ${cell.question}: ${outcome}, ${(cell.elapsedMs / 1000).toFixed(2)} s`;
}

/** For whoever watches; a pipe gets only the results. */
function progress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`${line}\n`);
}

async function report(
  kind: BenchKind,
  cells: readonly BenchCell[],
  flags: BenchFlags,
): Promise<void> {
  const rows = summarize(cells);
  const result = { kind, model: cells[0]?.model, rows };
  await writeFile(join(flags.out, `${kind}.json`), `${JSON.stringify(result, undefined, 2)}\n`);
  const title = `rlm-opencode bench ${kind} (${result.model})`;
  await writeFile(join(flags.out, `${kind}.svg`), plotOf(title, rows));
  process.stdout.write(
    flags.json === true
      ? `${JSON.stringify(result, undefined, 2)}\n`
      : `${title}\n\n${tableOf(rows)}\n`,
  );
}

function modelName(config: Config): string {
  const [provider] = config.providers;
  return `${provider?.id}.${provider?.models[0]?.id ?? 'default'}`;
}

function pricesOf(config: Config) {
  const [provider] = config.providers;
  return provider?.models[0]?.prices ?? provider?.modelDefaults.prices;
}

/** `1M,300K,2.5G` as characters. */
function sizeList(text: string): readonly number[] {
  return text.split(',').map((one) => {
    const found = /^(\d+(?:\.\d+)?)([KMG]?)$/i.exec(one.trim());
    if (found === null) throw new InvalidArgumentError(`${one} is no size; write 500K, 10M or 1G.`);
    const unit = { '': 1, K: 1e3, M: 1e6, G: 1e9 }[(found[2] ?? '').toUpperCase()] ?? 1;
    return Math.round(Number(found[1]) * unit);
  });
}

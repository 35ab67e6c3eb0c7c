import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { estimateRun } from '../../bench/questions/bench-estimate.ts';
import { shortSize, summarize, tableOf } from '../../bench/questions/bench-summary.ts';
import type { BenchKind } from '../../bench/questions/cases.ts';
import { CellLog, type BenchCell } from '../../bench/questions/cells.ts';
import { plotOf } from '../../bench/questions/plot.ts';
import { runBench, type BenchPlan, type BenchWorld } from '../../bench/questions/rlm-bench.ts';
import { generators } from '../../bench/questions/generators/generators.ts';
import { ProxyError } from '../../errors.ts';
import type { Config } from '../../config/resolve.ts';
import type { BenchFlags } from './bench.ts';
import { writeResults } from './document.ts';
import { bareUpstream, openBenchServer } from './world.ts';
import { loadFromFlags } from '../setting-flags.ts';
import { jsonText, print, printError } from '../screen.ts';

/**
 * Runs one benchmark to its end, or to the next interruption, and writes log, results, plot and
 * table.
 */
export async function runKind(kind: BenchKind, flags: BenchFlags): Promise<void> {
  const { config } = loadFromFlags({ ...flags });
  const scripted = config.providers.length === 0;
  const model = scripted ? 'scripted policy, not a model' : modelName(config);
  const plan: BenchPlan = {
    kind,
    sizesChars: flags.sizes.toSorted((a, b) => a - b),
    seeds: Array.from({ length: flags.seeds }, (_, index) => index + 1),
    scriptedOnly: scripted,
    model,
    questions: flags.questions,
  };
  await mkdir(flags.out, { recursive: true });
  const log = await CellLog.open(join(flags.out, `${kind}.cells.jsonl`));
  const bare = flags.baseline === true ? bareUpstream(config) : undefined;
  const estimate = estimateRun(plan, log, {
    bare,
    prices: pricesOf(config),
  });
  printError(`${estimate.sentence}\n`);
  if (!scripted && estimate.questions > 0 && flags.yes !== true) {
    printError('Nothing is spent yet: run it again with --yes.\n');
    return;
  }
  const stop = new AbortController();
  process.once('SIGINT', () =>
    stop.abort(new ProxyError('cancelled', 'Stopped. Run it again to go on.')),
  );
  await runBench(plan, log, worldOf(config, flags, { signal: stop.signal, bare }));
  await report(
    plan,
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
  if (process.stderr.isTTY) printError(`${line}\n`);
}

async function report(
  plan: BenchPlan,
  cells: readonly BenchCell[],
  flags: BenchFlags,
): Promise<void> {
  const { kind } = plan;
  const rows = summarize(cells);
  const asked = new Set(cells.map((cell) => cell.question));
  const { ids, said } = casesOf(plan);
  const notAsked = ids.filter((id) => !asked.has(id));
  const result = { kind, model: cells[0]?.model, rows, notAsked, ...(said.length > 0 && { said }) };
  const title = `rlm-opencode bench ${kind} (${result.model})`;
  const text = [
    title,
    tableOf(rows),
    ...(notAsked.length === 0 ? [] : [`Not asked: ${notAsked.join(', ')}.`]),
    ...said,
  ].join('\n\n');
  await writeResults(flags.out, kind, result, text);
  await writeFile(join(flags.out, `${kind}.svg`), plotOf(title, rows));
  print(flags.json === true ? `${jsonText(result, 2)}\n` : `${text}\n`);
}

/**
 * Ids of all questions of a plan, those that only a model can answer too, and what its cases say of
 * their texts, by size.
 */
function casesOf({ kind, seeds: [seed = 1], sizesChars }: BenchPlan): {
  readonly ids: readonly string[];
  readonly said: readonly string[];
} {
  const cases = sizesChars.map((size) => ({ size, ...generators[kind](seed, size) }));
  return {
    ids: [...new Set(cases.flatMap(({ questions }) => questions.map(({ id }) => id)))],
    said: cases.flatMap(({ size, said = [] }) =>
      said.length === 0 ? [] : [`Texts of ${shortSize(size)}:\n${said.join('\n')}`],
    ),
  };
}

/**
 * @throws ProxyError `config_invalid` where no model is named: the results must say who answered
 */
function modelName({ providers: [provider] }: Config): string {
  const model = provider?.models[0];
  if (provider !== undefined && model !== undefined) return `${provider.id}.${model.id}`;
  throw new ProxyError('config_invalid', 'No model is named for the upstream.', {
    hint: 'Name one with --upstream-model.',
  });
}

function pricesOf(config: Config) {
  const [provider] = config.providers;
  return provider?.models[0]?.prices ?? provider?.modelDefaults.prices;
}

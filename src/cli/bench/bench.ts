import { tmpdir } from 'node:os';
import { Command } from 'commander';
import { benchKinds, type BenchKind } from '../../bench/questions/cases.ts';
import { benchCommandCommand } from './command.ts';
import { benchDocumentCommand } from './document.ts';
import { engineBenchCommands } from './engine.ts';
import { benchProxyCommand } from './proxy.ts';
import { sizeList, wholeNumber } from '../numbers.ts';
import { addSettingFlags } from '../setting-flags.ts';

/** What each benchmark asks, for `--help`. */
const descriptions: Readonly<Record<BenchKind, string>> = {
  niah: 'needles in a haystack: one, of several keys, several values, near-duplicates, paraphrased',
  aggregate: 'counts, tops and timelines over dated records of users',
  pairs: 'which pairs of users meet a condition',
  hops: 'the end of chains of assignments',
  codeqa: 'a generated repository with a known call graph',
  recall: 'the log of a long agent session',
  real: 'changelogs, packages, mails and sources of this machine: counts, pairs, look-alikes, a graph, facts that are absent',
};

/** What the command line of a benchmark says. */
export interface BenchFlags {
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
  for (const engine of engineBenchCommands()) command.addCommand(engine);
  return command
    .addCommand(benchProxyCommand())
    .addCommand(benchCommandCommand())
    .addCommand(benchDocumentCommand());
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
    async (flags: BenchFlags) => {
      // Loaded only here: the other commands start sooner without it.
      const { runKind } = await import('./run.ts');
      await runKind(kind, flags);
    },
  );
}

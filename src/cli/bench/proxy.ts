import { Command } from 'commander';
import { writeResults } from './document.ts';
import { wholeNumber } from '../numbers.ts';
import { jsonText, print, printError } from '../screen.ts';

interface ProxyBenchFlags {
  readonly rounds: number;
  readonly out: string;
  readonly json?: boolean;
}

/** `rlm-opencode bench proxy`: what the proxy costs on the wire. */
export function benchProxyCommand(): Command {
  return new Command('proxy')
    .description(
      'what the proxy adds to a plain byte relay: first byte, chunks, requests, event loop',
    )
    .option(
      '--rounds <count>',
      'repetitions of each measurement, and seconds of each load',
      wholeNumber(1),
      5,
    )
    .option('--out <dir>', 'where the results go', 'bench-results')
    .option('--json', 'print the results as JSON')
    .action(async (flags: ProxyBenchFlags) => run(flags));
}

async function run({ rounds, out, json }: ProxyBenchFlags): Promise<void> {
  // Loaded only here: the other commands start sooner without it.
  const { runProxyBench } = await import('../../bench/engine/proxy-bench.ts');
  const { proxyBenchTable } = await import('../../bench/engine/proxy-bench-table.ts');
  const bench = await runProxyBench({
    program: process.argv[1] ?? '',
    rounds,
    onStep: (step) => printError(`${step}\n`),
  });
  const table = proxyBenchTable(bench);
  await writeResults(out, 'proxy', bench, table);
  print(json === true ? `${jsonText(bench)}\n` : table);
}

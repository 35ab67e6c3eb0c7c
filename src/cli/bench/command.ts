import { Command } from 'commander';
import { writeResults } from './document.ts';
import { charCount, wholeNumber } from '../numbers.ts';
import { printJson, print, printError } from '../screen.ts';

interface CommandBenchFlags {
  readonly chars: number;
  readonly rounds: number;
  readonly out: string;
  readonly json?: boolean;
}

/** `rlm-opencode bench command`: how long commands take as processes. */
export function benchCommandCommand(): Command {
  return new Command('command')
    .description('commands as processes, beside a Node that does nothing: start, search, listening')
    .option('--chars <count>', 'size of the store that is searched', charCount, 100_000_000)
    .option('--rounds <count>', 'repetitions of each command', wholeNumber(1), 11)
    .option('--out <dir>', 'where the results go', 'bench-results')
    .option('--json', 'print the results as JSON')
    .action(async ({ chars, rounds, out, json }: CommandBenchFlags) => {
      // Loaded only here: the other commands start sooner without it.
      const { benchCommands, commandBenchTable } =
        await import('../../bench/engine/command-bench.ts');
      const program = process.argv[1] ?? '';
      const bench = await benchCommands({
        program,
        chars,
        rounds,
        onStep: (step) => printError(`${step}\n`),
      });
      const table = commandBenchTable(bench);
      await writeResults(out, 'command', bench, table);
      if (json === true) printJson(bench);
      else print(table);
    });
}

import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { Command } from 'commander';
import { systemClock } from '../clock.ts';
import { logPath } from './background.ts';
import { addDataDirFlag, dataDirOf } from './data-dir-flag.ts';
import { wholeNumber } from './numbers.ts';
import { exitCodes, finish } from './run.ts';
import { print, printError } from './screen.ts';

/** Only the end of a log is read, bytes. */
const maxTailBytes = 1_000_000;
/** Between two looks at a followed log, milliseconds. */
const pollMs = 300;

/** `rlm-opencode logs`: the end of the background server's log. */
export function logsCommand(): Command {
  const command = new Command('logs')
    .description("show the end of the background server's log")
    .option('-n, --lines <count>', 'how many lines', wholeNumber(1), 50)
    .option('-f, --follow', 'go on with what is added');
  return addDataDirFlag(command).action(
    async (options: { lines: number; follow?: boolean; dataDir?: string }) => {
      const path = logPath(await dataDirOf(options));
      if (!existsSync(path)) {
        printError(`There is no ${path}; \`serve --background\` makes it.\n`);
        finish(exitCodes.nothing);
        return;
      }
      let seenBytes = statSync(path).size;
      const start = Math.max(0, seenBytes - maxTailBytes);
      const lines = readRange(path, start, seenBytes).trimEnd().split('\n');
      print(`${lines.slice(-options.lines).join('\n')}\n`);
      while (options.follow === true) {
        await systemClock.sleep(pollMs);
        const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
        if (size < seenBytes) seenBytes = 0;
        print(readRange(path, seenBytes, size));
        seenBytes = size;
      }
    },
  );
}

function readRange(path: string, start: number, end: number): string {
  if (end <= start) return '';
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(end - start);
    return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, start)).toString();
  } finally {
    closeSync(file);
  }
}

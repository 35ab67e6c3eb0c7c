import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { Command } from 'commander';
import { systemClock } from '../clock.ts';
import { logPath } from './background.ts';
import { isObject, parseJson } from '../wire/json.ts';
import { addDataDirFlag, dataDirOf } from './data-dir-flag.ts';
import { wholeNumber } from './numbers.ts';
import { exitCodes, finish } from './run.ts';
import { print, printError, printStyled } from './screen.ts';
import { shortPath } from './start-text.ts';
import { terminalLine } from './terminal-log.ts';

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
        printError(
          `There is no ${shortPath(path)} yet: a background server writes it.\nStart one: rlm-opencode serve --background\n`,
        );
        finish(exitCodes.nothing);
        return;
      }
      let seenBytes = statSync(path).size;
      const start = Math.max(0, seenBytes - maxTailBytes);
      const lines = readRange(path, start, seenBytes).trimEnd().split('\n');
      show(`${lines.slice(-options.lines).join('\n')}\n`);
      while (options.follow === true) {
        await systemClock.sleep(pollMs);
        const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
        if (size < seenBytes) seenBytes = 0;
        // A line that is still being written is shown when it is whole.
        const text = readRange(path, seenBytes, size);
        const whole = text.slice(0, text.lastIndexOf('\n') + 1);
        show(whole);
        seenBytes += Buffer.byteLength(whole);
      }
    },
  );
}

/** Whole lines of the log: a terminal gets each as `serve` shows it, a pipe as it was written. */
function show(text: string): void {
  if (!process.stdout.isTTY) {
    print(text);
    return;
  }
  for (const line of text.split('\n').filter((one) => one !== '')) {
    if (isRecord(line)) printStyled(terminalLine(line, process.stdout.columns));
    else print(`${line}\n`);
  }
}

/** What a server writes before its log is open is no record. */
function isRecord(line: string): boolean {
  return isObject(parseJson(line));
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

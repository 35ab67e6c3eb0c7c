import { Command } from 'commander';
import { wholeNumber } from './numbers.ts';
import { withOperations } from './operations-client.ts';
import { exitCodes, finish } from './run.ts';
import { addSessionFlags, callTool, type SessionFlags } from './session-flags.ts';
import { jsonText, print, printError } from './screen.ts';

interface GetFlags extends SessionFlags {
  readonly entry?: string;
  readonly offset: number;
  readonly length?: number;
}

/** Most characters that one call of the tool reads. */
const pageChars = 50_000;
/** Read where nothing else is said and no entry is named, characters. */
const defaultChars = 10_000;

/** `rlm-opencode get`: the model's `rlm_get_context`, for people: stored text as it is. */
export function getCommand(): Command {
  const command = new Command('get')
    .description('print stored text')
    .option('--entry <id>', 'this entry, as in e12, whole if no length is given')
    .option('--offset <characters>', 'where to begin', wholeNumber(0), 0)
    .option('--length <characters>', 'how much', wholeNumber(1));
  return addSessionFlags(command).action((flags: GetFlags) => get(flags));
}

async function get(flags: GetFlags): Promise<void> {
  await withOperations(flags, async (call) => {
    const wanted = flags.length ?? (flags.entry === undefined ? defaultChars : Infinity);
    let { offset } = flags;
    for (let left = wanted; left > 0;) {
      const found = await callTool(call, flags, {
        name: 'rlm_get_context',
        arguments: {
          offset,
          length: Math.min(left, pageChars),
          entry: flags.entry,
        },
      });
      if (found === undefined) {
        finish(exitCodes.nothing);
        return;
      }
      const { text, length, has_more: hasMore, next_offset: next } = found.answer;
      // Where an entry ends the next call goes on: that needs no word here.
      if (hasMore !== true && typeof found.answer['note'] === 'string')
        printError(`${found.answer['note']}\n`);
      print(flags.json === true ? `${jsonText(found)}\n` : String(text));
      if (length === 0 && offset === flags.offset) finish(exitCodes.nothing);
      if (hasMore !== true) return;
      left -= Number(length);
      const gap = Number(next) - Number(found.answer['offset']) - Number(length);
      // The newline between two texts is part of neither, and of what is printed.
      if (gap === 1 && left > 0 && flags.json !== true) {
        print('\n');
        left -= 1;
      }
      offset = Number(next);
    }
  });
}

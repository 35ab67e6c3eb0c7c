import { Command } from 'commander';
import { ProxyError } from '../errors.ts';
import { charCount, wholeNumber } from './numbers.ts';
import { type CallOperation, withOperations } from './operations-client.ts';
import { exitCodes, finish } from './run.ts';
import {
  addAsOfFlag,
  addScopeFlags,
  addSessionFlags,
  callTool,
  sayAsOf,
  type SessionFlags,
} from './session-flags.ts';
import { jsonText, print, printError } from './screen.ts';

interface GetFlags extends SessionFlags {
  readonly entry?: string;
  readonly offset: number;
  readonly length?: number;
  readonly context: number;
  readonly tail?: number;
  readonly against?: string;
}

/** Most characters that one call of the tool reads. */
const pageChars = 50_000;
/** Read where nothing else is said and no entry is named, characters. */
const defaultChars = 10_000;

/** `rlm-opencode get`: the model's `rlm_get_context`, for people: stored text as it is. */
export function getCommand(): Command {
  const command = new Command('get')
    .description('print stored text')
    .argument(
      '[place]',
      'e12, src/a.ts, a line of it with the lines around (e12:340, as search prints it), or lines 340 to 360 (e12:340-360); api:e12 and api:src/a.ts of a linked store',
    )
    .option('--entry <id>', 'this entry, as in e12, whole if no length is given')
    .option('--offset <characters>', 'where to begin', wholeNumber(0), 0)
    .option('--length <characters>', 'how much, such as 5000 or 20k', charCount)
    .option('-C, --context <lines>', 'lines shown around the line of a place', wholeNumber(0), 10)
    .option('--tail <lines>', 'the last lines', wholeNumber(1))
    .option('--against <entry>', 'what differs between the entry and this one, as a diff');
  return addAsOfFlag(addSessionFlags(addScopeFlags(command))).action(
    async (place: string | undefined, flags: GetFlags) => {
      const read = place === undefined ? undefined : readPlace(place);
      const named = { ...flags, ...(read === undefined ? {} : { entry: read.entry }) };
      const asked = inScope(named);
      await withOperations(flags, async (call) => {
        if (flags.against !== undefined)
          await printOnce(call, asked, { against: flags.against, length: pageChars });
        else if (flags.tail !== undefined) await printOnce(call, asked, { tail: flags.tail });
        else if (read?.first === undefined) await get(call, asked);
        else if (read.last === undefined)
          await printOnce(call, asked, { line: read.first, around: flags.context });
        else
          await printOnce(call, asked, {
            line: read.first,
            lines: Math.max(1, read.last - read.first + 1),
          });
      });
    },
  );
}

/** What is read of the store that `--scope` names: an entry of it bears its name. */
function inScope(flags: GetFlags): GetFlags {
  const { scope, entry } = flags;
  if (scope === undefined || ['session', 'linked'].includes(scope)) return flags;
  if (entry === undefined)
    throw new ProxyError('invalid_request', `Say what to read of ${scope}: \`get ${scope}:e12\`.`);
  return entry.startsWith(`${scope}:`) ? flags : { ...flags, entry: `${scope}:${entry}` };
}

/** `e12:340`, `src/a.ts:340-360`, or only what is in front of the colon. */
function readPlace(place: string): {
  readonly entry: string;
  readonly first?: number;
  readonly last?: number;
} {
  const found = /^(.+?):(\d+)(?:-(\d+))?(?::.*)?$/s.exec(place);
  if (found === null) return { entry: place };
  const last = found[3] === undefined ? {} : { last: Number(found[3]) };
  return { entry: found[1] ?? '', first: Number(found[2]), ...last };
}

/** One call of the tool, and what it gives. */
async function printOnce(call: CallOperation, flags: GetFlags, args: object): Promise<void> {
  const found = await callTool(call, flags, {
    name: 'rlm_get_context',
    arguments: { ...args, ...(flags.entry === undefined ? {} : { entry: flags.entry }) },
  });
  if (found === undefined) {
    finish(exitCodes.nothing);
    return;
  }
  sayAsOf(found);
  const { text, note } = found.answer;
  if (typeof note === 'string') printError(`${note}\n`);
  print(flags.json === true ? `${jsonText(found)}\n` : String(text));
}

async function get(call: CallOperation, flags: GetFlags): Promise<void> {
  const wanted = flags.length ?? (flags.entry === undefined ? defaultChars : Infinity);
  let { offset } = flags;
  for (let left = wanted; left > 0;) {
    const found = await callTool(call, flags, {
      name: 'rlm_get_context',
      arguments: {
        offset,
        length: Math.min(left, pageChars),
        ...(flags.entry === undefined ? {} : { entry: flags.entry }),
      },
    });
    if (found === undefined) {
      finish(exitCodes.nothing);
      return;
    }
    if (left === wanted) sayAsOf(found);
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
}

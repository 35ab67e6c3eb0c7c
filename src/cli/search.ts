import { Command } from 'commander';
import { ProxyError } from '../errors.ts';
import { HitPrinter, type PrintedHit } from './hit-printer.ts';
import { wholeNumber } from './numbers.ts';
import { type CallOperation, withOperations } from './operations-client.ts';
import { exitCodes, finish } from './run.ts';
import {
  addAsOfFlag,
  addScopeFlags,
  addSessionFlags,
  callTool,
  sayAsOf,
  scopeOf,
  type SessionFlags,
} from './session-flags.ts';
import { jsonText, print, printError } from './screen.ts';

interface SearchFlags extends SessionFlags {
  readonly ignoreCase?: boolean;
  readonly context?: number;
  readonly afterContext?: number;
  readonly beforeContext?: number;
  readonly lineNumber?: boolean;
  readonly wordRegexp?: boolean;
  readonly invertMatch?: boolean;
  readonly filesWithMatches?: boolean;
  readonly fixedStrings?: boolean;
  readonly maxCount?: number;
  readonly count?: boolean;
  readonly oldest?: boolean;
  readonly last?: boolean;
  readonly tool?: string;
  readonly path?: string;
  readonly since?: string;
  readonly entry?: string;
}

/** A question to `rlm_search` or `rlm_find`. */
interface Question {
  readonly name: 'rlm_search' | 'rlm_find';
  readonly subject: { readonly pattern: string } | { readonly text: string };
  readonly shown: { readonly pattern?: string; readonly text?: string };
}

/** Most hits that one call of a tool gives. */
const pageSize = 1000;

/** Most lines around a hit that a tool gives. */
const maxContextLines = 20;

/** `rlm-opencode search`: the model's `rlm_search`, for people. */
export function searchCommand(): Command {
  const command = new Command('search')
    .description('search the store with a regular expression')
    .argument('<pattern>', 'regular expression');
  return addSearchFlags(command)
    .option('-F, --fixed-strings', 'the pattern is a text, taken as it is')
    .action((pattern: string, flags: SearchFlags) => search(questionFor(pattern, flags), flags));
}

/** `rlm-opencode find`: the model's `rlm_find`, for people. */
export function findCommand(): Command {
  const command = new Command('find')
    .description('search the store for a text')
    .argument('<text>', 'text, taken as it is');
  return addSearchFlags(command).action((text: string, flags: SearchFlags) =>
    search(questionFor(text, { ...flags, fixedStrings: true }), flags),
  );
}

/** What is asked, as the tools take it; `shown` is what is marked in the lines. */
function questionFor(given: string, flags: SearchFlags): Question {
  if (given === '')
    throw new ProxyError('invalid_request', 'There is nothing to search for: the text is empty.');
  const { fixedStrings: isText = false, wordRegexp = false, invertMatch = false } = flags;
  if (isText && !wordRegexp && !invertMatch)
    return { name: 'rlm_find', subject: { text: given }, shown: { text: given } };
  const plain = isText ? given.replaceAll(/[\\^$.|?*+()[\]{}]/g, String.raw`\$&`) : given;
  const word = wordRegexp ? String.raw`\b(?:${plain})\b` : plain;
  const pattern = invertMatch ? `^(?!.*(?:${word})).*$` : word;
  const shown = invertMatch ? {} : isText ? { text: given } : { pattern: given };
  return { name: 'rlm_search', subject: { pattern }, shown };
}

function addSearchFlags(command: Command): Command {
  command
    .option('-i, --ignore-case', 'upper and lower case are the same')
    .option('-A, --after-context <lines>', 'lines shown after a hit', wholeNumber(0))
    .option('-B, --before-context <lines>', 'lines shown before a hit', wholeNumber(0))
    .option('-C, --context <lines>', 'lines shown before and after a hit', wholeNumber(0))
    .option('-n, --line-number', 'line numbers, those of the entry (they are shown anyway)')
    .option('-N, --no-line-number', 'no line numbers')
    .option('-w, --word-regexp', 'only whole words')
    .option('-l, --files-with-matches', 'only the paths, or the entries that have none')
    .option('-v, --invert-match', 'lines that do not match')
    .option('-m, --max-count <hits>', 'stop after so many hits', wholeNumber(1))
    .option('-c, --count', 'only the number of matching lines')
    .option('--oldest', 'oldest first (default: the newest entry first)')
    .option('--last', 'the last lines first')
    .option('--tool <name>', 'only outputs of this tool')
    .option(
      '--path <pattern>',
      'only texts of files whose path has this, or fits it as in .gitignore: "src/**/*.{ts,tsx}"',
    )
    .option('--since <time>', 'only what was stored since: 30m, 2h, 7d, 2026-01-31')
    .option('--entry <id>', 'only this entry, as in e12; api:e12 of a linked store');
  return addAsOfFlag(addSessionFlags(addScopeFlags(command)));
}

async function search(question: Question, flags: SearchFlags): Promise<void> {
  await withOperations(flags, async (call) => {
    const total = await (flags.filesWithMatches === true ? printFiles : printHits)(
      call,
      question,
      flags,
    );
    finish(total > 0 ? exitCodes.done : exitCodes.nothing);
  });
}

/** Most files that are listed. */
const maxFiles = 10_000;

/** Prints where there are hits, each file once. @returns Files in all */
async function printFiles(
  call: CallOperation,
  { subject }: Question,
  flags: SearchFlags,
): Promise<number> {
  const pattern =
    'pattern' in subject
      ? subject.pattern
      : subject.text.replaceAll(/[\\^$.|?*+()[\]{}]/g, String.raw`\$&`);
  const found = await callTool(call, flags, {
    name: 'rlm_search',
    arguments: {
      pattern,
      ...argumentsOf(flags),
      context_lines: 0,
      aggregate: 'unique',
      group: 'path',
      max_groups: Math.min(flags.maxCount ?? maxFiles, maxFiles),
    },
  });
  if (found === undefined) return 0;
  sayAsOf(found);
  const groups = found.answer['groups'] as readonly FileGroup[];
  for (const { value, first } of groups)
    print(
      flags.json === true
        ? `${jsonText({ type: 'file', path: value, entry: first.entry })}\n`
        : `${value === '' ? first.entry : value}\n`,
    );
  return groups.length;
}

/** A file with hits, as the tool gives it. */
interface FileGroup {
  readonly value: string;
  readonly first: { readonly entry?: string };
}

/** Prints page after page. @returns Matching lines in all */
async function printHits(
  call: CallOperation,
  question: Question,
  flags: SearchFlags,
): Promise<number> {
  const printer = new HitPrinter(process.stdout, {
    ...flags,
    ...question.shown,
    ...linesAround(flags),
  });
  const wanted = flags.count === true ? 1 : (flags.maxCount ?? Infinity);
  let cursor: unknown;
  for (let seen = 0; ;) {
    const found = await callTool(call, flags, {
      name: question.name,
      arguments: {
        ...question.subject,
        ...argumentsOf(flags),
        max_results: Math.min(pageSize, wanted - seen),
        ...(cursor === undefined ? {} : { cursor }),
      },
    });
    if (found === undefined) return 0;
    const { matches, total, note, next_cursor: next } = found.answer;
    if (cursor === undefined) sayAsOf(found);
    if (typeof note === 'string') printError(`${note}\n`);
    const hits = matches as readonly PrintedHit[];
    seen += hits.length;
    if (flags.count !== true) printer.print(hits);
    if (next === undefined || hits.length === 0 || seen >= wanted) {
      const { session, as_of } = found;
      printer.end({ session, ...(as_of && { as_of }), total: Number(total), shown: seen });
      return Number(total);
    }
    cursor = next;
  }
}

/** `-A` and `-B` win over `-C`, as in ripgrep. */
function linesAround({ context = 0, beforeContext, afterContext }: SearchFlags): {
  readonly beforeContext: number;
  readonly afterContext: number;
} {
  return { beforeContext: beforeContext ?? context, afterContext: afterContext ?? context };
}

function argumentsOf(flags: SearchFlags): object {
  const { tool, path, since, entry } = flags;
  const { beforeContext, afterContext } = linesAround(flags);
  const context = Math.max(beforeContext, afterContext);
  return {
    case_sensitive: flags.ignoreCase !== true,
    order: flags.last === true ? 'last' : flags.oldest === true ? 'oldest' : 'newest',
    ...(context === 0 ? {} : { context_lines: Math.min(context, maxContextLines) }),
    ...(tool === undefined ? {} : { tool }),
    ...(path === undefined ? {} : { path }),
    ...(since === undefined ? {} : { since }),
    ...(entry === undefined ? {} : { entry }),
    ...scopeOf(flags),
  };
}

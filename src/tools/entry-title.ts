import { ProxyError } from '../errors.ts';
import type { Entry, EntryList, SessionStore } from '../store/types.ts';
import { isObject, parseJson, type JsonObject } from '../wire/json.ts';
import { namesOf } from './entry-choice.ts';
import { onOneLine } from './result-form.ts';

/** A title is at most so long, characters: a line of a list stays a line. */
const maxTitleChars = 100;

/** So much of a text is read for its first line, characters. */
const readChars = 400;

/** Arguments that say by themselves what a call was, the most telling first. */
const tellingArgs: readonly string[] = [
  'command',
  'cmd',
  'script',
  'url',
  'query',
  'pattern',
  'description',
  'prompt',
];

/** Titles that had to be looked up, or put together from long arguments. */
const kept = new WeakMap<Entry, string>();

/**
 * What an entry is, in a few words, so that one tells `npm test` from `git log`: the command or the
 * most telling argument of the call it came from, the path, or else the text's first line. One line
 * of at most {@link maxTitleChars} characters; empty where even that cannot be read.
 */
export async function titleOf(store: SessionStore, entry: Entry): Promise<string> {
  const known = kept.get(entry) ?? ownTitle(entry);
  const title = known ?? (await firstLine(store, entry));
  kept.set(entry, title);
  return title;
}

/**
 * How a list names an entry: its tool or kind, then path or title; a file by its path alone.
 * `filter` is the path that was asked for, as in `namesOf`.
 */
export async function labelOf(store: SessionStore, entry: Entry, filter?: string): Promise<string> {
  const what = entry.tool ?? (entry.kind === 'file' ? undefined : entry.kind);
  const title = await titleOf(store, entry);
  const { path } = namesOf(store.list, entry, filter);
  const name = path === undefined || isCommand(entry) ? title : onOneLine(path, 4 * maxTitleChars);
  return [what, name].filter((part) => part !== undefined && part !== '').join(' ');
}

/** Where else an entry's text came from, and whether a newer text has taken its place. */
export function marksOf(list: EntryList, entry: Entry, filter?: string): string {
  const { also_at: others = [] } = namesOf(list, entry, filter);
  const successor = list.successorOf(entry);
  const marks = [
    ...(others.length === 0 ? [] : [`same text at ${others.join(', ')}`]),
    ...(successor === undefined ? [] : [`old: replaced by ${successor.id}`]),
  ];
  return marks.length === 0 ? '' : ` (${marks.join('; ')})`;
}

function isCommand({ args }: Entry): boolean {
  return args !== undefined && telling(args, tellingArgs.slice(0, 3)) !== undefined;
}

/** A title that needs no look at the text. */
function ownTitle(entry: Entry): string | undefined {
  if (entry.forgotten !== undefined) return '(forgotten)';
  const { args, path } = entry;
  const said = args === undefined ? undefined : telling(args, tellingArgs);
  if (said !== undefined && (path === undefined || isCommand(entry)))
    return onOneLine(said, maxTitleChars);
  return path === undefined ? undefined : onOneLine(path, maxTitleChars);
}

function telling(args: string, names: readonly string[]): string | undefined {
  const parsed = parsedArgs(args);
  for (const name of names) {
    const value = parsed[name];
    if (typeof value === 'string' && value.trim() !== '') return value;
    // Some clients give a command as a list of words.
    if (Array.isArray(value) && value.every((word) => typeof word === 'string'))
      return value.join(' ');
  }
  return undefined;
}

function parsedArgs(args: string): JsonObject {
  const parsed = parseJson(args);
  if (isObject(parsed)) return parsed;
  // Arguments are kept cut at some length: a command is their beginning mostly.
  const cut = /^\s*\{\s*"(?:command|cmd)"\s*:\s*"((?:[^"\\]|\\.)*)/.exec(args);
  return cut === null ? {} : { command: (cut[1] ?? '').replaceAll(/\\[nrt]/g, ' ') };
}

async function firstLine(store: SessionStore, entry: Entry): Promise<string> {
  try {
    const length = Math.min(readChars, entry.lengthChars);
    const { text } = await store.read(entry.offsetChars, length);
    const line = text.split('\n').find((one) => /[\p{L}\p{N}]/u.test(one)) ?? text;
    return onOneLine(line, maxTitleChars);
  } catch (error) {
    // A damaged text has no first line to show; what asks for a title goes on without.
    if (error instanceof ProxyError) return '';
    throw error;
  }
}

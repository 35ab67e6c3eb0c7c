import type { Entry, SessionStore } from '../../store/types.ts';
import { entryOfLine, lineInEntry, offsetOfLine, storeLineAt } from '../entry-lines.ts';

/** What a read by line asks for; lines count from 1 in the entry, below 0 from its end. */
export interface LinesAsked {
  readonly line?: number | undefined;
  readonly lines?: number | undefined;
  readonly around?: number | undefined;
  readonly tail?: number | undefined;
  readonly offset?: number | undefined;
}

/** Lines of an entry, with where they lie in the whole context. */
export interface LinesPlace {
  readonly entry: Entry;
  /** First line, in the entry. */
  readonly first: number;
  readonly startChars: number;
  readonly endChars: number;
  /** The end is what was asked for: too much is left out in front. */
  readonly fromEnd: boolean;
}

/** Lines before and after a hit where no number is given. */
const usualAround = 20;

/** Whether a read is one by lines. */
export function isByLines({ line, lines, around, tail }: LinesAsked): boolean {
  return [line, lines, around, tail].some((one) => one !== undefined);
}

/**
 * Finds the lines that a read asks for. Without an entry, a line is one of the whole store, and
 * what is read stays in the entry that it is of; a tail is that of the newest entry. A sentence
 * where there is no such place.
 */
export async function placeOfLines(
  store: SessionStore,
  named: Entry | undefined,
  asked: LinesAsked,
): Promise<LinesPlace | string> {
  const found = await centreOf(store, named, asked);
  if (typeof found === 'string') return found;
  const { entry, line } = found;
  const { around, tail } = asked;
  let first = line ?? 1;
  let last = asked.lines === undefined ? entry.lineCount : first + asked.lines - 1;
  if (around !== undefined && line !== undefined) {
    // With `around` alone the number is the line itself, as in `rg` output that is looked at.
    const isLine = asked.line === undefined && asked.offset === undefined;
    const each = isLine ? Math.floor((asked.lines ?? 2 * usualAround) / 2) : around;
    first = line - each;
    last = line + each;
  } else if (tail !== undefined || line === undefined) {
    const count = tail ?? asked.lines ?? entry.lineCount;
    first = tail === undefined ? 1 : entry.lineCount - count + 1;
    last = first + count - 1;
  }
  first = Math.max(1, first);
  const wanted = line ?? first;
  if (wanted > entry.lineCount || first > entry.lineCount)
    return `${entry.id} has ${entry.lineCount} lines; there is no line ${wanted}.`;
  last = Math.min(entry.lineCount, Math.max(first, last));
  const end = entry.offsetChars + entry.lengthChars;
  const startChars = await offsetOfLine(store, entry.lineNumber + first - 1);
  const endChars =
    last === entry.lineCount ? end : await offsetOfLine(store, entry.lineNumber + last);
  return {
    entry,
    first,
    startChars,
    endChars: Math.min(end, endChars),
    fromEnd: tail !== undefined,
  };
}

/** The entry that is meant, and the line in it that the rest is counted from. */
async function centreOf(
  store: SessionStore,
  named: Entry | undefined,
  asked: LinesAsked,
): Promise<{ readonly entry: Entry; readonly line: number | undefined } | string> {
  const { totals, entries } = store;
  if (totals.entries === 0) return 'The store is empty.';
  if (asked.line === undefined && asked.offset !== undefined) {
    const offset = (named?.offsetChars ?? 0) + asked.offset;
    if (offset >= totals.chars || (named !== undefined && asked.offset >= named.lengthChars))
      return `The offset lies past the end, which is at ${named?.lengthChars ?? totals.chars}.`;
    const storeLine = await storeLineAt(store, offset);
    const entry = named ?? entryOfLine(store, storeLine);
    if (entry === undefined) return 'No entry holds that offset.';
    return { entry, line: lineInEntry(entry, storeLine) };
  }
  const line = asked.line ?? (asked.tail === undefined ? asked.around : undefined);
  if (named !== undefined)
    return {
      entry: named,
      line: line !== undefined && line < 0 ? named.lineCount + line + 1 : line,
    };
  const newest = entries[totals.entries - 1] as Entry;
  if (line === undefined) return { entry: newest, line };
  if (line < 0) return { entry: newest, line: newest.lineCount + line + 1 };
  if (line > totals.lines) return `The store has ${totals.lines} lines; name an entry for its own.`;
  const entry = entryOfLine(store, line) as Entry;
  return { entry, line: lineInEntry(entry, line) };
}

import type { Entry, SessionStore } from '../store/types.ts';
import { offsetOfLine } from '../tools/entry-lines.ts';
import { countChars } from '../tools/pieces.ts';
import type { LinesPage } from './page-protocol.ts';

/** Longer lines are cut, code units. */
const maxLineUnits = 2_000;

/** So much is read at once, code points: two or three blocks of a store. */
const windowChars = 65_536;

/**
 * Lines `from` to `from + count` of an entry. What is read is about what is shown: of a line that
 * is longer than {@link windowChars} its beginning, and then the next line is looked up.
 */
export async function linesPage(
  store: SessionStore,
  entry: Entry,
  { from, count }: { readonly from: number; readonly count: number },
): Promise<LinesPage> {
  const total = entry.forgotten === undefined ? entry.lineCount : 0;
  const last = Math.min(total, from + count - 1);
  const lines: string[] = [];
  const cutLines: number[] = [];
  const add = (line: string): void => {
    const shown = line.length > maxLineUnits ? cut(line) : line;
    if (shown.length < line.length) cutLines.push(from + lines.length);
    lines.push(shown);
  };
  const endChars = entry.offsetChars + entry.lengthChars;
  const next = (): number => from + lines.length;
  let at: number | undefined;
  while (next() <= last) {
    at ??= await offsetOfLine(store, entry.lineNumber + next() - 1);
    const { text, lengthChars } = await store.read(at, Math.min(windowChars, endChars - at));
    const isEnd = at + lengthChars >= endChars;
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0 && next() <= last;) {
      add(text.slice(start, end));
      start = end + 1;
      end = text.indexOf('\n', start);
    }
    if (next() > last) break;
    if (isEnd || start === 0) add(text.slice(start));
    if (isEnd) break;
    // Of a line that is longer than all that was read the rest is passed over.
    at = start === 0 ? undefined : at + countChars(text.slice(0, start));
  }
  return { from, total, lines, cutLines };
}

/** The beginning of a line; never half a character. */
function cut(line: string): string {
  const last = line.charCodeAt(maxLineUnits - 1);
  const isHalf = last >= 0xd800 && last <= 0xdbff;
  return line.slice(0, isHalf ? maxLineUnits - 1 : maxLineUnits);
}

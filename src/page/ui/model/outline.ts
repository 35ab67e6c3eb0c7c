import type { EntryDetail } from '../../page-protocol.ts';

/**
 * Which part of an outline a line lies in: the one that begins last at or before it; its index, -1
 * for none. What is said of the whole text is no part.
 */
export function markAt(outline: EntryDetail['outline'], line: number | undefined): number {
  let found = -1;
  let begin = 0;
  for (const [index, mark] of outline.entries()) {
    if (mark.line === undefined || line === undefined || mark.line > line || mark.line < begin)
      continue;
    found = index;
    begin = mark.line;
  }
  return found;
}

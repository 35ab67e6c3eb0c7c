import { partitionPoint } from '../base/sorted.ts';
import type { Entry, SessionStore } from '../store/types.ts';
import { countChars } from './pieces.ts';

/*
 * Lines as people and models count them: from 1 in their entry. The store counts them through all
 * its texts; its block table says where, so that each question here reads one block at most.
 */

/** Number of a line in its entry, from its number in the store. */
export function lineInEntry(entry: Entry, storeLine: number): number {
  return storeLine - entry.lineNumber + 1;
}

/** Number in the store of the line that holds a character. */
export async function storeLineAt(store: SessionStore, offsetChars: number): Promise<number> {
  const { blocks } = await store.snapshot();
  const { charStart, lineStart, count } = blocks;
  const block = Math.max(0, partitionPoint(count, (at) => charStart[at]! <= offsetChars) - 1);
  const start = charStart[block] ?? 0;
  const { text } = await store.read(start, Math.max(0, offsetChars - start));
  return (lineStart[block] ?? 1) + newlines(text);
}

/** Where a line of the store begins, in characters; the end of the store for a line behind it. */
export async function offsetOfLine(store: SessionStore, line: number): Promise<number> {
  if (line <= 1) return 0;
  const { blocks, totals } = await store.snapshot();
  const { charStart, lineStart, count } = blocks;
  // Blocks end behind a newline wherever they hold one, so the first block of a line begins it.
  const block = partitionPoint(count, (at) => lineStart[at]! < line);
  if (block < count && lineStart[block] === line) return charStart[block]!;
  const before = Math.max(0, block - 1);
  const start = charStart[before] ?? 0;
  const end = before + 1 < count ? charStart[before + 1]! : totals.chars;
  const { text } = await store.read(start, end - start);
  let at = 0;
  for (let number = lineStart[before] ?? 1; number < line; number += 1) {
    const newline = text.indexOf('\n', at);
    if (newline < 0) return end;
    at = newline + 1;
  }
  return start + countChars(text.slice(0, at));
}

/** The entry that holds a line of the store. */
export function entryOfLine({ entries, totals }: SessionStore, line: number): Entry | undefined {
  const behind = partitionPoint(totals.entries, (at) => entries[at]!.lineNumber <= line);
  return entries[behind - 1];
}

/** The entry that holds a character; of the newline between two, the one before it. */
export function entryOfOffset(
  { entries, totals }: SessionStore,
  offsetChars: number,
): Entry | undefined {
  const behind = partitionPoint(totals.entries, (at) => entries[at]!.offsetChars <= offsetChars);
  return entries[behind - 1];
}

function newlines(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count += 1;
  return count;
}

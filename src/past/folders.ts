import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type PastFault, reasonOf } from './past-session.ts';

/**
 * The files of records in a folder and those below it, so many levels deep, in the order of their
 * names. Links are told of and not followed.
 */
export async function* jsonlIn(
  folder: string,
  depth: number,
): AsyncGenerator<string | PastFault, void, void> {
  let entries;
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch (error) {
    yield { place: folder, reason: reasonOf(error) };
    return;
  }
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    const isRecords = /\.jsonl(?:\.zst)?$/.test(entry.name);
    if (entry.isSymbolicLink()) yield { place: path, reason: reasonOf({ code: 'ELOOP' }) };
    else if (entry.isDirectory()) {
      if (depth > 1) yield* jsonlIn(path, depth - 1);
    } else if (isRecords) yield path;
  }
}

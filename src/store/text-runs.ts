import type { BlockTable } from './block-table.ts';
import type { ContextFile } from './context-file.ts';
import type { EntryIndex } from './entry-index.ts';
import { EntryVerifier } from './entry-verifier.ts';
import type { Entry } from './types.ts';

/** Bounds of a run that is read in one go: about a millisecond, whether its entries are many (3 us each) or large (1.5 us per KiB). */
const runMaxEntries = 512;
const runMaxBytes = 512 * 1024;

/** Entries [first, end) of a session, which lie one behind the other. */
export type Run = readonly [first: number, end: number];

/** The run that begins with entry number `first`: as much as is read in one go, at least that entry. */
export function runFrom(index: EntryIndex, first: number): Run {
  const { totals } = index;
  const limitBytes = index.startOf(first).bytes + runMaxBytes;
  const end = totals.bytes <= limitBytes ? totals.entries : index.indexAt('bytes', limitBytes);
  return [first, Math.max(first + 1, Math.min(end, first + runMaxEntries))];
}

/** Reads a run, hands it to `table`, and compares it with the journal's hashes: the entries that are damaged. Throws the signal's reason. */
export async function readRun(
  { text, index }: { readonly text: ContextFile; readonly index: EntryIndex },
  [first, end]: Run,
  options: { readonly table?: BlockTable; readonly signal?: AbortSignal } = {},
): Promise<readonly Entry[]> {
  const verifier = new EntryVerifier(index, first);
  const see = (piece: Uint8Array): void => {
    verifier.see(piece);
    options.table?.feed(piece);
  };
  const range = [index.startOf(first).bytes, index.startOf(end).bytes] as const;
  await text.replay(range, see, options.signal);
  return verifier.damaged;
}

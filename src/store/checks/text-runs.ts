import type { BlockTable } from '../text/block-table.ts';
import type { ContextFile } from '../text/context-file.ts';
import type { EntryIndex } from '../text/entry-index.ts';
import { EntryVerifier, spansFrom, type EntryFinding } from './entry-verifier.ts';
import type { Entry } from '../types.ts';

/**
 * Bounds of a run that is read in one go: about a millisecond, whether its entries are many (3 us
 * each) or large (1.5 us per KiB).
 */
const runMaxEntries = 512;
const runMaxBytes = 512 * 1024;

/** Entries [first, end) of a session, which lie one behind the other. */
export type EntryRun = readonly [first: number, end: number];

/**
 * The run that begins with entry number `first`: as much as is read in one go, at least that entry;
 * none that is not in its place.
 */
export function runFrom(index: EntryIndex, first: number): EntryRun {
  const { totals } = index;
  const limitBytes = index.startOf(first).bytes + runMaxBytes;
  const end = totals.bytes <= limitBytes ? totals.entries : index.indexAt('bytes', limitBytes);
  const last = Math.max(first + 1, Math.min(end, first + runMaxEntries));
  if (index.unplaced.size === 0) return [first, last];
  const unplaced = index.entries.slice(first + 1, last).findIndex((own) => index.unplaced.has(own));
  return [first, unplaced < 0 ? last : first + 1 + unplaced];
}

/** Reads runs, one at a time, and compares them with the journal's hashes. */
export class RunReader {
  readonly #text: ContextFile;
  readonly #index: EntryIndex;
  #scratch: Buffer | undefined;

  constructor(text: ContextFile, index: EntryIndex) {
    this.#text = text;
    this.#index = index;
  }

  /**
   * The entries of a run that are damaged. `table` is fed with the run. Throws the signal's reason.
   */
  async read(
    [first, end]: EntryRun,
    options: {
      readonly table?: BlockTable;
      readonly signal?: AbortSignal;
      readonly onFinding?: (finding: EntryFinding) => void;
    } = {},
  ): Promise<readonly Entry[]> {
    const verifier = new EntryVerifier(spansFrom(this.#index, first), options.onFinding);
    const range = [this.#index.startOf(first).bytes, this.#index.startOf(end).bytes] as const;
    const wantedBytes = Math.min(runMaxBytes, range[1] - range[0]);
    if (this.#scratch === undefined || this.#scratch.length < wantedBytes) {
      this.#scratch = Buffer.allocUnsafeSlow(wantedBytes);
    }
    await this.#text.replay({
      range,
      scratch: this.#scratch,
      see: (piece) => {
        verifier.see(piece);
        if (options.table !== undefined) this.#feed(options.table, piece, verifier);
      },
      signal: options.signal,
    });
    return verifier.damaged;
  }

  /**
   * Feeds a piece that the verifier has seen. Behind a damaged entry the journal says where we are.
   */
  #feed(table: BlockTable, piece: Uint8Array, verifier: EntryVerifier): void {
    let fed = 0;
    for (const entry of verifier.takeDamaged()) {
      const end = this.#index.startOf(entry.seq);
      const length = end.bytes - verifier.startOfPiece(piece);
      table.feed(piece.subarray(fed, length));
      fed = length;
      table.correct(this.#index.startOf(entry.seq - 1), end);
    }
    table.feed(piece.subarray(fed));
  }
}

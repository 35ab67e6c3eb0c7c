import { createHash, type Hash } from 'node:crypto';
import type { EntryIndex } from './entry-index.ts';
import type { Entry } from './types.ts';

/** Compares a text that streams by with what the journal says of it, from the start of some entry on. */
export class EntryVerifier {
  /** Entries whose bytes, or the newline behind them, are not what was stored. */
  readonly damaged: Entry[] = [];
  readonly #index: EntryIndex;
  #at: number;
  #seen = 0;
  #digest: Hash = createHash('sha256');
  #separatorWrong = false;

  /** Starts at entry number `firstIndex` (from 0). */
  constructor(index: EntryIndex, firstIndex: number) {
    this.#index = index;
    this.#at = firstIndex;
  }

  /** The next bytes. Together they must reach the end of the committed text. */
  see(piece: Uint8Array): void {
    let rest = piece;
    for (;;) {
      const entry = this.#index.entries[this.#at];
      if (entry === undefined) return;
      const text = rest.subarray(0, Math.max(0, entry.lengthBytes - this.#seen));
      this.#digest.update(text);
      const spanBytes = this.#spanBytes(entry);
      const taken = Math.min(rest.length, spanBytes - this.#seen);
      if (taken > text.length && rest[text.length] !== 0x0a) this.#separatorWrong = true;
      this.#seen += taken;
      if (this.#seen < spanBytes) return;
      this.#finish(entry);
      rest = rest.subarray(taken);
    }
  }

  #finish(entry: Entry): void {
    if (this.#digest.digest('hex') !== entry.sha256 || this.#separatorWrong) {
      this.damaged.push(entry);
    }
    this.#digest = createHash('sha256');
    this.#separatorWrong = false;
    this.#seen = 0;
    this.#at += 1;
  }

  /** The entry's bytes with its separator. Never 0: an empty text has a separator. */
  #spanBytes(entry: Entry): number {
    const next = this.#index.entries[this.#at + 1]?.offsetBytes ?? this.#index.totals.bytes;
    return next - entry.offsetBytes;
  }
}

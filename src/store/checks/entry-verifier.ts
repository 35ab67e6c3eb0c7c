import { createHash, type Hash } from 'node:crypto';
import type { EntryIndex } from '../text/entry-index.ts';
import type { Entry } from '../types.ts';

/**
 * An entry, and how many bytes of the file belong to it: its text, and the newline behind it if it
 * has one of its own.
 */
export interface EntrySpan {
  readonly entry: Entry;
  readonly spanBytes: number;
}

/** What a comparison of an entry's text with its record has shown. */
export interface EntryFinding {
  readonly entry: Entry;
  readonly isSound: boolean;
}

/**
 * Compares a text that streams by with what the journal says of it, entry by entry: the one place
 * where it is decided whether an entry is what was stored. Reads, the block table's making, the
 * scrub, `doctor` and `salvage` all ask it.
 */
export class EntryVerifier {
  /** Entries whose bytes, or the newline behind them, are not what was stored. */
  readonly damaged: Entry[] = [];
  readonly #spans: Iterator<EntrySpan>;
  readonly #onFinding: ((finding: EntryFinding) => void) | undefined;
  #span: EntrySpan | undefined;
  #seen = 0;
  #seenBytes: number;
  #taken = 0;
  #digest: Hash = createHash('sha256');
  #separatorWrong = false;

  /** `spans` lie one behind the other; the first bytes that are seen are those of the first. */
  constructor(spans: Iterable<EntrySpan>, onFinding?: (finding: EntryFinding) => void) {
    this.#spans = spans[Symbol.iterator]();
    this.#onFinding = onFinding;
    this.#next();
    this.#seenBytes = this.#span?.entry.offsetBytes ?? 0;
  }

  /** The next bytes. What lies behind the last span is not looked at. */
  see(piece: Uint8Array): void {
    this.#seenBytes += piece.length;
    let rest = piece;
    for (;;) {
      if (this.#span === undefined) return;
      const { entry, spanBytes } = this.#span;
      const text = rest.subarray(0, Math.max(0, entry.lengthBytes - this.#seen));
      this.#digest.update(text);
      const taken = Math.min(rest.length, spanBytes - this.#seen);
      if (taken > text.length && rest[text.length] !== 0x0a) this.#separatorWrong = true;
      this.#seen += taken;
      if (this.#seen < spanBytes) return;
      this.#finish(entry);
      rest = rest.subarray(taken);
    }
  }

  /** Damaged entries that this has not been asked for yet. */
  takeDamaged(): readonly Entry[] {
    const fresh = this.damaged.slice(this.#taken);
    this.#taken = this.damaged.length;
    return fresh;
  }

  /** Where the last piece that was seen begins, in bytes of the file. */
  startOfPiece(piece: Uint8Array): number {
    return this.#seenBytes - piece.length;
  }

  #finish(entry: Entry): void {
    const isAsStored = this.#digest.digest('hex') === entry.sha256 && !this.#separatorWrong;
    // Of a text that was forgotten there is nothing to compare.
    const isSound = entry.forgotten !== undefined || isAsStored;
    if (!isSound) this.damaged.push(entry);
    this.#onFinding?.({ entry, isSound });
    this.#digest = createHash('sha256');
    this.#separatorWrong = false;
    this.#seen = 0;
    this.#next();
  }

  #next(): void {
    const next = this.#spans.next();
    this.#span = next.done === true ? undefined : next.value;
  }
}

/**
 * The entries from number `first` (from 0) on with their separators. A span is never empty: an
 * empty text has a separator.
 */
export function* spansFrom(index: EntryIndex, first: number): Generator<EntrySpan> {
  for (let at = first; at < index.entries.length; at += 1) {
    const entry = index.entries[at]!;
    yield { entry, spanBytes: index.startOf(at + 1).bytes - entry.offsetBytes };
  }
}

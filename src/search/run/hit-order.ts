import { partitionPoint } from '../../base/sorted.ts';
import { entryIndexAt, type EntryBorders } from '../text/shared-entries.ts';
import type { Pieces } from '../text/pieces.ts';
import type { SearchTask, ShownHit } from './protocol.ts';

/** What the order of hits hangs on. */
type Ordered = Pick<SearchTask, 'query' | 'scope' | 'after'>;

/**
 * In which order hits are listed. Oldest first is the order of the text, last first the reverse.
 * Newest first is the newest entry first and reading order within one; a text that names no entries
 * is listed backwards. Places are bytes of the file.
 */
export class HitOrder {
  readonly #task: Ordered;
  readonly #isOldest: boolean;
  /** What is listed one after the other; absent = line by line, the last one first. */
  readonly #entries: EntryBorders | undefined;

  constructor(task: Ordered) {
    this.#task = task;
    this.#isOldest = task.query.order === 'oldest';
    this.#entries = task.query.order === 'newest' ? task.scope.entries : undefined;
  }

  /** Below 0 where the hit at `a` is listed before the one at `b`. */
  compare(a: number, b: number): number {
    if (this.#isOldest) return a - b;
    const entries = this.#entries;
    if (entries === undefined) return b - a;
    return entryIndexAt(entries, b) - entryIndexAt(entries, a) || a - b;
  }

  /** Whether a hit is none of those that earlier pages listed. */
  isNew(at: number): boolean {
    const { after } = this.#task;
    if (after === undefined) return true;
    return this.#isOldest ? at >= after : this.compare(after, at) < 0;
  }

  /** Where a page ends, for the cursor: {@link isNew} holds for what comes behind it. */
  endOf({ startBytes, endBytes }: ShownHit): number {
    if (this.#isOldest) return endBytes + 1;
    return this.#entries === undefined ? startBytes : endBytes;
  }

  /**
   * The order in which chunks are best claimed: those with what is listed first come first, so that
   * a search that is stopped has them, and hits that are too far behind are seen to be so.
   */
  chunks({ bounds, first }: Pieces): Int32Array {
    const order = Int32Array.from({ length: first.length - 1 }, (_, chunk) => chunk);
    if (this.#isOldest) return order;
    const entries = this.#entries;
    if (entries === undefined) return order.reverse();
    const entryOf = order.map((chunk) => entryIndexAt(entries, bounds[2 * first[chunk]!]!));
    return order.sort((a, b) => entryOf[b]! - entryOf[a]! || a - b);
  }

  /** Whether any hit of the bytes [from, to) could be listed before the one at `worst`. */
  mayBeat(from: number, to: number, worst: number): boolean {
    const entries = this.#entries;
    if (this.#isOldest) return from < worst;
    if (entries === undefined) return to > worst;
    const newest = entryIndexAt(entries, to - 1);
    return this.compare(Math.max(from, entries.bounds[2 * newest]!), worst) < 0;
  }

  /** Of hits in the order of the text, the first that are listed and are new, at most `most`. */
  best(found: readonly number[], most: number): readonly number[] {
    const entries = this.#entries;
    const best: number[] = [];
    const take = (from: number, to: number, step: 1 | -1): void => {
      for (let i = step > 0 ? from : to - 1; i >= from && i < to && best.length < most; i += step)
        if (this.isNew(found[i]!)) best.push(found[i]!);
    };
    if (this.#isOldest || entries === undefined) {
      take(0, found.length, this.#isOldest ? 1 : -1);
      return best;
    }
    for (let end = found.length; end > 0 && best.length < most;) {
      const start = entries.bounds[2 * entryIndexAt(entries, found[end - 1]!)]!;
      // At least one, also where a place lies in front of the first entry.
      const from = Math.min(
        end - 1,
        partitionPoint(end, (index) => found[index]! < start),
      );
      take(from, end, 1);
      end = from;
    }
    return best;
  }
}

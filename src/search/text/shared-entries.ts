import { partitionPoint } from '../../base/sorted.ts';
import type { Corpus } from '../types.ts';

/** Where entries lie, for all threads: entry i is bytes [bounds[2i], bounds[2i + 1]). */
export interface EntryBorders {
  readonly bounds: Float64Array<SharedArrayBuffer>;
  readonly count: number;
}

interface Copy {
  bounds: Float64Array<SharedArrayBuffer>;
  count: number;
}

/**
 * Puts lists of entries where all workers can read them. Lists only grow, so each entry is copied
 * once and a search costs nothing for the old ones.
 */
export class SharedEntries {
  readonly #copies = new WeakMap<object, Copy>();

  /** The entries of a corpus that are there now; undefined where it names none. */
  share(entries: Corpus['entries']): EntryBorders | undefined {
    if (entries === undefined) return undefined;
    let copy = this.#copies.get(entries);
    if (copy === undefined) {
      copy = { bounds: room(2 * entries.length), count: 0 };
      this.#copies.set(entries, copy);
    }
    if (2 * entries.length > copy.bounds.length) {
      // Searches that run keep the old room.
      const wider = room(4 * entries.length);
      wider.set(copy.bounds);
      copy.bounds = wider;
    }
    for (; copy.count < entries.length; copy.count++) {
      const { offsetBytes, lengthBytes } = entries[copy.count]!;
      copy.bounds[2 * copy.count] = offsetBytes;
      copy.bounds[2 * copy.count + 1] = offsetBytes + lengthBytes;
    }
    return { bounds: copy.bounds, count: copy.count };
  }
}

/**
 * The part of [from, to) that lies in the entry of byte `at`; all of it where no entry holds that
 * byte.
 */
export function withinEntry(
  borders: EntryBorders | undefined,
  at: number,
  [from, to]: readonly [number, number],
): readonly [number, number] {
  if (borders === undefined || borders.count === 0) return [from, to];
  const entry = entryIndexAt(borders, at);
  const start = borders.bounds[2 * entry]!;
  const end = borders.bounds[2 * entry + 1]!;
  // A hit behind an entry's last byte, at the newline that ends its last line, is the entry's, too.
  return at < start || at > end ? [from, to] : [Math.max(from, start), Math.min(to, end)];
}

/** The number of the entry that holds a byte; undefined for a byte of none. */
export function entryAtByte(borders: EntryBorders | undefined, at: number): number | undefined {
  if (borders === undefined || borders.count === 0) return undefined;
  const entry = entryIndexAt(borders, at);
  const isIn = at >= borders.bounds[2 * entry]! && at <= borders.bounds[2 * entry + 1]!;
  return isIn ? entry : undefined;
}

/**
 * Bytes [from, to) cut at the borders of entries: pairs of bounds. What lies between two entries (a
 * newline at most) is in none of them.
 */
export function cutAtEntries(
  borders: EntryBorders | undefined,
  from: number,
  to: number,
): readonly number[] {
  if (borders === undefined || borders.count === 0) return [from, to];
  const { bounds, count } = borders;
  const cut: number[] = [];
  for (let i = entryIndexAt(borders, from); i < count && bounds[2 * i]! < to; i++) {
    const start = Math.max(bounds[2 * i]!, from);
    const end = Math.min(bounds[2 * i + 1]!, to);
    if (start < end) cut.push(start, end);
  }
  return cut;
}

/**
 * Index of the last entry that starts at or before a byte; 0 for a byte in front of all. The
 * newline behind an entry is that entry's.
 */
export function entryIndexAt({ bounds, count }: EntryBorders, at: number): number {
  return Math.max(0, partitionPoint(count, (entry) => bounds[2 * entry]! <= at) - 1);
}

function room(length: number): Float64Array<SharedArrayBuffer> {
  return new Float64Array(new SharedArrayBuffer(8 * Math.max(length, 128)));
}

import { type Listed, RecencyList } from './recency-list.ts';

interface Entry<Key, Value> extends Listed<Entry<Key, Value>> {
  readonly key: Key;
  value: Value;
}

/**
 * A map that keeps the `maxCount` entries that were set or used last. Their order is a list of its
 * own: the first key of a `Map` from which first keys are deleted again and again lies behind all
 * the holes that they left, which took 10 us in one of 65,536 entries.
 */
export class LruMap<Key, Value> {
  readonly #entries = new Map<Key, Entry<Key, Value>>();
  readonly #maxCount: number;
  readonly #order = new RecencyList<Entry<Key, Value>>();

  /** @param maxCount At least 1; `Infinity` where whoever has it takes out the oldest itself */
  constructor(maxCount: number) {
    this.#maxCount = maxCount;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The key that was set or used the longest ago; undefined of an empty map. */
  get oldest(): Key | undefined {
    return this.#order.oldest?.key;
  }

  has(key: Key): boolean {
    return this.#entries.has(key);
  }

  /** The value, which counts as used now. */
  get(key: Key): Value | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#order.use(entry);
    return entry.value;
  }

  /** Sets a value; what was used the longest ago goes where there is one too many. */
  set(key: Key, value: Value): void {
    const known = this.#entries.get(key);
    if (known !== undefined) {
      known.value = value;
      this.#order.use(known);
      return;
    }
    const entry: Entry<Key, Value> = { key, value, older: undefined, newer: undefined };
    this.#entries.set(key, entry);
    this.#order.use(entry);
    const { oldest } = this.#order;
    if (this.#entries.size > this.#maxCount && oldest !== undefined) this.delete(oldest.key);
  }

  delete(key: Key): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    this.#order.delete(entry);
    return this.#entries.delete(key);
  }
}

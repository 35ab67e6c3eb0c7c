/** A map that keeps the `maxCount` entries that were set or used last. */
export class LruMap<Key, Value> {
  readonly #entries = new Map<Key, Value>();
  readonly #maxCount: number;

  /** @param maxCount At least 1 */
  constructor(maxCount: number) {
    this.#maxCount = maxCount;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(key: Key): boolean {
    return this.#entries.has(key);
  }

  /** The value, which counts as used now. */
  get(key: Key): Value | undefined {
    const value = this.#entries.get(key);
    if (value === undefined) return undefined;
    if (this.#needsOrder) {
      this.#entries.delete(key);
      this.#entries.set(key, value);
    }
    return value;
  }

  /** Sets a value; what was used the longest ago goes where there is one too many. */
  set(key: Key, value: Value): void {
    if (this.#needsOrder) this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size > this.#maxCount)
      this.#entries.delete(this.#entries.keys().next().value as Key);
  }

  delete(key: Key): boolean {
    return this.#entries.delete(key);
  }

  /**
   * While there is room for as many again nothing will have to go soon, and the order is not kept:
   * half the cost of a look.
   */
  get #needsOrder(): boolean {
    return this.#entries.size * 2 >= this.#maxCount;
  }
}

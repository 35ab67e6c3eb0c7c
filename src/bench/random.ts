/**
 * A seeded generator of numbers (Doty-Humphrey's sfc32): the same seed gives the same sequence on
 * every machine. Not for secrets.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** `stream` gives independent sequences of one seed. */
  constructor(seed: number, stream = 0) {
    this.#a = seed | 0;
    this.#b = (seed / 2 ** 32) | 0;
    this.#c = stream | 0;
    for (let round = 0; round < 12; round += 1) this.bits();
  }

  /** 32 random bits, as a whole number from 0. */
  bits(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** A whole number from 0 to below `limit` (at most 2^32). */
  below(limit: number): number {
    return Math.floor((this.bits() / 2 ** 32) * limit);
  }

  /** A whole number from `from` to `to`, both included. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  pick<Item>(items: readonly [Item, ...Item[]] | readonly Item[]): Item {
    return items[this.below(items.length)] as Item;
  }

  /** Different items, in random order. */
  sample<Item>(items: readonly Item[], count: number): readonly Item[] {
    const pool = [...items];
    for (let index = 0; index < Math.min(count, pool.length); index += 1) {
      const other = index + this.below(pool.length - index);
      [pool[index], pool[other]] = [pool[other] as Item, pool[index] as Item];
    }
    return pool.slice(0, count);
  }

  /** Eight lower-case hexadecimal digits. */
  hex(): string {
    return this.bits().toString(16).padStart(8, '0');
  }
}

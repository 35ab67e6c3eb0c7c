/**
 * Items of a long list that are held: a server is asked for the pages that are looked at,
 * and those that nobody has looked at for longest are let go.
 */
export class Pages<Item> {
  readonly #pages = new Map<number, readonly Item[]>();
  readonly #pageItems: number;
  readonly #maxPages: number;

  /**
   * @param pageItems Items a page
   * @param maxPages So many pages are held: more than are ever seen at once
   */
  constructor(pageItems: number, maxPages: number) {
    this.#pageItems = pageItems;
    this.#maxPages = maxPages;
  }

  /** @param index From 0. @returns `undefined` where it is not held */
  at(index: number): Item | undefined {
    const page = Math.floor(index / this.#pageItems);
    return this.#pages.get(page)?.[index - page * this.#pageItems];
  }

  /** Numbers of the pages that are missing of these items; those that are there were looked at. */
  missing(first: number, end: number): readonly number[] {
    if (end <= first) return [];
    const missing: number[] = [];
    const last = Math.floor((end - 1) / this.#pageItems);
    for (let page = Math.floor(first / this.#pageItems); page <= last; page += 1) {
      const items = this.#pages.get(page);
      if (items === undefined) missing.push(page);
      else {
        this.#pages.delete(page);
        this.#pages.set(page, items);
      }
    }
    return missing;
  }

  /** The items of a page: the first, and how many. */
  range(page: number): { readonly first: number; readonly count: number } {
    return { first: page * this.#pageItems, count: this.#pageItems };
  }

  put(page: number, items: readonly Item[]): void {
    this.#pages.delete(page);
    this.#pages.set(page, items);
    for (const oldest of this.#pages.keys()) {
      if (this.#pages.size <= this.#maxPages) break;
      this.#pages.delete(oldest);
    }
  }

  /** Lets go of all: the list has changed. */
  clear(): void {
    this.#pages.clear();
  }
}

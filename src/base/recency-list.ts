/** What stands in a {@link RecencyList}: it is in one list at a time. */
export interface Listed<Node> {
  /** What was used before it; undefined of the oldest, and outside of a list. */
  older: Node | undefined;
  /** What was used after it; undefined of the newest, and outside of a list. */
  newer: Node | undefined;
}

/**
 * Things in the order in which they were used. The order stands in the things themselves: to use
 * one again costs no look into a map.
 */
export class RecencyList<Node extends Listed<Node>> {
  #oldest: Node | undefined;
  #newest: Node | undefined;

  /** What was used the longest ago; undefined of an empty list. */
  get oldest(): Node | undefined {
    return this.#oldest;
  }

  has(node: Node): boolean {
    return node.older !== undefined || this.#oldest === node;
  }

  /** Puts it behind all others, whether it was in the list or not. */
  use(node: Node): void {
    if (node === this.#newest) return;
    if (this.has(node)) this.#unlink(node);
    node.older = this.#newest;
    node.newer = undefined;
    if (this.#newest === undefined) this.#oldest = node;
    else this.#newest.newer = node;
    this.#newest = node;
  }

  /** @returns Whether it was in the list */
  delete(node: Node): boolean {
    if (!this.has(node)) return false;
    this.#unlink(node);
    node.older = undefined;
    node.newer = undefined;
    return true;
  }

  #unlink({ older, newer }: Node): void {
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
  }
}

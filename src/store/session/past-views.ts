import type { EntryIndex } from '../text/entry-index.ts';

/** Views that are kept at most, however small. */
const maxViews = 32;

/** All of them together may take so much memory, bytes. */
const defaultMaxBytes = 64 * 1024 * 1024;

/**
 * What a line of the journal takes in a view beside the entry, which is that of today, bytes.
 * Measured with 60,000 outputs, each with a call and a path of its own: 289.
 */
const recordBytes = 300;

interface View {
  readonly owner: object;
  readonly records: number;
  readonly index: Promise<EntryIndex>;
}

/**
 * What stores held at the moments that were asked for last, so that the next question at one of
 * them reads no journal. Named by the store and by how many lines of its journal there were: times
 * between which nothing came are one moment.
 */
export class PastViews {
  readonly #maxBytes: number;
  /** Used last at the end. */
  #views: View[] = [];

  /** `maxBytes` is what all views may take (64 MiB); a larger one is not kept. */
  constructor(maxBytes = defaultMaxBytes) {
    this.#maxBytes = maxBytes;
  }

  /** What `owner` held with its first `records` lines: kept, or made. */
  async of(owner: object, records: number, make: () => Promise<EntryIndex>): Promise<EntryIndex> {
    const known = this.#views.find((view) => view.owner === owner && view.records === records);
    const view = known ?? { owner, records, index: make() };
    this.#views = [...this.#views.filter((other) => other !== view), view];
    this.#drop();
    try {
      return await view.index;
    } catch (error) {
      this.#views = this.#views.filter((other) => other !== view);
      throw error;
    }
  }

  /** What was known of a store is no more: it is closed, and may hold less when it is opened. */
  forget(owner: object): void {
    this.#views = this.#views.filter((view) => view.owner !== owner);
  }

  #drop(): void {
    let bytes = this.#views.reduce((sum, { records }) => sum + records * recordBytes, 0);
    while (this.#views.length > maxViews || bytes > this.#maxBytes) {
      const oldest = this.#views.shift();
      if (oldest === undefined) return;
      bytes -= oldest.records * recordBytes;
    }
  }
}

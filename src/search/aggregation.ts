import type { Aggregate, AggregateGroup, SearchResult } from './types.ts';
import type { LineView } from './line-view.ts';

/** Different values kept at most, and their characters together: about 64 MiB. */
const maxValues = 300_000;
const maxValueChars = 16_000_000;

interface Tally {
  count: number;
  firstBytes: number;
  lastBytes: number;
}

/** Counts the values of a group over all occurrences, met in the order of the text. */
export class Aggregation {
  /** Whether there were too many different values to keep. */
  overflowed = false;
  readonly #aggregate: Aggregate;
  readonly #tallies = new Map<string, Tally>();
  #valueChars = 0;
  #occurrences = 0;

  constructor(aggregate: Aggregate) {
    this.#aggregate = aggregate;
  }

  /** Takes in one occurrence at byte `at` of the file; its group may have taken no part. */
  add(value: string | undefined, at: number): void {
    this.#occurrences++;
    if (value === undefined || this.#aggregate.kind === 'count') return;
    const tally = this.#tallies.get(value);
    if (tally !== undefined) {
      tally.count++;
      tally.lastBytes = at;
      return;
    }
    if (this.#tallies.size >= maxValues || this.#valueChars + value.length > maxValueChars) {
      this.overflowed = true;
      return;
    }
    this.#valueChars += value.length;
    this.#tallies.set(value, { count: 1, firstBytes: at, lastBytes: at });
  }

  /** The answer's part: groups, most frequent first; among equals the one that came first. */
  result(view: LineView): Pick<SearchResult, 'groups' | 'groupCount' | 'occurrences'> {
    if (this.#aggregate.kind === 'count') return { occurrences: this.#occurrences };
    const sorted = [...this.#tallies].sort(([, a], [, b]) => b.count - a.count);
    const place = (at: number): AggregateGroup['first'] => {
      const { line, chars } = view.position(at);
      return { line, offsetChars: chars };
    };
    const groups = sorted.slice(0, this.#aggregate.maxGroups).map(([value, tally]) => ({
      value,
      count: tally.count,
      first: place(tally.firstBytes),
      last: place(tally.lastBytes),
    }));
    return { groups, groupCount: this.#tallies.size, occurrences: this.#occurrences };
  }
}

import type { Aggregate, AggregateGroup, SearchResult } from '../types.ts';
import type { LineView } from '../text/line-view.ts';

/** Different values kept at most, and their characters together: about 64 MiB. */
const maxValues = 300_000;
const maxValueChars = 16_000_000;

interface Tally {
  count: number;
  firstBytes: number;
  lastBytes: number;
}

/** What one worker has counted, in a form that is quick to hand over. */
export interface TallyTable {
  readonly occurrences: number;
  /** Whether there were too many different values to keep. */
  readonly overflowed: boolean;
  /** The values in UTF-8, one behind the other, and where each ends. */
  readonly values: Uint8Array;
  readonly valueEnds: Uint32Array;
  readonly counts: Float64Array;
  readonly firstBytes: Float64Array;
  readonly lastBytes: Float64Array;
}

/** Counts the values of a group over all occurrences, met in any order. */
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
    this.#count(value, { count: 1, firstBytes: at, lastBytes: at });
  }

  /** What was counted so far. */
  table(): TallyTable {
    const size = this.#tallies.size;
    const counts = new Float64Array(size);
    const firstBytes = new Float64Array(size);
    const lastBytes = new Float64Array(size);
    const valueEnds = new Uint32Array(size);
    const texts: Buffer[] = [];
    let i = 0;
    let end = 0;
    for (const [value, tally] of this.#tallies) {
      const text = Buffer.from(value);
      texts.push(text);
      end += text.length;
      valueEnds[i] = end;
      counts[i] = tally.count;
      firstBytes[i] = tally.firstBytes;
      lastBytes[i] = tally.lastBytes;
      i++;
    }
    const values = new Uint8Array(Buffer.concat(texts));
    const { overflowed } = this;
    const occurrences = this.#occurrences;
    return { occurrences, overflowed, values, valueEnds, counts, firstBytes, lastBytes };
  }

  /** Takes in what another one has counted. */
  merge(table: TallyTable): void {
    this.#occurrences += table.occurrences;
    this.overflowed ||= table.overflowed;
    const { values, valueEnds, counts, firstBytes, lastBytes } = table;
    const text = Buffer.from(values.buffer, values.byteOffset, values.length);
    for (let i = 0; i < counts.length; i++) {
      const value = text.toString('utf8', i === 0 ? 0 : valueEnds[i - 1], valueEnds[i]);
      const [count, first, last] = [counts[i]!, firstBytes[i]!, lastBytes[i]!];
      this.#count(value, { count, firstBytes: first, lastBytes: last });
    }
  }

  /** The answer's part: groups, most frequent first; among equals the one that came first. */
  result(view: LineView): Pick<SearchResult, 'groups' | 'groupCount' | 'occurrences'> {
    if (this.#aggregate.kind === 'count') return { occurrences: this.#occurrences };
    const sorted = [...this.#tallies].sort(
      ([, a], [, b]) => b.count - a.count || a.firstBytes - b.firstBytes,
    );
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

  #count(value: string, { count, firstBytes, lastBytes }: Readonly<Tally>): void {
    const tally = this.#tallies.get(value);
    if (tally !== undefined) {
      tally.count += count;
      tally.firstBytes = Math.min(tally.firstBytes, firstBytes);
      tally.lastBytes = Math.max(tally.lastBytes, lastBytes);
      return;
    }
    if (this.#tallies.size >= maxValues || this.#valueChars + value.length > maxValueChars) {
      this.overflowed = true;
      return;
    }
    this.#valueChars += value.length;
    this.#tallies.set(value, { count, firstBytes, lastBytes });
  }
}

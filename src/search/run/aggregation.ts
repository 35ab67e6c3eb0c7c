import type { GroupTexts } from '../automaton/occurrence.ts';
import { entryAtByte, type EntryBorders } from '../text/shared-entries.ts';
import type { LineView } from '../text/line-view.ts';
import type { Aggregate, AggregateGroup, GroupKey, Measures, SearchResult } from '../types.ts';
import {
  addNumber,
  emptySum,
  mergeSum,
  meanOf,
  readSum,
  sumFields,
  totalOf,
  writeSum,
  type NumberSum,
} from './number-sum.ts';
import { unpackTexts, packTexts, type PackedTexts } from './packed-texts.ts';

/** Different values kept at most, and their characters together: about 64 MiB. */
const maxValues = 300_000;
const maxValueChars = 16_000_000;

/** Stands between the keys of a group: decoded UTF-8 holds no lone surrogate. */
const keySeparator = '\ud800';

interface Tally {
  count: number;
  firstBytes: number;
  lastBytes: number;
  /** Of the measured groups, in the order of the plan. */
  readonly sums: readonly NumberSum[];
  readonly distinct: Set<string> | undefined;
}

/** What one worker has counted, in a form that is quick to hand over. */
export interface TallyTable {
  readonly occurrences: number;
  /** Whether there were too many different values to keep. */
  readonly overflowed: boolean;
  /** The keys, as many for each group as there are. */
  readonly keys: PackedTexts;
  readonly counts: Float64Array;
  readonly firstBytes: Float64Array;
  readonly lastBytes: Float64Array;
  readonly sums: Float64Array;
  /** The distinct values of all groups, and how many each group has. */
  readonly distinct: PackedTexts;
  readonly distinctCounts: Uint32Array;
}

/**
 * Bytes that each of several corpora has to itself where their places stand in one order: 16 TiB,
 * so that a number holds the place exactly for 512 of them.
 */
const corpusBytes = 2 ** 44;

/** Where the bytes of a corpus begin among several. */
export function chainBase(corpus: number): number {
  return corpus * corpusBytes;
}

function chainedPlace(at: number): { readonly corpus: number; readonly offsetBytes: number } {
  return { corpus: Math.floor(at / corpusBytes), offsetBytes: at % corpusBytes };
}

/** Which capture groups an aggregate needs, and where their texts stand. */
export interface AggregatePlan {
  /** The groups to be told with each match. */
  readonly groups: readonly number[];
  /** For each key its place among the groups, or the labels of the entries. */
  readonly keys: readonly (number | Int32Array)[];
  /** Places among the groups of the texts that are numbers, each once. */
  readonly sums: readonly number[];
  /** Where each measure stands in `sums`. */
  readonly measures: Readonly<Partial<Record<keyof Measures, number>>>;
  /** Place among the groups of the text whose different values are counted. */
  readonly distinct: number | undefined;
}

const measureNames = ['sum', 'min', 'max', 'avg'] as const;

/** The plan for an aggregate; `groupOf` gives a group's number. */
export function planAggregate(
  aggregate: Aggregate,
  groupOf: (group: number | string) => number,
): AggregatePlan {
  const groups: number[] = [];
  const placeOf = (group: number | string): number => {
    const number = groupOf(group);
    const known = groups.indexOf(number);
    return known >= 0 ? known : groups.push(number) - 1;
  };
  const by: readonly GroupKey[] =
    aggregate.kind === 'count' ? [] : (aggregate.by ?? [aggregate.group ?? 0]);
  const keys = by.map((key) => (typeof key === 'object' ? key.labels : placeOf(key)));
  const sums: number[] = [];
  const measures: Partial<Record<keyof Measures, number>> = {};
  for (const name of measureNames) {
    const group = aggregate.measures?.[name];
    if (group === undefined) continue;
    const place = placeOf(group);
    const known = sums.indexOf(place);
    measures[name] = known >= 0 ? known : sums.push(place) - 1;
  }
  const { distinct } = aggregate.measures ?? {};
  return {
    groups,
    keys,
    sums,
    measures,
    distinct: distinct === undefined ? undefined : placeOf(distinct),
  };
}

/** Counts the values of groups over all occurrences, met in any order. */
export class Aggregation {
  /** Whether there were too many different values to keep. */
  overflowed = false;
  readonly #aggregate: Aggregate;
  readonly #plan: AggregatePlan;
  readonly #entries: EntryBorders | undefined;
  readonly #tallies = new Map<string, Tally>();
  #values = 0;
  #valueChars = 0;
  #occurrences = 0;

  constructor(aggregate: Aggregate, plan: AggregatePlan, entries: EntryBorders | undefined) {
    this.#aggregate = aggregate;
    this.#plan = plan;
    this.#entries = entries;
  }

  /** Takes in one occurrence at byte `at` of the file; groups may have taken no part. */
  add(held: GroupTexts, at: number): void {
    this.#occurrences++;
    if (this.#aggregate.kind === 'count' && this.#aggregate.measures === undefined) return;
    const key = this.#key(held, at);
    if (key === undefined) return;
    const tally = this.#tally(key, at);
    if (tally === undefined) return;
    tally.count++;
    if (at < tally.firstBytes) tally.firstBytes = at;
    if (at > tally.lastBytes) tally.lastBytes = at;
    const { sums, distinct } = this.#plan;
    for (let i = 0; i < sums.length; i++) {
      const text = held.text(sums[i]!);
      if (text !== undefined) addNumber(tally.sums[i]!, text);
    }
    const text = distinct === undefined ? undefined : held.text(distinct);
    if (text !== undefined) this.#addDistinct(tally, text);
  }

  /** What was counted so far. */
  table(): TallyTable {
    const size = this.#tallies.size;
    const counts = new Float64Array(size);
    const firstBytes = new Float64Array(size);
    const lastBytes = new Float64Array(size);
    const width = this.#plan.sums.length * sumFields;
    const sums = new Float64Array(size * width);
    const distinctCounts = new Uint32Array(size);
    const keys: string[] = [];
    const distinct: string[] = [];
    let i = 0;
    for (const [key, tally] of this.#tallies) {
      for (const part of key.split(keySeparator)) keys.push(part);
      counts[i] = tally.count;
      firstBytes[i] = tally.firstBytes;
      lastBytes[i] = tally.lastBytes;
      for (const [k, sum] of tally.sums.entries()) writeSum(sum, sums, i * width + k * sumFields);
      distinctCounts[i] = tally.distinct?.size ?? 0;
      for (const value of tally.distinct ?? []) distinct.push(value);
      i++;
    }
    return {
      occurrences: this.#occurrences,
      overflowed: this.overflowed,
      keys: packTexts(keys),
      counts,
      firstBytes,
      lastBytes,
      sums,
      distinct: packTexts(distinct),
      distinctCounts,
    };
  }

  /** Takes in what another one has counted; its bytes are those of the file behind `baseBytes`. */
  merge(table: TallyTable, baseBytes = 0): void {
    this.#occurrences += table.occurrences;
    this.overflowed ||= table.overflowed;
    const keyCount = Math.max(1, this.#plan.keys.length);
    const width = this.#plan.sums.length * sumFields;
    const keyAt = unpackTexts(table.keys);
    const distinctAt = unpackTexts(table.distinct);
    let nextDistinct = 0;
    for (let i = 0; i < table.counts.length; i++) {
      const parts = Array.from({ length: keyCount }, (_, k) => keyAt(i * keyCount + k));
      const firstBytes = baseBytes + table.firstBytes[i]!;
      const tally = this.#tally(parts.join(keySeparator), firstBytes);
      const distinctEnd = nextDistinct + table.distinctCounts[i]!;
      if (tally !== undefined) {
        tally.count += table.counts[i]!;
        tally.firstBytes = Math.min(tally.firstBytes, firstBytes);
        tally.lastBytes = Math.max(tally.lastBytes, baseBytes + table.lastBytes[i]!);
        for (const [k, sum] of tally.sums.entries())
          mergeSum(sum, readSum(table.sums, i * width + k * sumFields));
        for (let d = nextDistinct; d < distinctEnd; d++) this.#addDistinct(tally, distinctAt(d));
      }
      nextDistinct = distinctEnd;
    }
  }

  /** The answer's part: groups, most frequent first; among equals the one that came first. */
  result(
    view: Pick<LineView, 'position'>,
  ): Pick<SearchResult, 'groups' | 'groupCount' | 'occurrences'> {
    if (this.#aggregate.kind === 'count' && this.#aggregate.measures === undefined)
      return { occurrences: this.#occurrences };
    const sorted = [...this.#tallies].sort(
      ([, a], [, b]) => b.count - a.count || a.firstBytes - b.firstBytes,
    );
    const isChained = this.#aggregate.chain !== undefined;
    const place = (at: number): AggregateGroup['first'] => {
      if (isChained) return { line: 0, offsetChars: 0, chained: chainedPlace(at) };
      const { line, chars } = view.position(at);
      return { line, offsetChars: chars };
    };
    const groups = sorted
      .slice(0, this.#aggregate.maxGroups)
      .map(([key, tally]) => this.#group(key, tally, place));
    return { groups, groupCount: this.#tallies.size, occurrences: this.#occurrences };
  }

  #group(
    key: string,
    tally: Tally,
    place: (at: number) => AggregateGroup['first'],
  ): AggregateGroup {
    const values = this.#plan.keys.length < 2 ? [key] : key.split(keySeparator);
    return {
      value: values.join(' '),
      ...(this.#aggregate.by === undefined ? {} : { values }),
      count: tally.count,
      first: place(tally.firstBytes),
      last: place(tally.lastBytes),
      ...this.#measured(tally),
    };
  }

  #measured(tally: Tally): Partial<AggregateGroup> {
    const { measures } = this.#plan;
    const sumOf = (name: keyof Measures): NumberSum | undefined =>
      measures[name] === undefined ? undefined : tally.sums[measures[name]];
    const [sum, min, max, avg] = measureNames.map(sumOf);
    const notNumbers = tally.sums.reduce((total, { others }) => total + others, 0);
    const mean = avg && meanOf(avg);
    return {
      ...(sum && { sum: totalOf(sum) }),
      ...(min && min.count > 0 && { min: min.min }),
      ...(max && max.count > 0 && { max: max.max }),
      ...(mean !== undefined && { avg: mean }),
      ...(tally.distinct && { distinct: tally.distinct.size }),
      ...(notNumbers > 0 && { notNumbers }),
    };
  }

  /** The group of an occurrence; undefined where none of its keys took part. */
  #key(held: GroupTexts, at: number): string | undefined {
    const { keys } = this.#plan;
    if (keys.length === 0) return '';
    const [first] = keys;
    if (keys.length === 1 && typeof first === 'number') return held.text(first);
    let hasPart = false;
    const parts = keys.map((key) => {
      const part = typeof key === 'number' ? held.text(key) : this.#label(key, at);
      hasPart ||= part !== undefined;
      return part ?? '';
    });
    return hasPart ? parts.join(keySeparator) : undefined;
  }

  #label(labels: Int32Array, at: number): string | undefined {
    const entry = entryAtByte(this.#entries, at);
    const label = entry === undefined ? -1 : (labels[entry] ?? -1);
    return label < 0 ? undefined : String(label);
  }

  #tally(key: string, at: number): Tally | undefined {
    const known = this.#tallies.get(key);
    if (known !== undefined) return known;
    if (!this.#hasRoom(key)) return undefined;
    const tally: Tally = {
      count: 0,
      firstBytes: at,
      lastBytes: at,
      sums: this.#plan.sums.map(emptySum),
      distinct: this.#plan.distinct === undefined ? undefined : new Set(),
    };
    this.#tallies.set(key, tally);
    return tally;
  }

  #addDistinct({ distinct }: Tally, text: string): void {
    if (distinct === undefined || distinct.has(text) || !this.#hasRoom(text)) return;
    distinct.add(text);
  }

  #hasRoom(text: string): boolean {
    if (this.#values >= maxValues || this.#valueChars + text.length > maxValueChars) {
      this.overflowed = true;
      return false;
    }
    this.#values++;
    this.#valueChars += text.length;
    return true;
  }
}

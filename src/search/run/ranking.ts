import { entryIndexAt, type EntryBorders } from '../text/shared-entries.ts';
import type { RankQuery, WordCount } from '../types.ts';

/** A passage is a stretch of an entry of so many bytes: some 25 lines. */
const passageBytes = 2_048;

/** Passages that a worker keeps at most. More have too little that tells them apart. */
const maxPassages = 200_000;

/** How soon more of the same word count no more (BM25's k1; passages are all of one length). */
const saturation = 1.2;

/** Lines that are shown of a passage at most. */
const linesEach = 3;

/** What one worker has found, in a form that is quick to hand over. */
export interface RankTable {
  /** Where each passage begins, bytes of the file. */
  readonly starts: Float64Array;
  /** How often each word is in it, passage by passage. */
  readonly counts: Float64Array;
  /** Where each word is first in it; -1 = nowhere. */
  readonly firsts: Float64Array;
  readonly occurrences: Float64Array;
  readonly overflowed: boolean;
}

interface Passage {
  readonly counts: Float64Array;
  readonly firsts: Float64Array;
}

/** Weighs the passages that hold any of some words, met in any order. */
export class Ranking {
  /** Whether there were too many passages to keep. */
  overflowed = false;
  readonly #query: RankQuery;
  readonly #entries: EntryBorders | undefined;
  readonly #passages = new Map<number, Passage>();
  readonly #occurrences: Float64Array;
  readonly #numberOf: ReadonlyMap<string, number>;

  constructor(query: RankQuery, entries: EntryBorders | undefined) {
    this.#query = query;
    this.#entries = entries;
    this.#occurrences = new Float64Array(query.words.length);
    this.#numberOf = new Map(query.words.map(({ key }, number) => [key, number]));
  }

  /** Takes in the text of one match, at byte `at` of the file. */
  add(text: string | undefined, at: number): void {
    const number = this.#numberOf.get(wordKey(text ?? ''));
    if (number === undefined) return;
    const passage = this.#passage(this.#startOf(at));
    // A phrase is a match of each of its words, too.
    for (const word of [number, ...(this.#query.words[number]?.parts ?? [])]) {
      this.#occurrences[word]! += 1;
      if (passage === undefined) continue;
      passage.counts[word]! += 1;
      const first = passage.firsts[word]!;
      if (first < 0 || at < first) passage.firsts[word] = at;
    }
  }

  /** What was found so far. */
  table(): RankTable {
    const words = this.#query.words.length;
    const counts = new Float64Array(words * this.#passages.size);
    const firsts = new Float64Array(words * this.#passages.size);
    let i = 0;
    for (const passage of this.#passages.values()) {
      counts.set(passage.counts, i * words);
      firsts.set(passage.firsts, i * words);
      i += 1;
    }
    const starts = Float64Array.from(this.#passages.keys());
    const { overflowed } = this;
    return { starts, counts, firsts, occurrences: this.#occurrences, overflowed };
  }

  /** Takes in what another one has found. */
  merge({ starts, counts, firsts, occurrences, overflowed }: RankTable): void {
    const words = this.#query.words.length;
    this.overflowed ||= overflowed;
    for (let word = 0; word < words; word += 1) this.#occurrences[word]! += occurrences[word]!;
    for (const [index, start] of starts.entries()) {
      const passage = this.#passage(start);
      if (passage === undefined) continue;
      for (let word = 0; word < words; word += 1) {
        passage.counts[word]! += counts[index * words + word]!;
        const first = firsts[index * words + word]!;
        const known = passage.firsts[word]!;
        if (first >= 0 && (known < 0 || first < known)) passage.firsts[word] = first;
      }
    }
  }

  /** How often each word occurs. */
  wordCounts(): readonly WordCount[] {
    return this.#query.words.map(({ text }, number) => ({
      text,
      count: this.#occurrences[number]!,
    }));
  }

  /**
   * Places in the best passages, the best passage first; in one, those of its rarest words, in
   * reading order. Among equals the later text comes first. `totalBytes` is what was searched.
   */
  best(totalBytes: number): readonly number[] {
    const count = Math.max(this.#passages.size, Math.ceil(totalBytes / passageBytes));
    const holding = new Float64Array(this.#query.words.length);
    for (const { counts } of this.#passages.values())
      for (const [word, times] of counts.entries()) if (times > 0) holding[word]! += 1;
    const rarity = holding.map((held) => Math.log(1 + (count - held + 0.5) / (held + 0.5)));
    const scored = [...this.#passages].map(([start, passage]) => ({
      start,
      passage,
      score: passage.counts.reduce(
        (sum, times, word) => sum + (rarity[word]! * times) / (times + saturation),
        0,
      ),
    }));
    scored.sort((a, b) => b.score - a.score || b.start - a.start);
    return scored.slice(0, this.#query.passages).flatMap(({ passage: { firsts } }) => {
      const places = [...firsts.entries()]
        .filter(([, at]) => at >= 0)
        .toSorted(([a], [b]) => rarity[b]! - rarity[a]!)
        .map(([, at]) => at);
      return [...new Set(places)].slice(0, linesEach).toSorted((a, b) => a - b);
    });
  }

  #startOf(at: number): number {
    if (this.#entries === undefined || this.#entries.count === 0) return at - (at % passageBytes);
    const start = this.#entries.bounds[2 * entryIndexAt(this.#entries, at)]!;
    return at - ((at - start) % passageBytes);
  }

  #passage(start: number): Passage | undefined {
    const known = this.#passages.get(start);
    if (known !== undefined) return known;
    if (this.#passages.size >= maxPassages) {
      this.overflowed = true;
      return undefined;
    }
    const words = this.#query.words.length;
    const passage = {
      counts: new Float64Array(words),
      firsts: new Float64Array(words).fill(-1),
    };
    this.#passages.set(start, passage);
    return passage;
  }
}

/** What is the same in all spellings of a word: without case, and without what joins its parts. */
function wordKey(text: string): string {
  return text.toLowerCase().replaceAll(/[\s_.\-/]+/g, '');
}

/** A text to store, in pieces, so that its size does not matter. Lines end in a newline. */
export interface BenchDocument {
  readonly path: string;
  /** Small enough to be held, so that many are stored in one step. */
  readonly isSmall?: boolean;
  /** The same text each time it is asked for. */
  chunks(): Iterable<string>;
}

/** A question with a known answer. */
export interface BenchQuestion {
  /** Unique in its case: `multi-key`, `count-label-2`. */
  readonly id: string;
  readonly question: string;
  readonly expected: string;
  /**
   * False where wording alone does not lead to the answer: a script cannot play it, only a model.
   */
  readonly scriptable: boolean;
  /** 0 (wrong) to 1 (right) for the text that came back. */
  score(answer: string): number;
}

/** One haystack and what is asked about it. */
export interface BenchCase {
  readonly documents: readonly BenchDocument[];
  readonly questions: readonly BenchQuestion[];
  /** Where texts come from the machine: how much of each there is, and what is left out and why. */
  readonly said?: readonly string[];
}

/**
 * Makes a case of about `sizeChars` characters (ASCII, so bytes too). The same arguments give the
 * same case.
 */
export type CaseGenerator = (seed: number, sizeChars: number) => BenchCase;

/** Names of the benchmarks. */
export const benchKinds = [
  'niah',
  'aggregate',
  'pairs',
  'hops',
  'codeqa',
  'recall',
  'real',
] as const;

/** One of {@link benchKinds}. */
export type BenchKind = (typeof benchKinds)[number];

/**
 * First line of every question: which benchmark asks. A real model is not helped by it; the
 * scripted policies recognize by it what is theirs to play.
 */
export function questionHead(kind: BenchKind): string {
  return `[benchmark ${kind}]`;
}

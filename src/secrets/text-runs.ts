import type { Alphabet } from './token-shapes.ts';

/** `value`: what stands between quotes; `plain`: the same without quotes. */
type Run = Alphabet | 'value' | 'plain';

const patterns: Readonly<Record<Run, RegExp>> = {
  digits: /[0-9]/,
  hex: /[0-9a-fA-F]/,
  upper: /[0-9A-Z]/,
  alphanumeric: /[0-9A-Za-z]/,
  word: /\w/,
  dashed: /[\w-]/,
  dotted: /[\w.-]/,
  base64: /[0-9A-Za-z+/=]/,
  value: /[^"'`\\\0-\x20\x7f]/,
  plain: /[\w+/=~.@!%^-]/,
};

/** For each alphabet, which of the first 128 code units belong to it. */
const members = Object.fromEntries(
  Object.entries(patterns).map(([name, pattern]) => [
    name,
    Uint8Array.from({ length: 128 }, (_, unit) => Number(pattern.test(String.fromCharCode(unit)))),
  ]),
) as Readonly<Record<Run, Uint8Array>>;

/**
 * Runs of alphabets in a text. The last ones are kept, so that asking from many places of one long
 * run costs no more than walking it once: a text may be a million beginnings of a token.
 */
export class TextRuns {
  readonly text: string;
  readonly #kept: Partial<Record<Run, { start: number; end: number }>>[] = [];

  constructor(text: string) {
    this.text = text;
  }

  /**
   * Where the longest run of an alphabet from `start` on ends. @param slot Runs are kept one for
   * each slot: the number of the part of a
   * token.
   */
  endOf(alphabet: Run, start: number, slot: number): number {
    const ofSlot = (this.#kept[slot] ??= {});
    const kept = ofSlot[alphabet];
    if (kept !== undefined && start >= kept.start && start < kept.end) return kept.end;
    const isMember = members[alphabet];
    let end = start;
    while (isMember[this.text.charCodeAt(end)] === 1) end += 1;
    ofSlot[alphabet] = { start, end };
    return end;
  }

  /** Whether a character belongs to an alphabet; none does before and behind the text. */
  isAt(alphabet: Run, index: number): boolean {
    return members[alphabet][this.text.charCodeAt(index)] === 1;
  }
}

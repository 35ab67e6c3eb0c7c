import { questionHead, type BenchQuestion } from '../../cases.ts';
import type { Random } from '../../../random.ts';
import { answerForm, finalAnswer, scoreSet } from '../../scoring.ts';

/** A question whose answer a script can find, as the runner takes it, but for its score. */
export function asked(
  id: string,
  question: string,
): Pick<BenchQuestion, 'id' | 'question' | 'scriptable'> {
  return { id, question: `${questionHead('real')} ${question} ${answerForm}.`, scriptable: true };
}

/** A question whose answer is one text, letter by letter. */
export function exactQuestion(id: string, question: string, expected: string): BenchQuestion {
  return {
    ...asked(id, question),
    expected,
    score: (answer) => (finalAnswer(answer) === expected ? 1 : 0),
  };
}

/** A question whose answer is a set, separated by semicolons. */
export function setQuestion(
  id: string,
  question: string,
  expected: Iterable<string>,
): BenchQuestion {
  const wanted = new Set(expected);
  return {
    ...asked(id, `${question} Separated by semicolons.`),
    expected: [...wanted].join('; '),
    score: (answer) => scoreSet(listed(answer), wanted),
  };
}

function listed(answer: string): ReadonlySet<string> {
  const parts = finalAnswer(answer).split(';');
  return new Set(parts.map((part) => part.trim()).filter((part) => part !== ''));
}

/**
 * A question for a text word for word. A mark that stands nowhere else says where the answer
 * begins; blank lines at its ends do not count, everything between does.
 */
export function verbatimQuestion(
  id: string,
  question: string,
  { expected, random }: { readonly expected: string; readonly random: Random },
): BenchQuestion {
  const mark = `<<${random.hex()}>>`;
  return {
    id,
    question: `${questionHead('real')} ${question} Put it at the end of your reply, word for word, behind a line with the mark ${mark}.`,
    expected: `${mark}\n${expected}`,
    scriptable: true,
    score: (answer) => {
      const at = answer.lastIndexOf(mark);
      const given = at < 0 ? '' : answer.slice(at + mark.length);
      return withoutBlankEnds(given) === withoutBlankEnds(expected) ? 1 : 0;
    },
  };
}

/** A text without the blank lines at its ends. */
export function withoutBlankEnds(text: string): string {
  return text.replace(/^(?:[ \t\r]*\n)+/, '').trimEnd();
}

/** Counts one more. */
export function count<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** Keys by their counts; of several with the same count the first by name, so the order is one. */
export function ranked(counts: ReadonlyMap<string, number>): readonly string[] {
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([key]) => key);
}

/** Both names of a pair, the first by name before the other. */
export function pairOf(first: string, second: string): string {
  return [first, second].toSorted().join(' + ');
}

/** All pairs of some names. */
export function pairsOf(names: readonly string[]): readonly (readonly [string, string])[] {
  return names.flatMap((first, at) =>
    names.slice(at + 1).map((second) => [first, second] as const),
  );
}

/**
 * The number that about `wanted` of the values reach: a condition that so many meet. At least 1.
 */
export function thresholdFor(values: readonly number[], wanted: number): number {
  const sorted = values.toSorted((a, b) => b - a);
  return Math.max(1, sorted[Math.min(wanted, sorted.length) - 1] ?? 1);
}

/** How questions say it where counts may be equal. */
export const ties = 'Of several with the same count, the first by name.';

/** How questions ask for pairs. */
export const pairForm = 'Write each pair as <first> + <second>, in alphabetical order.';

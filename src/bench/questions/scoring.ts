/** The part of an answer that counts: what stands behind the last `ANSWER:`, else all of it. */
export function finalAnswer(answer: string): string {
  const at = answer.lastIndexOf('ANSWER:');
  return (at < 0 ? answer : answer.slice(at + 'ANSWER:'.length)).trim();
}

/** What every question asks for, so that the answer can be found in the prose around it. */
export const answerForm = 'End your reply with one line: ANSWER: followed by the answer alone';

/**
 * 1 when the expected text stands in the answer as a word of its own and no other of `wrong` does.
 */
export function scoreExact(
  answer: string,
  expected: string,
  wrong: readonly string[] = [],
): number {
  const given = finalAnswer(answer);
  if (!hasWord(given, expected)) return 0;
  return wrong.some((other) => other !== expected && hasWord(given, other)) ? 0 : 1;
}

function hasWord(text: string, word: string): boolean {
  const escaped = word.replace(/[\\^$.|?*+()[\]{}]/g, String.raw`\$&`);
  return new RegExp(`(?<![\\w-])${escaped}(?![\\w-])`, 'i').test(text);
}

/** OOLONG's score of a number: 0.75 to the power of the error; 0 without a number. */
export function scoreNumber(answer: string, expected: number): number {
  const found = /-?\d[\d,]*(?:\.\d+)?/.exec(finalAnswer(answer));
  if (found === null) return 0;
  return 0.75 ** Math.abs(Number(found[0].replaceAll(',', '')) - expected);
}

/** F1 of a set: the harmonic mean of precision and recall. Both empty is 1. */
export function scoreSet(given: ReadonlySet<string>, expected: ReadonlySet<string>): number {
  if (given.size === 0 && expected.size === 0) return 1;
  const both = [...given].filter((item) => expected.has(item)).length;
  return (2 * both) / (given.size + expected.size);
}

/** The items of an answer: what the pattern's hits in it are, each once. */
export function itemsOf(answer: string, pattern: RegExp): ReadonlySet<string> {
  return new Set([...finalAnswer(answer).matchAll(pattern)].map(([item]) => item));
}

/** A share with Wilson's interval at 95 %: sound for few trials and for shares near 0 and 1. */
export function wilson(
  successes: number,
  trials: number,
): { readonly share: number; readonly low: number; readonly high: number } {
  if (trials === 0) return { share: 0, low: 0, high: 1 };
  const z = 1.959_963_985;
  const share = successes / trials;
  const weight = 1 + z ** 2 / trials;
  const middle = (share + z ** 2 / (2 * trials)) / weight;
  const half =
    (z / weight) * Math.sqrt((share * (1 - share)) / trials + z ** 2 / (4 * trials ** 2));
  return { share, low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
}

/** The value below which `share` of the values lie; 0 for none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

import { countOf } from '../base/numbers.ts';

/** The text that the same command printed before. */
export interface EarlierText {
  /** The entry it is: `e12`. */
  readonly id: string;
  readonly text: string;
}

const numbers = /\d+(?:[.:,]\d+)*/g;

/**
 * How a text differs from what the same command printed before, in lines: which are new, which are
 * gone, wherever they stand. Lines that differ in numbers only (times, counts) are told apart.
 */
export function differenceFrom({ id, text: before }: EarlierText, text: string): string {
  if (before === text) return `the same command as ${id}, the same text`;
  const old = countsOf(linesOf(before));
  const fresh: { readonly line: string; readonly at: number }[] = [];
  let same = 0;
  for (const [index, line] of linesOf(text).entries()) {
    if (take(old, line)) same += 1;
    else fresh.push({ line, at: index + 1 });
  }
  const gone = new Map<string, number>();
  for (const [line, count] of old) {
    const shape = line.replaceAll(numbers, '0');
    if (count > 0) gone.set(shape, (gone.get(shape) ?? 0) + count);
  }
  const changed = fresh.filter(({ line }) => !take(gone, line.replaceAll(numbers, '0')));
  const inNumbers = fresh.length - changed.length;
  const lost = [...gone.values()].reduce((sum, count) => sum + count, 0);
  const parts = [
    ...(changed.length > 0
      ? [`${countOf(changed.length, 'line')} new, the first line ${changed[0]?.at}`]
      : []),
    ...(lost > 0 ? [`${countOf(lost, 'line')} gone`] : []),
    ...(inNumbers > 0 ? [`${countOf(inNumbers, 'line')} other in numbers only`] : []),
  ];
  const order = same > 0 || inNumbers > 0 ? 'the same lines in another order' : '';
  return `the same command as ${id}: ${parts.length > 0 ? parts.join(', ') : order}`;
}

function linesOf(text: string): readonly string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

function countsOf(lines: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1);
  return counts;
}

/** Takes one of a line out of the counts, if there is one. */
function take(counts: Map<string, number>, line: string): boolean {
  const count = counts.get(line) ?? 0;
  if (count > 0) counts.set(line, count - 1);
  return count > 0;
}

/** What is known of the numbers of one group. */
export interface NumberSum {
  count: number;
  /** The sum is `high + low`: so it does not depend on who added what first. */
  high: number;
  low: number;
  min: number;
  max: number;
  /** Texts that are no number. */
  others: number;
}

/** How many numbers a {@link NumberSum} is written as. */
export const sumFields = 6;

/** Of no numbers. */
export function emptySum(): NumberSum {
  return { count: 0, high: 0, low: 0, min: Infinity, max: -Infinity, others: 0 };
}

/** Takes in the text of a number. */
export function addNumber(sum: NumberSum, text: string): void {
  const value = numberOf(text);
  if (Number.isNaN(value)) {
    sum.others++;
    return;
  }
  sum.count++;
  addExactly(sum, value);
  if (value < sum.min) sum.min = value;
  if (value > sum.max) sum.max = value;
}

/** Takes in what another one has summed up. */
export function mergeSum(sum: NumberSum, other: NumberSum): void {
  sum.count += other.count;
  sum.others += other.others;
  addExactly(sum, other.high);
  addExactly(sum, other.low);
  sum.min = Math.min(sum.min, other.min);
  sum.max = Math.max(sum.max, other.max);
}

/** The sum, without the dust of binary fractions. */
export function totalOf({ high, low }: NumberSum): number {
  return tidied(high + low);
}

/** The mean; of no numbers there is none. */
export function meanOf(sum: NumberSum): number | undefined {
  return sum.count === 0 ? undefined : tidied((sum.high + sum.low) / sum.count);
}

/** Writes a sum as {@link sumFields} numbers from `at` on. */
export function writeSum(sum: NumberSum, into: Float64Array, at: number): void {
  into.set([sum.count, sum.high, sum.low, sum.min, sum.max, sum.others], at);
}

/** Reads one back. */
export function readSum(from: Float64Array, at: number): NumberSum {
  return {
    count: from[at]!,
    high: from[at + 1]!,
    low: from[at + 2]!,
    min: from[at + 3]!,
    max: from[at + 4]!,
    others: from[at + 5]!,
  };
}

/** Adds with the error of the addition kept (Neumaier). */
function addExactly(sum: NumberSum, value: number): void {
  const total = sum.high + value;
  sum.low +=
    Math.abs(sum.high) >= Math.abs(value) ? sum.high - total + value : value - total + sum.high;
  sum.high = total;
}

/** 15 digits are what a double has for certain: 0.1 + 0.2 is 0.3. */
function tidied(value: number): number {
  return Number.isSafeInteger(value) ? value : Number(value.toPrecision(15));
}

const plain = /^\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\s*$/;
const grouped = /^\s*[+-]?\d{1,3}(?:[,_]\d{3})+(?:\.\d+)?\s*$/;

/** A number as logs and tables write it, `1,234.5` too; NaN for anything else. */
function numberOf(text: string): number {
  if (plain.test(text)) return Number(text);
  return grouped.test(text) ? Number(text.replaceAll(/[,_]/g, '')) : Number.NaN;
}

import { InvalidArgumentError } from 'commander';
import { grouped } from '../base/numbers.ts';

/** A whole number from `min` on, for a command's option. */
export function wholeNumber(min: number): (text: string) => number {
  return (text) => {
    const number = Number(text.replaceAll('_', ''));
    if (Number.isInteger(number) && number >= min) return number;
    throw new InvalidArgumentError(`It must be a whole number from ${min} on.`);
  };
}

/** A number in at most five characters: `950`, `12k`, `1.2M`. */
export function shortCount(number: number): string {
  return inSteps(number, ['', 'k', 'M', 'G']);
}

/** A size for people, as in `1.2 MB`. */
export function size(sizeBytes: number): string {
  return sizeBytes < 1e4
    ? `${grouped(sizeBytes)} bytes`
    : inSteps(sizeBytes, ['', ' kB', ' MB', ' GB']);
}

/** Two digits at least, three at most, with the unit of their thousands. */
function inSteps(number: number, units: readonly string[]): string {
  let left = number;
  let step = 0;
  // What would be written as 1000 belongs to the next unit.
  while (left >= 999.5 && step < units.length - 1) {
    left /= 1000;
    step += 1;
  }
  const digits = step > 0 && left < 9.95 ? 1 : 0;
  return `${left.toFixed(digits)}${units[step]}`;
}

const multiples: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9 };

/** A number of characters for a command's option: `5000`, `100M`, `1G`. */
export function charCount(text: string): number {
  const found = /^(\d+(?:\.\d+)?)([kmg]?)$/i.exec(text.replaceAll('_', ''));
  const count = Number(found?.[1]) * (multiples[found?.[2]?.toLowerCase() ?? ''] ?? Number.NaN);
  if (Number.isInteger(count) && count > 0) return count;
  throw new InvalidArgumentError('It must be a number of characters, such as 100M or 1G.');
}

/** `1M,300K,2.5G` as characters. */
export function sizeList(text: string): readonly number[] {
  return text.split(',').map(charCount);
}

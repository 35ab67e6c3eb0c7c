import { InvalidArgumentError } from 'commander';

/** A whole number from `min` on, for a command's option. */
export function wholeNumber(min: number): (text: string) => number {
  return (text) => {
    const number = Number(text.replaceAll('_', ''));
    if (Number.isInteger(number) && number >= min) return number;
    throw new InvalidArgumentError(`It must be a whole number from ${min} on.`);
  };
}

/** A number with thousands apart, as in `1 234 567`. */
export function grouped(number: number): string {
  return String(number).replaceAll(/\B(?=(\d{3})+$)/g, ' ');
}

/** A size for people, as in `1.2 MB`. */
export function megabytes(sizeBytes: number): string {
  return sizeBytes < 1e5 ? `${grouped(sizeBytes)} bytes` : `${(sizeBytes / 1e6).toFixed(1)} MB`;
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

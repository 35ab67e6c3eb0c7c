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

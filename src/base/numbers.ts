/** Pure. A number as English writes it, its thousands apart: `1,234,567`. */
export function grouped(number: number): string {
  return number.toLocaleString('en-US');
}

/** Pure. A count with its noun: `1 match`, `1,204 matches`. */
export function countOf(count: number, one: string, many = `${one}s`): string {
  return `${grouped(count)} ${count === 1 ? one : many}`;
}

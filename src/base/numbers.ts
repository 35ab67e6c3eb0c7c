/** Pure. A number as English writes it, its thousands apart: `1,234,567`. */
export function grouped(number: number): string {
  return number.toLocaleString('en-US');
}

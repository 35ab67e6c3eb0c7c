/** Longer names are not compared: the work grows with the square. */
const maxChars = 200;

/**
 * Pure. The names that a misspelt one most likely means, the nearest first: those that hold it or
 * that it holds, and those that a few changed letters make of it.
 * @param count Most names
 */
export function nearest(
  wanted: string,
  names: readonly string[],
  count: number,
): readonly string[] {
  const low = wanted.slice(0, maxChars).toLowerCase();
  return names
    .map((name) => ({ name, distance: distanceOf(low, name.slice(0, maxChars).toLowerCase()) }))
    .filter(({ distance }) => distance <= Math.max(2, low.length / 2))
    .toSorted((a, b) => a.distance - b.distance)
    .slice(0, count)
    .map(({ name }) => name);
}

/** Letters to change, add or take away; few where one holds the other. */
function distanceOf(a: string, b: string): number {
  if (a !== '' && b !== '' && (a.includes(b) || b.includes(a))) return 1;
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + same));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

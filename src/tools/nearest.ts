/** Only so much of a name's end is compared, UTF-16 units. */
const comparedUnits = 80;

/**
 * The names that are most like a wanted one, the nearest first: by pairs of letters they share,
 * those of the last part first.
 */
export function nearestNames(
  wanted: string,
  names: readonly string[],
  count: number,
): readonly string[] {
  const pairs = pairsOf(wanted);
  const last = pairsOf(lastPart(wanted));
  const scored = [...new Set(names)].map((name) => ({
    name,
    score: share(pairs, pairsOf(name)) + 2 * share(last, pairsOf(lastPart(name))),
  }));
  return scored
    .toSorted((a, b) => b.score - a.score)
    .slice(0, count)
    .map(({ name }) => name);
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

function pairsOf(name: string): ReadonlySet<string> {
  const text = name.slice(-comparedUnits).toLowerCase();
  const pairs = new Set<string>();
  for (let at = 0; at + 1 < text.length; at += 1) pairs.add(text.slice(at, at + 2));
  return pairs;
}

/** Dice's coefficient. */
function share(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  if (a.size === 0 || b.size === 0) return 0;
  let both = 0;
  for (const pair of a) if (b.has(pair)) both += 1;
  return (2 * both) / (a.size + b.size);
}

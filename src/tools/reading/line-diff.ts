/*
 * What differs between two texts, line by line, in the unified form that `diff -u` writes. Lines
 * that both texts have once only and in the same order hold the rest in place (as in patience
 * diff); between those Myers' greedy way finds the fewest changes, up to a bound: where two
 * stretches have almost nothing in common, all of one stands against all of the other.
 */

/** Most changes that are looked for between two anchors. Its square is the work and the memory. */
const maxChanges = 600;

/** Unchanged lines around a change. */
const contextLines = 2;

/** What differs between two texts. */
export interface LineDiff {
  readonly added: number;
  readonly removed: number;
  /** Changes with the lines around them, each behind its `@@` line; none where nothing differs. */
  readonly hunks: readonly string[];
}

/** Lines [aStart, aEnd) of the one text in the place of [bStart, bEnd) of the other. */
interface Change {
  readonly aStart: number;
  readonly aEnd: number;
  readonly bStart: number;
  readonly bEnd: number;
}

/** Compares two texts. Time grows with their lines, and with the square of what differs. Pure. */
export function diffLines(before: string, after: string): LineDiff {
  const a = linesOf(before);
  const b = linesOf(after);
  const changes = joined(changesIn(a, b, { aStart: 0, aEnd: a.length, bStart: 0, bEnd: b.length }));
  return {
    added: changes.reduce((sum, { bStart, bEnd }) => sum + bEnd - bStart, 0),
    removed: changes.reduce((sum, { aStart, aEnd }) => sum + aEnd - aStart, 0),
    hunks: hunksOf(changes, a, b),
  };
}

function linesOf(text: string): readonly string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** Changes in order, not overlapping; some may touch. */
function changesIn(a: readonly string[], b: readonly string[], range: Change): Change[] {
  let { aStart, aEnd, bStart, bEnd } = range;
  while (aStart < aEnd && bStart < bEnd && a[aStart] === b[bStart]) {
    aStart += 1;
    bStart += 1;
  }
  while (aStart < aEnd && bStart < bEnd && a[aEnd - 1] === b[bEnd - 1]) {
    aEnd -= 1;
    bEnd -= 1;
  }
  if (aStart === aEnd && bStart === bEnd) return [];
  const rest = { aStart, aEnd, bStart, bEnd };
  if (aStart === aEnd || bStart === bEnd) return [rest];
  const anchors = commonUniques(a, b, rest);
  if (anchors.length === 0) return fewestChanges(a, b, rest) ?? [rest];
  const changes: Change[] = [];
  let [fromA, fromB] = [aStart, bStart];
  for (const [inA, inB] of [...anchors, [aEnd, bEnd] as const]) {
    const part = { aStart: fromA, aEnd: inA, bStart: fromB, bEnd: inB };
    for (const change of changesIn(a, b, part)) changes.push(change);
    [fromA, fromB] = [inA + 1, inB + 1];
  }
  return changes;
}

/** Lines that both stretches have once, as far as they come in the same order in both. */
function commonUniques(
  a: readonly string[],
  b: readonly string[],
  { aStart, aEnd, bStart, bEnd }: Change,
): readonly (readonly [number, number])[] {
  const inA = placesOfUniques(a, aStart, aEnd);
  const inB = placesOfUniques(b, bStart, bEnd);
  const pairs: [number, number][] = [];
  for (const [line, at] of inA) {
    const other = inB.get(line);
    if (at >= 0 && other !== undefined && other >= 0) pairs.push([at, other]);
  }
  return longestRising(pairs.toSorted(([x], [y]) => x - y));
}

/** Where each line stands; -1 for one that stands there several times. */
function placesOfUniques(
  lines: readonly string[],
  start: number,
  end: number,
): Map<string, number> {
  const places = new Map<string, number>();
  for (let at = start; at < end; at += 1) {
    const line = lines[at] as string;
    places.set(line, places.has(line) ? -1 : at);
  }
  return places;
}

/** The longest run of pairs that rises in both places, by patience sorting. */
function longestRising(
  pairs: readonly (readonly [number, number])[],
): readonly (readonly [number, number])[] {
  const tops: number[] = [];
  const before = new Int32Array(pairs.length);
  for (const [index, [, place]] of pairs.entries()) {
    let [low, high] = [0, tops.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (pairs[tops[middle]!]![1] < place) low = middle + 1;
      else high = middle;
    }
    before[index] = low === 0 ? -1 : tops[low - 1]!;
    tops[low] = index;
  }
  const run: (readonly [number, number])[] = [];
  for (let at = tops.at(-1) ?? -1; at >= 0; at = before[at]!) run.push(pairs[at]!);
  return run.reverse();
}

/** Myers' O(ND): undefined where more than {@link maxChanges} lines would change. */
function fewestChanges(
  a: readonly string[],
  b: readonly string[],
  { aStart, aEnd, bStart, bEnd }: Change,
): Change[] | undefined {
  const [n, m] = [aEnd - aStart, bEnd - bStart];
  const most = Math.min(n + m, maxChanges);
  const reach = new Int32Array(2 * most + 3);
  const middle = most + 1;
  const steps: Int32Array[] = [];
  for (let d = 0; d <= most; d += 1) {
    steps.push(reach.slice(middle - d - 1, middle + d + 2));
    for (let k = -d; k <= d; k += 2) {
      const isDown = k === -d || (k !== d && reach[middle + k - 1]! < reach[middle + k + 1]!);
      let x = isDown ? reach[middle + k + 1]! : reach[middle + k - 1]! + 1;
      while (x < n && x - k < m && a[aStart + x] === b[bStart + x - k]) x += 1;
      reach[middle + k] = x;
      if (x >= n && x - k >= m) return walkedBack(steps, [n, m], [aStart, bStart]);
    }
  }
  return undefined;
}

/** The changes on the way that was found, from its end. */
function walkedBack(
  steps: readonly Int32Array[],
  [n, m]: readonly [number, number],
  [aStart, bStart]: readonly [number, number],
): Change[] {
  const changes: Change[] = [];
  let [x, y] = [n, m];
  for (let d = steps.length - 1; d > 0; d -= 1) {
    const reach = steps[d] as Int32Array;
    const at = (k: number): number => reach[k + d + 1]!;
    const k = x - y;
    const isDown = k === -d || (k !== d && at(k - 1) < at(k + 1));
    const beforeX = isDown ? at(k + 1) : at(k - 1);
    const beforeY = beforeX - (isDown ? k + 1 : k - 1);
    changes.push({
      aStart: aStart + beforeX,
      aEnd: aStart + beforeX + (isDown ? 0 : 1),
      bStart: bStart + beforeY,
      bEnd: bStart + beforeY + (isDown ? 1 : 0),
    });
    [x, y] = [beforeX, beforeY];
  }
  return changes.reverse();
}

/** Changes that touch as one. */
function joined(changes: readonly Change[]): readonly Change[] {
  const all: Change[] = [];
  for (const change of changes) {
    const last = all.at(-1);
    if (last?.aEnd === change.aStart && last.bEnd === change.bStart)
      all[all.length - 1] = { ...last, aEnd: change.aEnd, bEnd: change.bEnd };
    else all.push(change);
  }
  return all;
}

function hunksOf(
  changes: readonly Change[],
  a: readonly string[],
  b: readonly string[],
): readonly string[] {
  const groups: Change[][] = [];
  for (const change of changes) {
    const last = groups.at(-1);
    const end = last?.at(-1)?.aEnd;
    if (end !== undefined && change.aStart - end <= 2 * contextLines) last?.push(change);
    else groups.push([change]);
  }
  return groups.map((group) => hunkOf(group, a, b));
}

function hunkOf(group: readonly Change[], a: readonly string[], b: readonly string[]): string {
  const first = group[0] as Change;
  const last = group.at(-1) as Change;
  const from = Math.max(0, first.aStart - contextLines);
  const to = Math.min(a.length, last.aEnd + contextLines);
  const bFrom = first.bStart - (first.aStart - from);
  const bTo = last.bEnd + (to - last.aEnd);
  const lines = [`@@ -${from + 1},${to - from} +${bFrom + 1},${bTo - bFrom} @@`];
  let at = from;
  for (const { aStart, aEnd, bStart, bEnd } of group) {
    for (; at < aStart; at += 1) lines.push(` ${a[at]}`);
    for (; at < aEnd; at += 1) lines.push(`-${a[at]}`);
    for (let other = bStart; other < bEnd; other += 1) lines.push(`+${b[other]}`);
  }
  for (; at < to; at += 1) lines.push(` ${a[at]}`);
  return lines.join('\n');
}

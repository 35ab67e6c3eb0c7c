import { partitionPoint } from '../../base/sorted.ts';
import { codePointSet, type CodePointSet } from './code-points.ts';

/**
 * Closes a set under letter case. ASCII letters fold among themselves only, as in JavaScript
 * without the `u` flag (the Kelvin sign is no `k`, the long s no `s`); other letters fold as the
 * Unicode simple mappings to upper and lower case connect them.
 */
export function closeUnderCase(set: CodePointSet): CodePointSet {
  const added: number[] = [...set];
  for (let i = 0; i < set.length; i += 2) {
    addShifted(added, Math.max(set[i]!, 65), Math.min(set[i + 1]!, 90), 32);
    addShifted(added, Math.max(set[i]!, 97), Math.min(set[i + 1]!, 122), -32);
  }
  if (set.length > 0 && set.at(-1)! > 127) addOrbits(added, set);
  return codePointSet(added);
}

function addShifted(out: number[], low: number, high: number, by: number): void {
  if (low <= high) out.push(low + by, high + by);
}

function addOrbits(out: number[], set: CodePointSet): void {
  if (coversCased(set) || isCaseless(set)) return;
  groups ??= casedGroups();
  for (const group of groups) {
    if (!group.some((member) => isIn(set, member))) continue;
    for (const member of group) out.push(member, member);
  }
}

/** A set with all cased letters outside ASCII holds both cases of each: most complements do. */
function coversCased(set: CodePointSet): boolean {
  return set.some((low, i) => i % 2 === 0 && low <= 128 && set[i + 1]! >= lastCased);
}

/** A single letter that has no other case, as in most scripts. */
function isCaseless(set: CodePointSet): boolean {
  if (set.length !== 2 || set[0] !== set[1]) return false;
  const letter = String.fromCodePoint(set[0]!);
  return letter.toLowerCase() === letter && letter.toUpperCase() === letter;
}

function isIn(set: CodePointSet, codePoint: number): boolean {
  const index = partitionPoint(set.length / 2, (range) => set[2 * range + 1]! < codePoint);
  return 2 * index < set.length && set[2 * index]! <= codePoint;
}

/** The last letter that has a case, and some room (Unicode 16: U+1E943). */
const lastCased = 0x1_ef_ff;

/** Made when first needed; constants of the runtime. */
let groups: readonly (readonly number[])[] | undefined;

/**
 * All groups of two or more letters outside ASCII that differ in case only, found by asking the
 * runtime.
 */
function casedGroups(): readonly (readonly number[])[] {
  const groupOf = new Map<number, number[]>();
  const join = (a: number, b: number): void => {
    const first = groupOf.get(a) ?? [a];
    const second = groupOf.get(b) ?? [b];
    if (first === second) return;
    const both = [...first, ...second];
    for (const member of both) groupOf.set(member, both);
  };
  for (const match of casedText().matchAll(/\p{Changes_When_Casemapped}/gu)) {
    const letter = match[0];
    for (const other of [letter.toLowerCase(), letter.toUpperCase()]) {
      const codePoint = other.codePointAt(0)!;
      if (other === letter || codePoint < 128) continue;
      if (String.fromCodePoint(codePoint) === other) join(letter.codePointAt(0)!, codePoint);
    }
  }
  return [...new Set(groupOf.values())];
}

function casedText(): string {
  let text = '';
  for (let codePoint = 128; codePoint <= lastCased; codePoint++) {
    if (codePoint < 0x3000 || codePoint > 0xa000) text += String.fromCodePoint(codePoint);
  }
  return text;
}

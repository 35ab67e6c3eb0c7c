import { codePointSet, type CodePointSet } from './code-points.ts';

/**
 * Assigned code points that are not plain blocks lie below; above it only whole blocks and two
 * short tables follow.
 */
const denseEnd = 0x3_4000;

/**
 * Where sets may begin or end above {@link denseEnd}: noncharacters, tags and variation selectors,
 * private planes.
 */
const sparse = [
  ...Array.from({ length: 15 }, (_, plane) => [
    (plane + 2) * 0x1_0000 - 2,
    (plane + 2) * 0x1_0000 - 1,
  ]).flat(),
  0xe_0001,
  ...Array.from({ length: 0x1d0 }, (_, i) => 0xe_0020 + i),
];

/**
 * What was asked before. The runtime's properties are constants, a few hundred at most; finding one
 * takes milliseconds.
 */
const known = new Map<string, CodePointSet | undefined>();

/**
 * The code points of a Unicode property as people write it inside `\p{...}`: a general category
 * (`L`, `Lu`, `Letter`), a script (`Han`, `Greek`), a binary property (`Alphabetic`), or
 * `Name=Value`. Undefined for a name that the runtime does not know.
 */
export function unicodeProperty(name: string): CodePointSet | undefined {
  const member = propertyRegExp(name);
  if (member === undefined) return undefined;
  let set = known.get(member.source);
  if (set === undefined) {
    set = membersOf(member);
    known.set(member.source, set);
  }
  return set;
}

function membersOf(member: RegExp): CodePointSet {
  const ranges: number[] = [];
  for (const match of denseText().matchAll(member)) {
    const run = match[0];
    const last = run.codePointAt(run.length - 1)!;
    const isPair = last >= 0xdc00 && last <= 0xdfff;
    ranges.push(run.codePointAt(0)!, isPair ? run.codePointAt(run.length - 2)! : last);
  }
  addSparse(ranges, member);
  return codePointSet(ranges);
}

function addSparse(ranges: number[], member: RegExp): void {
  const borders = [...new Set(sparse.flatMap((point) => [point, point + 1]))]
    .filter((point) => point >= denseEnd && point <= 0x10_ffff)
    .sort((a, b) => a - b);
  let from = denseEnd;
  for (const border of [...borders, 0x11_0000]) {
    if (border > from && String.fromCodePoint(from).search(member) === 0) {
      ranges.push(from, border - 1);
    }
    from = border;
  }
}

/** All code points below {@link denseEnd} but the surrogates, which are no characters. */
function denseText(): string {
  const units = new Uint16Array(0x1_0000 - 0x800 + 2 * (denseEnd - 0x1_0000));
  let length = 0;
  for (let unit = 0; unit < 0x1_0000; unit++) {
    if (unit < 0xd800 || unit > 0xdfff) units[length++] = unit;
  }
  for (let codePoint = 0x1_0000; codePoint < denseEnd; codePoint++) {
    units[length++] = 0xd800 + ((codePoint - 0x1_0000) >> 10);
    units[length++] = 0xdc00 + (codePoint & 0x3ff);
  }
  return Buffer.from(units.buffer).toString('utf16le');
}

/** Tries the spellings of RE2, Perl and ECMAScript in turn. */
function propertyRegExp(name: string): RegExp | undefined {
  const bare = name.replace(/^Is_?|\s/g, '');
  const capital = bare.charAt(0).toUpperCase() + bare.slice(1).toLowerCase();
  const spelled = aliases[bare.toLowerCase()];
  const tries = [spelled, bare, capital, `Script=${bare}`, `Script=${capital}`];
  for (const spelling of tries) {
    if (spelling === undefined || !/^[A-Za-z0-9_]+(=[A-Za-z0-9_]+)?$/.test(spelling)) continue;
    try {
      return new RegExp(`\\p{${spelling}}+`, 'gu');
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
  return undefined;
}

/** Lower-case names that RE2, Perl or Java know and ECMAScript spells differently. */
const aliases: Readonly<Record<string, string>> = {
  alpha: 'Alphabetic',
  digit: 'Nd',
  alnum: 'Alphabetic',
  upper: 'Uppercase',
  lower: 'Lowercase',
  space: 'White_Space',
  punct: 'P',
  hex: 'Hex_Digit',
};

import { closeUnderCase } from './case-folding.ts';
import { codePointSet, complement, maxCodePoint, type CodePointSet } from './code-points.ts';
import type { PatternReader } from './reader.ts';
import { unicodeProperty } from './unicode-property.ts';
import { unicodeDigits, unicodeWordChars } from './unicode-words.ts';

/** ASCII digits, for `[:digit:]`. */
export const digits: CodePointSet = [48, 57];
/** ASCII letters, digits and the underscore, for `[:word:]`. */
export const wordChars: CodePointSet = [48, 57, 65, 90, 95, 95, 97, 122];
/** White space as JavaScript has it. */
export const spaces: CodePointSet = codePointSet([
  9, 13, 32, 32, 0xa0, 0xa0, 0x1680, 0x1680, 0x2000, 0x200a, 0x2028, 0x2029, 0x202f, 0x202f, 0x205f,
  0x205f, 0x3000, 0x3000, 0xfeff, 0xfeff,
]);
const blanks: CodePointSet = [9, 9, 32, 32, 0xa0, 0xa0];

const classEscapes: ReadonlyMap<string, CodePointSet> = new Map([
  ['d', unicodeDigits],
  ['D', complement(unicodeDigits)],
  ['w', unicodeWordChars],
  ['W', complement(unicodeWordChars)],
  ['s', spaces],
  ['S', complement(spaces)],
  ['h', blanks],
  ['H', complement(blanks)],
  ['N', [0, 9, 11, maxCodePoint]],
]);

/** Sets that have each letter in all its cases. */
const caseless: ReadonlySet<CodePointSet> = new Set(classEscapes.values());

/** The set with all cases of its letters, where `ignoreCase`. */
export function inAllCases(set: CodePointSet, ignoreCase: boolean): CodePointSet {
  return ignoreCase && !caseless.has(set) ? closeUnderCase(set) : set;
}

const controlEscapes: ReadonlyMap<string, number> = new Map([
  ['n', 10],
  ['t', 9],
  ['r', 13],
  ['f', 12],
  ['v', 11],
  ['a', 7],
  ['e', 27],
]);

/**
 * Reads what follows a backslash where it stands for a set of characters (`\d`, `\p{Han}`);
 * undefined, with nothing read, for any other escape. @throws PatternError for an unknown property
 */
export function readClassEscape(reader: PatternReader): CodePointSet | undefined {
  const letter = reader.source.charAt(reader.position);
  const known = classEscapes.get(letter);
  if (known !== undefined) {
    reader.position++;
    return known;
  }
  const property = reader.take(/([pP])(?:\{(\^?)([^}]*)\}|([A-Z]))/y);
  if (property === undefined) return undefined;
  const name = property[3] ?? property[4] ?? '';
  const set = name === 'Any' ? [0, maxCodePoint] : unicodeProperty(name);
  if (set === undefined) throw reader.error(`unknown property "${name}"`);
  const negated = (property[1] === 'P') !== (property[2] === '^');
  return negated ? complement(set) : set;
}

/**
 * Reads what follows a backslash where it stands for one character: `\n`, `\x41`, `\x{1F600}`,
 * `\u4e2d`, `\u{1F600}`, `\U0001F600`, `\cA`, `\0`, `\012`. Any other character stands for itself,
 * as in JavaScript.
 */
export function readCharEscape(reader: PatternReader): number {
  const hex = readHexEscape(reader);
  if (hex !== undefined) return named(reader, hex);
  const octal = reader.take(/0[0-7]{0,2}|[1-3][0-7]{2}/y);
  if (octal !== undefined) return named(reader, Number.parseInt(octal[0], 8));
  const control = reader.take(/c([A-Za-z])/y);
  if (control !== undefined) return named(reader, control[1]!.charCodeAt(0) & 31);
  const codePoint = reader.next();
  return named(reader, controlEscapes.get(String.fromCodePoint(codePoint)) ?? codePoint);
}

function named(reader: PatternReader, codePoint: number): number {
  if (codePoint === 10) reader.namesNewline = true;
  return codePoint;
}

function readHexEscape(reader: PatternReader): number | undefined {
  const pair = reader.take(/u[dD]([89abAB][0-9a-fA-F]{2})\\u[dD]([c-fC-F][0-9a-fA-F]{2})/y);
  if (pair !== undefined) {
    const high = Number.parseInt(pair[1]!, 16) - 0x800;
    const low = Number.parseInt(pair[2]!, 16) - 0xc00;
    return 0x1_0000 + (high << 10) + low;
  }
  const digitsOf = reader.take(
    /x\{([0-9a-fA-F]+)\}|u\{([0-9a-fA-F]+)\}|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})/y,
  );
  if (digitsOf === undefined) return undefined;
  const codePoint = Number.parseInt(
    digitsOf.slice(1).find((part) => part !== undefined)!,
    16,
  );
  if (codePoint > maxCodePoint) throw reader.error('a code point beyond U+10FFFF');
  return codePoint;
}

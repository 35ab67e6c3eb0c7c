import { codePointSet, complement, contains, type CodePointSet } from './code-points.ts';
import {
  digits,
  inAllCases,
  readCharEscape,
  readClassEscape,
  spaces,
  wordChars,
} from './escapes.ts';
import type { PatternReader } from './reader.ts';

const posixClasses: ReadonlyMap<string, CodePointSet> = new Map([
  ['alpha', [65, 90, 97, 122]],
  ['digit', digits],
  ['alnum', [48, 57, 65, 90, 97, 122]],
  ['upper', [65, 90]],
  ['lower', [97, 122]],
  ['space', spaces],
  ['blank', [9, 9, 32, 32]],
  ['word', wordChars],
  ['xdigit', [48, 57, 65, 70, 97, 102]],
  ['punct', [33, 47, 58, 64, 91, 96, 123, 126]],
  ['cntrl', [0, 31, 127, 127]],
  ['print', [32, 126]],
  ['graph', [33, 126]],
  ['ascii', [0, 127]],
]);

/**
 * Reads a bracket class after its `[`. A `]` that comes first is an ordinary character where
 * another one closes the class (as in Python, RE2 and POSIX); where none does, `[]` is empty and
 * `[^]` is anything, as in JavaScript.
 */
export function readClass(reader: PatternReader): CodePointSet {
  const negated = reader.eat('^');
  const start = reader.position;
  const newlineBefore = reader.namesNewline;
  let ranges = readMembers(reader, reader.eat(']') ? [93, 93] : []);
  if (ranges === undefined) {
    reader.position = start;
    if (!reader.eat(']')) throw reader.error('a missing ]');
    ranges = [];
  }
  const set = codePointSet(ranges);
  if (!negated) {
    // Only complements reach over all of Unicode: [\s\S], [\d\D].
    reader.namesNewline ||= contains(set, 10) && contains(set, 0) && contains(set, 0x10_ffff);
    return set;
  }
  reader.namesNewline = newlineBefore || ranges.length === 0;
  return complement(set);
}

/**
 * Members up to and with the closing bracket, in all their cases where case is ignored, added to
 * `ranges`; undefined if there is none.
 */
function readMembers(reader: PatternReader, ranges: number[]): number[] | undefined {
  const add = (set: CodePointSet): void => {
    ranges.push(...inAllCases(set, reader.flags.ignoreCase));
  };
  for (;;) {
    if (reader.atEnd) return undefined;
    if (reader.eat(']')) return ranges;
    const posix = reader.take(/\[:(\^?)([a-z]+):\]/y);
    if (posix !== undefined) {
      const named = posixClasses.get(posix[2]!);
      if (named === undefined) throw reader.error(`an unknown class [:${posix[2]}:]`);
      add(posix[1] === '' ? named : complement(named));
      continue;
    }
    const low = readMember(reader);
    if (typeof low !== 'number') add(low);
    else readRange(reader, low, add);
  }
}

/** A character, or after it the rest of `a-z`. A hyphen beside a set or a bracket is itself. */
function readRange(reader: PatternReader, low: number, add: (set: CodePointSet) => void): void {
  if (!reader.sees('-') || reader.sees('-]') || reader.position + 1 >= reader.source.length) {
    add([low, low]);
    return;
  }
  reader.eat('-');
  const high = readMember(reader);
  if (typeof high !== 'number') for (const set of [[low, low], [45, 45], high]) add(set);
  else if (high < low) throw reader.error('a range out of order');
  else add([low, high]);
}

function readMember(reader: PatternReader): number | CodePointSet {
  if (!reader.eat('\\')) {
    const codePoint = reader.next();
    if (codePoint === 10) reader.namesNewline = true;
    return codePoint;
  }
  if (reader.eat('b')) return 8;
  return readClassEscape(reader) ?? readCharEscape(reader);
}

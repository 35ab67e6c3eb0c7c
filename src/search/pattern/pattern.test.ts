import { describe, expect, test } from 'vitest';
import { query } from '../../../test/property/search-corpus.ts';
import { parsePattern } from './pattern.ts';
import { Program } from '../automaton/program.ts';
import { openScanMemory } from '../text/scan-memory.ts';
import { TimeGuard } from '../automaton/time-guard.ts';

const memory = openScanMemory();
const guard = new TimeGuard();

/** Whether a line matches, and how it was found out. */
function matches(
  pattern: string,
  line: string,
): { readonly found: boolean; readonly engine: string } {
  const program = new Program(query(pattern), guard, memory, memory.slots[0]!);
  const text = Buffer.from(`${line}\n`);
  memory.bytes.set(text, memory.textAt);
  const count = program.scan(memory.textAt, memory.textAt + text.length);
  return { found: count === 1, engine: program.engine };
}

/**
 * Pattern, a line that it matches, a line that it does not. What models write, in all the spellings
 * they know.
 */
const table: readonly (readonly [pattern: string, yes: string, no: string])[] = [
  ['(?i)error', 'some ERROR here', 'eror'],
  ['a(?i)b', 'aB', 'AB'],
  ['(?i:a)b', 'Ab', 'AB'],
  ['(?i)a(?-i)b', 'Ab', 'AB'],
  ['((?i)a)b', 'Ab', 'AB'],
  ['(?x) a b # comment', 'ab', 'a b'],
  ['(?m)^b$', 'b', 'ab'],
  ['(?P<n>x)y', 'xy', 'x'],
  ['(?<n>x)y', 'xy', 'x'],
  ['foo(?#note)bar', 'foobar', 'foo'],
  ['\\Afoo', 'foo', 'xfoo'],
  ['foo\\z', 'foo', 'foox'],
  ['foo\\Z', 'foo', 'foox'],
  ['^[[:alpha:]]+$', 'abcZ', 'ab1'],
  ['[[:^digit:]]', 'x', '1'],
  ['[[:upper:][:digit:]]{3}', 'aA1B', 'aA1b'],
  ['\\p{L}\\p{Lu}', 'éÉ', 'é1'],
  ['\\p{Han}', '中', 'a'],
  ['\\pL', 'ж', '1'],
  ['\\p{Greek}', 'ω', 'w'],
  ['\\P{L}', '1', 'a'],
  ['\\p{^L}', '1', 'a'],
  ['[\\p{Han}x]', '文', 'y'],
  ['\\Qa.b(\\E+', 'a.b((', 'axb('],
  ['\\x41\\x{42}', 'AB', 'ab'],
  ['\\u4e2d', '中', '文'],
  ['\\u{1F600}', '😀', 'x'],
  ['\\uD83D\\uDE00', '😀', 'x'],
  ['\\U0001F600', '😀', 'x'],
  ['^.$', '😀', 'ab'],
  ['^[^a]$', '😀', 'a'],
  ['a++b', 'aaab', 'b'],
  ['(?>a+)b', 'aaab', 'b'],
  ['a*+a|c', 'c', 'aaa'],
  ['foo(?=bar)', 'foobar', 'foobaz'],
  ['foo(?!bar)', 'foobaz', 'foobar'],
  ['(?<=\\$)\\d+', '$42', '42'],
  ['(?<!\\$)\\b\\d+', '42', '$42'],
  ['(\\w+) \\1', 'the the', 'one two'],
  ['(?P<w>\\w)(?P=w)', 'oo', 'ab'],
  ['(?<w>\\w)\\k<w>', 'oo', 'ab'],
  ['foo{bar', 'foo{bar', 'foobar'],
  ['a{,2}b', 'aab', 'a'],
  ['x{2}', 'xx', 'x'],
  ['[\\w-.]+$', 'a-b.c', 'a!'],
  ['[]a]b', ']b', 'xb'],
  ['[^]]b', 'ab', ']b'],
  ['[a\\]]b', ']b', 'xb'],
  ['\\-\\_\\:\\/', '-_:/', '-_'],
  ['[a-c\\d]x', '5x', 'dx'],
  ['\\bfoo\\b', 'a foo.', 'food'],
  // Between the bytes of a character is no place.
  ['\\B', 'aΩa', 'a'],
  ['^(?:a*|b)\\B.$', 'aΩ', 'a–'],
  ['\\bécole\\b', "l'école est", 'écoles'],
  ['\\bошибка\\b', 'сети: ошибка', 'ошибками'],
  ['na\\w+ve', 'naïve', 'na-ve'],
  ['caf\\w\\b', 'café', 'cafés'],
  ['(?<=\\b)é\\B', 'état', 'l-é'],
  ['\\Boo', 'foo', 'oo'],
  ['\\w', 'é', '–'],
  ['\\W', '–', 'é'],
  ['^\\d$', '٧', 'x'],
  ['(?i)[\\w-]É$', '-é', ' é'],
  ['\\s', 'a\u00a0b', 'ab'],
  ['\\h', 'a\tb', 'ab'],
  ['\\t', 'a\tb', 'atb'],
  ['\\cI', 'a\tb', 'ab'],
  ['\\0', 'a\0b', 'a0b'],
  ['(?i)ÄÖ', 'äö', 'ao'],
  ['(?i)σ', 'Σς', 's'],
  ['(?i)[à-ü]x', 'Éx', 'Ex'],
  ['(?i)[^é]$', 'x', 'É'],
  ['(?i)k', 'K', '\u212a'],
  ['(?U)a+?b', 'aab', 'b'],
  ['(a|)(b|)c$', 'c', 'd'],
  ['x*?y', 'y', 'x'],
  ['\\.', '.', 'x'],
  ['C:\\\\Users', 'C:\\Users', 'C:Users'],
  ['\\d{1,3}(?:\\.\\d{1,3}){3}', 'at 10.0.0.1', '10.0.0'],
];

describe('patterns as models write them', () => {
  test.each(table)('%s matches %j', (pattern, yes, no) => {
    expect([yes, no].map((line) => matches(pattern, line).found)).toEqual([true, false]);
  });

  test.each(['(?:)', 'a||b', 'x*', '^', '$', '\\b|'])('%s matches every line', (pattern) => {
    expect([matches(pattern, '').found, matches(pattern, 'z').found]).toEqual([true, true]);
  });

  test.each([
    ['a++b', 'dfa'],
    ['(?>a|b)', 'dfa'],
    ['\\w++\\s', 'dfa'],
    ['a*+a', 'v8'],
    ['(?>a|ab)c', 'v8'],
    ['(?=a)b', 'v8'],
    ['needle', 'literal'],
    ['(?i)needle', 'literal'],
    ['(?i)n(?-i)eedle', 'dfa'],
    ['\\w{1000}', 'dfa'],
    ['(\\w+) (\\d+)', 'dfa'],
    ['\\p{L}{900}', 'dfa'],
  ])('%s is done by %s', (pattern, engine) => {
    expect(matches(pattern, 'x').engine).toBe(engine);
  });

  test.each([
    ['function (', 'a missing )'],
    ['a)', 'an unmatched )'],
    ['arr[0', 'a missing ]'],
    ['*.ts', 'nothing to repeat'],
    ['a**', 'a count of a count'],
    ['a{3,1}', 'a count out of order'],
    ['[z-a]', 'a range out of order'],
    ['(?Z)a', 'an unknown flag'],
    ['(?(1)a|b)', 'an unknown kind of group'],
    ['(a)\\2', 'does not exist'],
    ['\\p{Klingon}', 'unknown property'],
    ['[[:nope:]]', 'an unknown class'],
    ['\\u{110000}', 'beyond U+10FFFF'],
    ['a\\', 'ends too early'],
    ['('.repeat(300) + ')'.repeat(300), 'nested too deep'],
  ])('%s is refused: %s', (pattern, problem) => {
    const read = parsePattern(pattern, false);
    expect('problem' in read ? read.problem : 'accepted').toContain(problem);
  });

  test.each([
    ['a\\nb', true],
    ['a\nb', true],
    ['(?s)a.b', true],
    ['(?s:a.)b', true],
    ['[\\s\\S]', true],
    ['[\\d\\D]', true],
    ['[^]', true],
    ['a[\\n]b', true],
    ['a\\Rb', true],
    ['a\\x0ab', true],
    ['a\\sb', false],
    ['[^a]', false],
    ['[^\\n]', false],
    ['(?s)a', false],
    ['\\W\\D', false],
    ['\\p{L}', false],
  ])('whether %j may reach over lines: %s', (pattern, multiline) => {
    const read = parsePattern(pattern, false);
    expect('pattern' in read && read.pattern.multiline).toBe(multiline);
  });
});

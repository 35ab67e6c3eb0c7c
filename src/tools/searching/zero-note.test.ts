import { describe, expect, it, test } from 'vitest';
import { explainTotal, maxLooks, type Explained } from './zero-note.ts';

interface Asked extends Partial<Omit<Explained, 'what'>> {
  readonly pattern: string;
  readonly literal?: boolean;
  readonly total?: number;
  /** What one look takes, milliseconds. */
  readonly lookMs?: number;
  /** Whether a look ends before the text does. */
  readonly partial?: boolean;
}

/** Explains a search over a text in memory, and counts the looks. */
async function explained(text: string, asked: Asked) {
  let now = 0;
  let looks = 0;
  const note = await explainTotal(
    {
      what: { pattern: asked.pattern, literal: asked.literal ?? false },
      caseSensitive: asked.caseSensitive ?? true,
      isFiltered: asked.isFiltered ?? false,
      lines: () => text.split('\n').length,
      elapsedMs: () => now,
      count: async ({ pattern, literal, caseSensitive }, { filtered, deadlineMs }) => {
        looks += 1;
        expect(deadlineMs).toBeGreaterThan(0);
        now += asked.lookMs ?? 0;
        const source = literal
          ? pattern.replaceAll(/[\\^$.|?+()[\]{}*]/g, String.raw`\$&`)
          : pattern;
        const flags = caseSensitive && !source.startsWith('(?i)') ? '' : 'i';
        let expression: RegExp;
        try {
          expression = new RegExp(source.replace('(?i)', ''), flags);
        } catch {
          expression = /$^/;
        }
        const lines = filtered && asked.isFiltered === true ? [] : text.split('\n');
        const total = lines.filter((line) => expression.test(line)).length;
        return { total, partial: asked.partial ?? false };
      },
    },
    asked.total ?? 0,
  );
  return { note, looks };
}

const esc = '\u001b';
const coloured = `${esc}[31mERROR${esc}[0m: connection ${esc}[1mrefused${esc}[0m by db`;

describe('a zero is explained by', () => {
  test.each<[string, Asked, string, RegExp]>([
    [
      'grep’s alternatives',
      { pattern: String.raw`brake\|timeout` },
      'ERROR timeout in brake shoe',
      /grep's operators: 1 line with \{"pattern":"brake\|timeout"\}/,
    ],
    [
      'grep’s groups',
      { pattern: String.raw`\(brake\) sho` },
      'brake shoe',
      /1 line with \{"pattern":"\(brake\) sho"\}/,
    ],
    [
      'slashes around',
      { pattern: '/Brake/i' },
      'a brake',
      /slashes around.*: 1 line with \{"pattern":"\(\?i\)Brake"\}/,
    ],
    ['doubled escapes', { pattern: String.raw`\\bbrake\\b` }, 'a brake', /Two backslashes.*1 line/],
    [
      'quotes around',
      { pattern: '"brake"' },
      'a brake',
      /quotes.*: 1 line with \{"pattern":"brake"\}/,
    ],
    [
      'quotes around a text',
      { pattern: "'brake'", literal: true },
      'a brake',
      /1 line with \{"text":"brake"\}/,
    ],
    ['a backspace', { pattern: '\bbrake\b' }, 'a brake', /word border: 1 line/],
    ['letter case', { pattern: 'BRAKE' }, 'a brake\nbrake', /2 lines with "case_sensitive": false/],
    [
      'another Unicode form',
      { pattern: '\u00e9cole', literal: true },
      'l\u2019e\u0301cole',
      /another Unicode form: 1 line with \{"text":"e\\u0301cole"\}/,
    ],
    ['colour codes', { pattern: '^ERROR' }, coloured, /colour codes between the letters: 1 line/],
    [
      'colour codes in a phrase',
      { pattern: 'ERROR: connection refused' },
      coloured,
      /colour codes between the letters: 1 line/,
    ],
    [
      'colour codes in a text',
      { pattern: 'connection refused', literal: true },
      coloured,
      /colour codes.*rlm_search/,
    ],
    [
      'words that occur singly',
      { pattern: 'brake timeout nope', literal: true },
      'brake\ntimeout\nbrake',
      /On their own occur: "brake" 2 lines, "timeout" 1 line, "nope" 0 lines/,
    ],
    ['a filter', { pattern: 'brake', isFiltered: true }, 'brake', /Without the filter: 1 line\./],
    [
      'a filter that is not to blame',
      { pattern: 'nope', isFiltered: true },
      'brake',
      /none without the filter either/,
    ],
  ])('%s', async (_, asked, text, wanted) => {
    const { note, looks } = await explained(text, asked);
    expect(note).toMatch(wanted);
    expect(looks).toBeLessThanOrEqual(maxLooks);
  });
});

it('marks of another dialect are named, also where their reading finds nothing', async () => {
  const { note } = await explained('nothing', { pattern: String.raw`brake\|timeout` });
  expect(note).toContain('{"pattern":"brake|timeout"}');
});

it('what was counted until the time was over is said to be more', async () => {
  const asked = { pattern: 'Brake shoe', partial: true, isFiltered: true, caseSensitive: false };
  expect((await explained('brake shoe', asked)).note).toBe('Without the filter: 1 or more lines.');
  const { note } = await explained('a brake', { pattern: 'Brake', partial: true });
  expect(note).toBe('1 or more lines with "case_sensitive": false.');
  // Not that there are none.
  expect((await explained('shoe', { pattern: 'Brake', partial: true })).note).toBeUndefined();
});

it('nothing is said where there is nothing to say', async () => {
  expect((await explained('nothing', { pattern: '7' })).note).toBeUndefined();
  expect((await explained('a', { pattern: 'a', total: 1 })).note).toBeUndefined();
});

it('everything, by an empty alternative, is explained', async () => {
  expect((await explained('a\nb', { pattern: 'x|', total: 2 })).note).toContain('all 2 lines');
  expect((await explained('a\nb', { pattern: '(x|)y', total: 1 })).note).toBeUndefined();
  expect((await explained('a\nb', { pattern: String.raw`x\|`, total: 2 })).note).toBeUndefined();
});

it('explaining ends with its time and never looks more often than it may', async () => {
  const slow = await explained('brake', { pattern: 'A B C D E F', isFiltered: true, lookMs: 30 });
  expect(slow.looks).toBe(2);
  const fast = await explained('brake', { pattern: String.raw`'\(A\) \\b B C D E F é'` });
  expect(fast.looks).toBe(maxLooks);
});

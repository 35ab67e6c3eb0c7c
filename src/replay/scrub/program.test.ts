import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { keptWords } from './kept-words.ts';
import { scrubProgram } from './program.ts';
import { WordScrubber } from './words.ts';

test('a program has other words and does the same', () => {
  const words = new WordScrubber(keptWords);
  const code = [
    '// about Plutonium',
    'const plutoniumLines = ["plutonium one", `plutonium ${1 + 1}`, "tab\\there"];',
    'const found = plutoniumLines.filter((line) => /plutonium\\s(\\d)/.test(line));',
    '[found.length, plutoniumLines[2].includes("\\t"), plutoniumLines.map((line) => line.length)];',
  ].join('\n');
  const scrubbed = scrubProgram(code, words);
  expect(scrubbed.toLowerCase()).not.toContain('plutonium');
  expect(scrubbed.length).toBe(code.length);
  const run = (program: string): unknown => runInNewContext(program);
  expect(run(scrubbed)).toEqual(run(code));
});

test('what is no JavaScript is a text', () => {
  const words = new WordScrubber(new Set());
  const scrubbed = scrubProgram('this is "not closed plutonium', words);
  expect(scrubbed).not.toContain('plutonium');
  expect(scrubbed).toHaveLength('this is "not closed plutonium'.length);
});

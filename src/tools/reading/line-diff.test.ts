import { array, assert, constantFrom, property } from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { diffLines } from './line-diff.ts';

/** What `patch` makes of a text and a diff of it. */
function patched(before: string, hunks: readonly string[]): string {
  const lines = before.split('\n');
  if (lines.at(-1) === '') lines.pop();
  const result: string[] = [];
  let at = 0;
  for (const hunk of hunks) {
    const [head = '', ...body] = hunk.split('\n');
    const from = Number(/^@@ -(\d+)/.exec(head)?.[1]) - 1;
    result.push(...lines.slice(at, from));
    at = from;
    for (const line of body) {
      if (line[0] !== '+' && lines[at] !== line.slice(1)) throw new Error(`not there: ${line}`);
      if (line[0] !== '-') result.push(line.slice(1));
      if (line[0] !== '+') at += 1;
    }
  }
  return [...result, ...lines.slice(at)].map((line) => `${line}\n`).join('');
}

test('a diff of any two texts turns the one into the other', () => {
  const line = constantFrom('a', 'b', 'c', '', '}', '@@ -1 +1 @@', '+x', '-y', 'only here');
  const text = array(line, { maxLength: 40 }).map((lines) =>
    lines.map((one) => `${one}\n`).join(''),
  );
  assert(
    property(text, text, (before, after) => {
      const { hunks, added, removed } = diffLines(before, after);
      expect(patched(before, hunks)).toBe(after);
      expect(before.split('\n').length - removed + added).toBe(after.split('\n').length);
      expect(hunks.length === 0).toBe(before === after);
    }),
  );
});

describe('a diff', () => {
  it('shows what changed with two lines around it, and nothing else', () => {
    const before = Array.from({ length: 40 }, (_, n) => `line ${n + 1}\n`).join('');
    const after = before.replace('line 10\n', 'line ten\nline ten and a half\n');
    expect(diffLines(before, after)).toEqual({
      added: 2,
      removed: 1,
      hunks: [
        '@@ -8,5 +8,6 @@\n line 8\n line 9\n-line 10\n+line ten\n+line ten and a half\n line 11\n line 12',
      ],
    });
  });

  it('is the smallest there is where lines repeat', () => {
    const before = 'x\n'.repeat(300);
    expect(diffLines(before, `${'x\n'.repeat(150)}y\n${'x\n'.repeat(150)}`)).toMatchObject({
      added: 1,
      removed: 0,
    });
  });

  it('of long texts without a line in common is all of the one against all of the other', () => {
    const numbered = (name: string): string =>
      Array.from({ length: 50_000 }, (_, n) => `${name} ${n >> 1}\n`).join('');
    expect(diffLines(numbered('a'), numbered('b'))).toMatchObject({
      added: 50_000,
      removed: 50_000,
    });
  });
});

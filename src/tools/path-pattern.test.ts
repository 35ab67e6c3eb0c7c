import { array, assert, constantFrom, property } from 'fast-check';
import ignore from 'ignore';
import { describe, expect, it, test } from 'vitest';
import { readPathPattern } from './path-pattern.ts';

function fits(pattern: string, path: string): boolean {
  const read = readPathPattern(pattern);
  if (typeof read === 'string') throw new Error(read);
  return read.matches(path);
}

describe('a path filter', () => {
  const file = '/home/me/proj/src/App.ts';
  test.each<[string, string, boolean]>([
    ['src/App', file, true],
    ['./src/App.ts', file, true],
    ['src/Nope.ts', file, false],
    ['**/*.{ts,js}', file, true],
    ['*.{js,ts}', file, true],
    ['*.{js,py}', file, false],
    ['App.?s', file, true],
    ['App.?', file, false],
    ['src/*', file, true],
    ['src/*', '/p/src/a/b.ts', true],
    ['src/*.ts', '/p/src/a/b.ts', false],
    ['src/**/*.ts', file, true],
    ['src/**/*.ts', '/p/src/a/b/c.ts', true],
    ['proj/**', file, true],
    ['proj/src/App.ts/**', file, false],
    ['src/', file, true],
    ['*src/', file, true],
    ['App*/', file, false],
    ['@types/node/**/*.d.ts', '/x/node_modules/@types/node/fs.d.ts', true],
    ['[A-C]pp.ts', file, true],
    ['[!A-C]pp.ts', file, false],
    ['src/[', '/p/src/[/x', true],
    [String.raw`\*.ts`, '/p/*.ts', true],
    [String.raw`\*.ts`, '/p/a.ts', false],
    ['!*.ts', file, false],
    ['!*.md', file, true],
    ['/home/**/*.ts', file, true],
    ['{a,b{c,d}}.ts', '/p/bd.ts', true],
    ['{a}.ts', '/p/{a}.ts', true],
    ['**', 'a', true],
    ['*', 'a', true],
    ['a**b.ts', '/p/axxb.ts', true],
  ])('%s on %s: %s', (pattern, path, wanted) => {
    expect(fits(pattern, path)).toBe(wanted);
  });

  test.each<[string, string, boolean, boolean]>([
    ['app/[id]/page.tsx', '/p/app/[id]/page.tsx', false, true],
    ['app/[id]/page.tsx', '/p/app/d/page.tsx', true, false],
    ['a[1] é/*', '/p/a[1] é/x', false, true],
    ['a[1] é/*', '/p/a1 é/x', true, false],
    ['app/[...all]/*.tsx', '/p/app/[...all]/x.tsx', false, true],
    ['[[id]]', '/p/[[id]]/x', false, true],
    ['!app/[id]/*', '/p/app/[id]/page.tsx', true, false],
    ['src/[', '/p/src/[/x', true, true],
  ])('%s on %s: as a class %s, as written %s', (source, path, asClass, asWritten) => {
    const readings = (['class', 'as-written'] as const).map((brackets) => {
      const pattern = readPathPattern(source, brackets);
      if (typeof pattern === 'string') throw new Error(pattern);
      return pattern.matches(path);
    });
    expect(readings).toEqual([asClass, asWritten]);
  });

  it('is done at once, whatever the wildcards', () => {
    const path = `/x/${'a'.repeat(120)}/c.txt`;
    for (const source of [
      '**a**a**a**a**a**a**a**a**b',
      `${'*a'.repeat(400)}b`,
      `${'**/'.repeat(300)}b`,
    ]) {
      const pattern = readPathPattern(source);
      if (typeof pattern === 'string') throw new Error(pattern);
      expect(pattern.matches(path)).toBe(false);
      expect(pattern.steps).toBeLessThan(100_000);
    }
    expect(readPathPattern('{a,b}'.repeat(9))).toContain('256');
    expect(readPathPattern('x'.repeat(1_001))).toContain('1000');
  });

  it('agrees with git-ignore wherever that has the pattern', () => {
    const names = constantFrom('a', 'ab', 'b.ts', 'c.d.ts', '.x');
    const parts = constantFrom('*', '**', 'a', 'a*', '*.ts', '?', '[ab]', 'b.ts', '?.?s', '*b');
    assert(
      property(
        array(parts, { minLength: 1, maxLength: 4 }),
        array(names, { minLength: 1, maxLength: 5 }),
        (pattern, path) => {
          const source = `**/${pattern.join('/')}`;
          const oracle = ignore().add(source).ignores(path.join('/'));
          expect(fits(source, path.join('/'))).toBe(oracle);
        },
      ),
      { numRuns: 500 },
    );
  });
});

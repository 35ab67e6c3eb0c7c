import { describe, expect, it } from 'vitest';
import { memorySession, type MemoryText } from '../../../test/support/memory-session.ts';
import { foldersOf, isUnder } from './folders.ts';
import { storeMap } from './store-map.ts';

const minuteMs = 60_000;
const nowMs = 1_000 * minuteMs;

async function mapOf(texts: readonly MemoryText[], args?: string): Promise<string> {
  const { store } = memorySession(texts);
  if (args !== undefined) for (const entry of store.entries) Object.assign(entry, { args });
  return storeMap(store, store.entries, nowMs);
}

describe('the map of a store', () => {
  it('names each entry where there are few', async () => {
    const texts = [
      { text: 'a\n', path: '/w/a.ts', timeMs: nowMs - 2 * minuteMs },
      { text: 'first line\nmore\n', tool: 'bash', timeMs: nowMs - 200 * minuteMs },
    ];
    expect(await mapOf(texts)).toBe(
      '- e1 /w/a.ts: 2 characters, 2 min old\n- e2 bash first line: 16 characters, 3 h old',
    );
  });

  it('of many says which folders and commands there are, in a few lines', async () => {
    const files = Array.from({ length: 4_000 }, (_, n) => ({
      text: `${'x'.repeat(99)}\n`,
      path: `/w/app/${n % 4 === 0 ? 'src' : 'node_modules'}/m${n % 50}/f${n}.ts`,
      timeMs: nowMs - 3 * minuteMs,
    }));
    const outputs = Array.from({ length: 20 }, (_, n) => ({
      text: `${n}\n`,
      tool: n < 15 ? 'bash' : `other${n}`,
      timeMs: nowMs - (100 - n) * minuteMs,
    }));
    const map = await mapOf(
      [...files, ...outputs, { text: 'hi\n', timeMs: 0 }],
      '{"command":"npm test"}',
    );
    expect(map.split('\n').slice(0, 2)).toEqual([
      '- 4000 files under /w/app/, 400K characters, newest 3 min old: node_modules/ 3000 (300K), src/ 1000 (100K)',
      '- 15 outputs of bash, 35 characters, newest 1 h old: npm test x15',
    ]);
    expect(map.length).toBeLessThan(1_500);
  });

  it('of an empty store is empty', async () => {
    expect(await mapOf([])).toBe('');
  });
});

describe('folders', () => {
  const { list } = memorySession(
    ['/w/app/src/a/x.ts', '/w/app/src/a/y.ts', '/w/app/src/b.ts', '/w/app/README.md'].map(
      (path) => ({ text: `${path}\n`, path }),
    ),
  ).store;

  it('are those below the one that all paths share, the fullest first', () => {
    const { root, shares } = foldersOf(list.namings);
    expect([root, shares.map(({ name, entries }) => [name, entries])]).toEqual([
      '/w/app/',
      [
        ['src/', 3],
        ['README.md', 1],
      ],
    ]);
  });

  it('of a folder are its parts', () => {
    const inside = list.namings.filter(({ path }) => isUnder(path, 'src'));
    const { root, shares } = foldersOf(inside, 'src');
    expect([root, shares.map(({ name }) => name)]).toEqual(['/w/app/src/', ['a/', 'b.ts']]);
  });

  it.each([
    ['/w/app/src/a.ts', 'src', true],
    ['/w/app/src/a.ts', 'app/src/', true],
    ['/w/app/src/a.ts', '/w/app', true],
    ['/w/app/src/a.ts', './src', true],
    ['/w/app/srcs/a.ts', 'src', false],
    ['/w/app/src', 'src', false],
    ['src/a.ts', 'src', true],
  ])('%s is under %s: %s', (path, folder, expected) => {
    expect(isUnder(path, folder)).toBe(expected);
  });
});

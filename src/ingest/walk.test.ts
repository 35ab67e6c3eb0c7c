import fs, { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { walkPaths } from './walk.ts';

/** What the walk asks the system about. */
const lookers = ['lstatSync', 'readdirSync'] as const;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rlm-walk-'));
  for (const name of lookers) vi.spyOn(fs, name);
  syncBuiltinESMExports();
});
afterEach(() => {
  vi.restoreAllMocks();
  syncBuiltinESMExports();
  rmSync(folder, { recursive: true });
});

function write(path: string, text = 'x'): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}

async function walk(named: string): Promise<{ found: string[]; looks: string[] }> {
  vi.clearAllMocks();
  const found: string[] = [];
  const options = { workingDirectory: folder, respectIgnore: true };
  for await (const group of walkPaths([named], options)) {
    found.push(...group.map(({ path }) => relative(folder, path)));
  }
  const asked = lookers.flatMap((name) => vi.mocked(fs[name]).mock.calls.map(([path]) => path));
  return { found, looks: asked.map((path) => relative(folder, String(path))) };
}

it.each(['.', '**/*'])('nothing of an ignored tree is looked at (%s)', async (named) => {
  write('.git/config');
  write('.gitignore', 'node_modules/\n*.log\n/build\n');
  write('src/a.ts');
  write('src/deep/b.ts');
  for (let n = 0; n < 300; n += 1) {
    write(`node_modules/p${n}/lib/index.js`);
    write(`src/${n}.log`);
  }
  write('src/node_modules/q/index.js');
  write('build/out/x.js');
  const { found, looks } = await walk(named);
  // `*` takes no names that begin with a dot.
  const hidden = named === '.' ? ['.gitignore'] : [];
  expect(found.toSorted()).toEqual([...hidden, 'src/a.ts', 'src/deep/b.ts']);
  // Three folders are listed, three files looked at.
  expect(looks.toSorted()).toEqual([
    '',
    '.gitignore',
    'src',
    'src/a.ts',
    'src/deep',
    'src/deep/b.ts',
  ]);
});

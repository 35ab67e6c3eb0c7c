import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { toStoreFailure } from '../../src/store/disk/store-failure.ts';
import { realFiles } from '../../src/store/disk/files.ts';
import { CliHome } from '../support/cli.ts';

test('doctor writes a test file, takes it away, and looks at the free space', async () => {
  using home = new CliHome();
  mkdirSync(home.dataDir, { mode: 0o700 });
  const { stdout } = await home.runHere(['doctor', '--offline']);
  expect(stdout).toMatch(/data: .* (GB|MB|KB|bytes) free/);
  expect(readdirSync(home.dataDir).filter((name) => name.startsWith('doctor-'))).toEqual([]);
});

test('a folder that cannot be made or written fails with the true reason', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rlm-folder-'));
  await realFiles.makeDirectory(join(folder, 'a', 'b', 'c'));
  await realFiles.makeDirectory(join(folder, 'a', 'b', 'c'));
  writeFileSync(join(folder, 'file'), '');
  for (const [path, code] of [
    [join(folder, 'file', 'x', 'y'), 'ENOTDIR'],
    // Nobody, not even the machine's administrator, makes a folder in there.
    ['/proc/rlm/data', 'ENOENT'],
  ] as const) {
    await expect(realFiles.makeDirectory(path)).rejects.toMatchObject({ code });
  }
  expect(readdirSync(join(folder, 'a', 'b'))).toEqual(['c']);
  rmSync(folder, { recursive: true });
});

test.each([
  ['EROFS', 'internal', 'read-only'],
  ['EACCES', 'internal', 'may not'],
  ['ENOENT', 'internal', 'not there'],
  ['ENOTDIR', 'internal', 'a file stands'],
  ['ENOSPC', 'store_full', 'no room'],
])('%s is named', (code, name, words) => {
  const failure = toStoreFailure(Object.assign(new Error(code), { code }), '/data');
  expect(failure.code).toBe(name);
  expect(failure.message).toContain(words);
  expect(failure.message).toContain(code);
});

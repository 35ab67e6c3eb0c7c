import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readSmallFile } from './source-file.ts';

test.each([
  ['as it was found', 5, 'abcde'],
  ['grown since then', 4, undefined],
  ['cut since then', 6, undefined],
])('a small file that is %s', (_, sizeBytes, expected) => {
  const folder = mkdtempSync(join(tmpdir(), 'rlm-source-'));
  const path = join(folder, 'file');
  writeFileSync(path, 'abcde');
  const read = readSmallFile(path, sizeBytes, Buffer.alloc(20));
  rmSync(folder, { recursive: true });
  expect(read?.toString()).toBe(expected);
});

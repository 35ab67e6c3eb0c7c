import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { realFiles } from './files.ts';
import { encodeRecord } from '../format.ts';
import { RecordLog } from './record-log.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rlm-log-'));
});

afterEach(async () => rm(folder, { recursive: true }));

test.each([100, 6_000])('%i lines come in groups of which none is long work', async (count) => {
  const path = join(folder, 'log');
  await realFiles.createExclusive(path, Buffer.alloc(0));
  const log = new RecordLog(path, await realFiles.open(path, { create: false }));
  const lines = Array.from({ length: count }, (_, n) => encodeRecord({ n, text: 'x'.repeat(300) }));
  await log.append(Buffer.from(lines.join('')));
  const sizes: number[] = [];
  const seen: unknown[] = [];
  for await (const group of log.scanGroups()) {
    sizes.push(group.length);
    for (const line of group) {
      expect(line.whole).toBe(true);
      seen.push((JSON.parse(line.bytes.toString()) as { n: number }).n);
    }
  }
  expect(seen).toEqual(lines.map((_, n) => n));
  expect(Math.max(...sizes)).toBeLessThan(500);
  await log.close();
});

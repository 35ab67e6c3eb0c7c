import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { pino } from 'pino';
import { realFiles } from '../store/disk/files.ts';
import { Spool } from './spool.ts';

test('a row that is damaged on the disk is put aside and told; the others go on in their order', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rlm-spool-'));
  onTestFinished(async () => rm(folder, { recursive: true }));
  const lines: string[] = [];
  const log = pino({ level: 'error' }, { write: (line: string) => lines.push(line) });
  const options = { maxBytes: 10_000, log };
  const session = 'sess_0123456789abcdef';
  const spool = await Spool.open(realFiles, folder, options);
  for (const n of [1, 2, 3])
    await spool.add({ session, writer: 'w', n, ops: [], text: Buffer.from(`text ${n}\n`) });
  const [, second] = (await readdir(folder)).toSorted();
  await writeFile(join(folder, second!), '{"ops": damaged\ntext');

  const again = await Spool.open(realFiles, folder, options);
  const texts: string[] = [];
  for (let row = await again.first(session); row !== undefined; row = await again.first(session)) {
    texts.push(Buffer.from(row.text).toString());
    await again.dropFirst(session);
  }
  expect(texts).toEqual(['text 1\n', 'text 3\n']);
  expect([again.rows, again.bytes]).toEqual([0, 0]);
  expect(await readdir(folder)).toEqual([`${second!}.damaged`]);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('it is put aside');
});

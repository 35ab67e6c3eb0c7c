import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { silentLogger } from '../log.ts';
import { realFiles, type Files, type OpenOptions } from '../store/disk/files.ts';
import { sessionPaths, sessionsDir } from '../store/disk/session-paths.ts';
import { ReplicaFiles } from './replica-files.ts';

test('what is short is in a replica when the call returns, but for a while after a slow write', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'rlm-replica-files-'));
  onTestFinished(async () => rm(dataDir, { recursive: true }));
  await mkdir(sessionsDir(dataDir));
  const clock = new ManualClock();
  let writeMs = 0;
  const asked: OpenOptions[] = [];
  const files: Files = {
    ...realFiles,
    open: async (path, options) => {
      asked.push(options);
      const file = await realFiles.open(path, options);
      return {
        ...file,
        write: async (bytes, at) => {
          const writing = file.write(bytes, at);
          clock.advance(writeMs);
          return writing;
        },
      };
    },
  };
  const disk = new ReplicaFiles({ files, dataDir, clock, log: silentLogger(), bootId: 'boot' });
  await disk.locked();
  const { text: path } = sessionPaths(dataDir, 'sess_0123456789abcdef');
  const file = await disk.files.open(path, { create: true });
  onTestFinished(async () => file.close());
  const [{ isWrittenNow }] = asked as [OpenOptions];

  const writing = file.write(Buffer.from('short'), 0);
  expect(readFileSync(path, 'utf8')).toBe('short');
  expect(await writing).toBe(5);

  writeMs = 6;
  await file.write(Buffer.from('slow!'), 0);
  writeMs = 0;
  expect(isWrittenNow?.()).toBe(false);
  expect(await file.write(Buffer.from('later'), 0)).toBe(5);
  expect(readFileSync(path, 'utf8')).toBe('later');
  clock.advance(1_000);
  expect(isWrittenNow?.()).toBe(true);
});

import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type Files, type OpenFile, realFiles } from '../store/disk/files.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { TraceRoom } from './trace-room.ts';
import { maxWaitingBytes, maxWaitMs, TurnFiles } from './turn-files.ts';

const limits = { maxBytes: 1_000_000_000, maxTurns: 10 };

/** A disk whose writes wait until the test lets them through. */
function slowDisk(): { readonly files: Files; readonly open: () => void } {
  const gate = Promise.withResolvers<undefined>();
  const slow = (file: OpenFile): OpenFile => ({
    ...file,
    write: async (bytes, at) => {
      await gate.promise;
      return file.write(bytes, at);
    },
  });
  return {
    files: { ...realFiles, open: async (path, how) => slow(await realFiles.open(path, how)) },
    open: () => gate.resolve(undefined),
  };
}

async function temporaryFolder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'rlm-trace-'));
  onTestFinished(async () => rm(dir, { recursive: true, force: true }));
  return dir;
}

test('a turn waits only while much waits for the disk, and then all is written in order', async () => {
  const dir = await temporaryFolder();
  const { files, open } = slowDisk();
  const clock = new ManualClock();
  const faults: unknown[] = [];
  const onFault = (error: unknown): void => void faults.push(error);
  const room = new TraceRoom(dir, files, limits);
  const turn = new TurnFiles('a', { room, files, clock, onFault });
  const piece = Buffer.alloc(maxWaitingBytes / 4, 'x');
  const waits = [1, 2, 3, 4].map(() => turn.append('body', piece));
  expect(waits).toEqual([undefined, undefined, undefined, undefined]);
  const full = turn.append('body', Buffer.from('the end'));
  expect(full).toBeInstanceOf(Promise);
  open();
  await full;
  expect(clock.waiting).toBe(0);
  await turn.close();
  expect(faults).toEqual([]);
  const written = await readFile(join(dir, 'a', 'body'));
  expect(written.equals(Buffer.concat([piece, piece, piece, piece, Buffer.from('the end')]))).toBe(
    true,
  );
});

test('a disk that does not keep up holds a turn for a moment and then costs it its trace', async () => {
  const dir = await temporaryFolder();
  const { files, open } = slowDisk();
  const clock = new ManualClock();
  const faults: unknown[] = [];
  const onFault = (error: unknown): void => void faults.push(error);
  const room = new TraceRoom(dir, files, limits);
  const turn = new TurnFiles('a', { room, files, clock, onFault });
  const full = turn.append('body', Buffer.alloc(maxWaitingBytes + 1));
  clock.advance(maxWaitMs);
  await full;
  expect(turn.append('body', Buffer.alloc(maxWaitingBytes + 1))).toBe(undefined);
  expect(faults).toMatchObject([{ code: 'too_slow' }]);
  open();
  await turn.close();
  expect(await readdir(dir)).toEqual([]);
});

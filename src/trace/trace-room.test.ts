import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { realFiles } from '../store/disk/files.ts';
import { TraceRoom } from './trace-room.ts';

let dir = '';

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rlm-trace-'));
  onTestFinished(async () => rm(dir, { recursive: true, force: true }));
});

const nameOf = (second: number): string => TraceRoom.nameOf(second * 1000, `req_${second}`);

async function written(room: TraceRoom, second: number, sizeBytes: number): Promise<void> {
  await room.begin(nameOf(second));
  await room.take(nameOf(second), sizeBytes);
  room.end(nameOf(second));
}

test('names sort by time and hold the id, whatever is in it', () => {
  expect(TraceRoom.nameOf(0, 'req_1')).toBe('1970-01-01T00-00-00.000Z-req_1');
  expect(TraceRoom.nameOf(1_000, '../x')).toBe('1970-01-01T00-00-01.000Z-___x');
});

test('the oldest turn goes first, and none that is being written', async () => {
  const room = new TraceRoom(dir, realFiles, { maxBytes: 1_000, maxTurns: 3 });
  await room.begin(nameOf(1));
  await written(room, 2, 10);
  await written(room, 3, 10);
  await written(room, 4, 10);
  expect(await readdir(dir)).toEqual([1, 3, 4].map(nameOf));
  room.end(nameOf(1));
  await written(room, 5, 10);
  expect(await readdir(dir)).toEqual([3, 4, 5].map(nameOf));
});

test('what earlier runs have left counts; what is not ours does not, and stays', async () => {
  for (const name of [nameOf(1), nameOf(2), 'mine']) {
    await mkdir(join(dir, name));
    await writeFile(join(dir, name, 'request.body'), Buffer.alloc(400));
  }
  const room = new TraceRoom(dir, realFiles, { maxBytes: 1_000, maxTurns: 10 });
  await written(room, 3, 300);
  expect(await readdir(dir)).toEqual([nameOf(2), nameOf(3), 'mine']);
});

test('a turn that takes more than half of the room, or finds none, is refused', async () => {
  const room = new TraceRoom(dir, realFiles, { maxBytes: 1_000, maxTurns: 3 });
  await written(room, 1, 100);
  await room.begin(nameOf(2));
  await room.take(nameOf(2), 500);
  await expect(room.take(nameOf(2), 1)).rejects.toMatchObject({ code: 'too_large' });
  await room.drop(nameOf(2));
  expect(await readdir(dir)).toEqual([nameOf(1)]);
  for (const second of [3, 4, 5]) await room.begin(nameOf(second));
  await expect(room.begin(nameOf(6))).rejects.toMatchObject({ code: 'too_many' });
});

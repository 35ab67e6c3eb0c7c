import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { createZstdDecompress } from 'node:zlib';
import type { PastFault } from './past-session.ts';

/** Longer lines are left out, bytes: parsing one takes some 200 ms of the server's time. */
const maxLineBytes = 32 * 1024 * 1024;

/** Read before others get their turn, bytes. */
const sliceBytes = 1024 * 1024;

/**
 * The lines of a file that a program may be writing to: whole ones only, a last one without its
 * newline is not there yet. Those that are too long are told of. Compressed where the name ends in
 * `.zst`. Rejects as opening and reading do, for a symbolic link with `ELOOP`.
 */
async function* wholeLines(
  path: string,
  signal: AbortSignal,
): AsyncGenerator<Buffer | PastFault, void, void> {
  await using file = await open(
    path,
    // Without O_NONBLOCK the opening of a pipe waits until somebody writes to it.
    constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
  );
  if (!(await file.stat()).isFile()) throw Object.assign(new Error('it is no file'), {});
  const raw = file.createReadStream({ autoClose: false, highWaterMark: 262_144 });
  const pieces = path.endsWith('.zst') ? raw.pipe(createZstdDecompress()) : raw;
  if (pieces !== raw) raw.on('error', (error) => pieces.destroy(error));
  let held: Buffer[] = [];
  let heldBytes = 0;
  let number = 1;
  let sinceBytes = 0;
  for await (const piece of pieces as AsyncIterable<Buffer>) {
    signal.throwIfAborted();
    sinceBytes += piece.length;
    if (sinceBytes >= sliceBytes) {
      sinceBytes = 0;
      await setImmediate();
    }
    let start = 0;
    for (;;) {
      const end = piece.indexOf(0x0a, start);
      const part = piece.subarray(start, end < 0 ? piece.length : end);
      heldBytes += part.length;
      // Of a line that is too long only its length is of interest.
      if (heldBytes <= maxLineBytes) held.push(part);
      else held = [];
      if (end < 0) break;
      if (heldBytes > maxLineBytes) yield tooLong(path, number, heldBytes);
      else if (heldBytes > 0) yield held.length === 1 ? (held[0] as Buffer) : Buffer.concat(held);
      held = [];
      heldBytes = 0;
      number += 1;
      start = end + 1;
    }
  }
}

function tooLong(path: string, number: number, bytes: number): PastFault {
  const megabytes = Math.ceil(bytes / 1e6);
  return {
    place: `${path}, line ${number}`,
    reason: `the line has ${megabytes} MB and was left out; lines of up to ${Math.floor(maxLineBytes / 1e6)} MB are read`,
  };
}

/** The JSON objects on those of a file's lines that hold one of `words`, and what is damaged. */
export async function* recordsOf(
  path: string,
  words: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<{ readonly record: Readonly<Record<string, unknown>> } | PastFault, void, void> {
  let damaged = 0;
  for await (const line of wholeLines(path, signal)) {
    if (!Buffer.isBuffer(line)) {
      yield line;
      continue;
    }
    if (!words.some((word) => line.includes(word))) continue;
    const record = objectIn(line);
    if (record === undefined) damaged += 1;
    else yield { record };
    if (line.length > sliceBytes) await setImmediate();
  }
  if (damaged > 0)
    yield {
      place: path,
      reason: `${damaged === 1 ? '1 line is' : `${damaged} lines are`} no JSON and ${damaged === 1 ? 'was' : 'were'} left out`,
    };
}

function objectIn(line: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line.toString());
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    // Counted: the person is told how many there are.
    return undefined;
  }
}

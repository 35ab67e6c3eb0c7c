import type { Files } from '../disk/files.ts';
import { isWholeRecord, type EntryRecord, type HeaderRecord } from '../format.ts';
import type { SessionPaths } from '../disk/session-paths.ts';
import type { Totals } from '../types.ts';

/** What the ends of a journal tell, without reading all of it. */
export interface SessionSummary {
  readonly createdMs: number;
  /** When something was last stored. */
  readonly updatedMs: number;
  readonly totals: Totals;
  /** What is wrong, where that shows. */
  readonly damage?: string;
}

/** Longer than any record (arguments are cut at 2,000 characters, paths at 4,096). */
const tailBytes = 64 * 1024;
const noTotals: Totals = { bytes: 0, chars: 0, lines: 0, entries: 0 };

/** Reads the first and the last line of a session's journal. */
export async function summarizeSession(files: Files, paths: SessionPaths): Promise<SessionSummary> {
  const empty = { createdMs: 0, updatedMs: 0, totals: noTotals };
  let head: Buffer;
  let tail: Buffer;
  try {
    [head, tail] = await readEnds(files, paths.journal);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { ...empty, damage: `its journal cannot be read: ${reason}` };
  }
  const first = head.subarray(0, head.indexOf(0x0a));
  if (!isWholeRecord(first)) return { ...empty, damage: `${paths.journal} has no header of ours` };
  const { createdMs } = JSON.parse(first.toString()) as HeaderRecord;
  const lastEnd = tail.lastIndexOf(0x0a);
  const last = tail.subarray(tail.lastIndexOf(0x0a, lastEnd - 1) + 1, lastEnd);
  const base = { ...empty, createdMs, updatedMs: createdMs };
  if (!isWholeRecord(last)) return { ...base, damage: `${paths.journal} has a damaged last line` };
  const record = JSON.parse(last.toString()) as HeaderRecord | EntryRecord;
  return record.type === 'header'
    ? base
    : { createdMs, updatedMs: record.timeMs, totals: record.end };
}

async function readEnds(files: Files, path: string): Promise<[head: Buffer, tail: Buffer]> {
  const file = await files.open(path, { create: false });
  try {
    const sizeBytes = await file.sizeBytes();
    const head = Buffer.alloc(Math.min(sizeBytes, tailBytes));
    const tail = Buffer.alloc(Math.min(sizeBytes, tailBytes));
    await file.read(head, 0);
    await file.read(tail, sizeBytes - tail.length);
    return [head, tail];
  } finally {
    await file.close();
  }
}

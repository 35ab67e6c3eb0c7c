import type { Files } from '../disk/files.ts';
import {
  isWholeRecord,
  type BaseRecord,
  type EntryRecord,
  type HeaderRecord,
  type JournalRecord,
} from '../format.ts';
import type { SessionPaths } from '../disk/session-paths.ts';
import type { BaseRange, Totals } from '../types.ts';

/** What the ends of a journal tell, without reading all of it. */
export interface SessionSummary {
  readonly createdMs: number;
  /** When something was last stored. */
  readonly updatedMs: number;
  readonly totals: Totals;
  /** What it goes on from, where it is a branch. */
  readonly bases?: readonly BaseRange[];
  /** What is wrong, where that shows. */
  readonly damage?: string;
}

/** Longer than any record (arguments are cut at 2,000 characters, paths at 4,096). */
const tailBytes = 64 * 1024;
const noTotals: Totals = { bytes: 0, chars: 0, lines: 0, entries: 0 };

/** Reads the first two lines and the last one of a session's journal. */
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
  const bases = basesIn(head.subarray(first.length + 1));
  const lastEnd = tail.lastIndexOf(0x0a);
  const last = tail.subarray(tail.lastIndexOf(0x0a, lastEnd - 1) + 1, lastEnd);
  const base = { ...empty, createdMs, updatedMs: createdMs, ...bases };
  if (!isWholeRecord(last)) return { ...base, damage: `${paths.journal} has a damaged last line` };
  const record = JSON.parse(last.toString()) as HeaderRecord | BaseRecord | EntryRecord;
  return record.type === 'header'
    ? base
    : { createdMs, updatedMs: storedMs(record), totals: record.end, ...bases };
}

function storedMs(record: BaseRecord | EntryRecord): number {
  return (record.type === 'entry' ? record.storedMs : undefined) ?? record.timeMs;
}

/** What a journal's second line says of bases. */
function basesIn(bytes: Buffer): { readonly bases?: readonly BaseRange[] } {
  const line = bytes.subarray(0, bytes.indexOf(0x0a));
  if (!isWholeRecord(line)) return {};
  const record = JSON.parse(line.toString()) as JournalRecord;
  return record.type === 'base' ? { bases: record.bases } : {};
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

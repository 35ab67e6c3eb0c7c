/**
 * `_index/checked.json`, one line in the form of the journal's: what was known of a session when it
 * was closed, or its text had been compared. `identity` and `checkedMs` are there if all text is
 * known to be what was stored: as long as the file is the same, it need not be compared again for a
 * while. `entries` and `journalBytes` bear witness of what was committed: a journal that ends
 * before them has lost its end, and is not one that a crash has left.
 */
import { join } from 'node:path';
import { replaceFile, type Files } from './files.ts';
import { encodeRecord, isWholeRecord } from '../format.ts';
import type { SessionPaths } from './session-paths.ts';

/** See above. */
export interface CheckedRecord {
  readonly sessionId: string;
  readonly entries: number;
  readonly journalBytes: number;
  /** As `Files.identifyNow` tells it. */
  readonly identity?: string;
  /** When all text was last compared. */
  readonly checkedMs?: number;
}

/** Its name in the folder of a session's caches. */
export const checkedName = 'checked.json';

const type = 'checked';

/**
 * The record of a session; undefined where there is none, or one that is damaged or of another
 * session.
 */
export async function readChecked(
  files: Files,
  paths: SessionPaths,
  sessionId: string,
): Promise<CheckedRecord | undefined> {
  const bytes = await files.readWhole(pathOf(paths));
  if (bytes === undefined || !isWholeRecord(bytes.subarray(0, -1))) return undefined;
  const record = JSON.parse(bytes.toString()) as CheckedRecord & { readonly type: unknown };
  return record.type === type && record.sessionId === sessionId ? record : undefined;
}

/** Puts a record in place, durably. */
export async function writeChecked(
  files: Files,
  paths: SessionPaths,
  record: CheckedRecord,
): Promise<void> {
  await files.makeDirectory(paths.indexDir);
  await replaceFile(files, pathOf(paths), Buffer.from(encodeRecord({ type, ...record })));
}

function pathOf(paths: SessionPaths): string {
  return join(paths.indexDir, checkedName);
}

import type { Files } from '../disk/files.ts';
import { RecordLog } from '../disk/record-log.ts';
import type { SessionPaths } from '../disk/session-paths.ts';

/**
 * Cuts a session back to its first journal lines, as after a crash at that moment; its text is cut
 * when it is opened next. Nobody has it open. Only for a replica, whose log stands elsewhere.
 * @param records How many lines stay behind the header and the session's own `base` line
 * @returns Whether it had so many
 */
export async function rewindSession(
  files: Files,
  { journal, indexDir }: SessionPaths,
  records: number,
): Promise<boolean> {
  const log = new RecordLog(journal, await files.open(journal, { create: false }));
  try {
    let kept = 0;
    let cutBytes: number | undefined;
    for await (const line of log.scan()) {
      const isHead =
        line.lineNumber === 1 || (line.lineNumber === 2 && line.bytes.includes('{"type":"base"'));
      if (isHead) continue;
      if (kept === records) {
        cutBytes ??= line.positionBytes;
        break;
      }
      kept += 1;
    }
    if (kept < records) return false;
    if (cutBytes !== undefined) log.uncommit(cutBytes);
    await log.rollBack();
  } finally {
    await log.close();
  }
  // It says how long the journal was, and what was compared of the text.
  await files.remove(indexDir);
  return true;
}

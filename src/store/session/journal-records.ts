import type { Files } from '../disk/files.ts';
import { RecordLog } from '../disk/record-log.ts';
import { siblingPaths, type SessionPaths } from '../disk/session-paths.ts';
import { corruptStore } from '../disk/store-failure.ts';
import type { AliasRecord, BaseRecord, EntryRecord, JournalRecord } from '../format.ts';
import type { BaseRange, Entry, NewEntryFacts, SourceFile } from '../types.ts';
import { isBaseLine } from './replay.ts';

/** What was known of a text when it came, as its entry and its file in the journal say it. */
export function factsOf(entry: Entry, source: SourceFile | undefined): NewEntryFacts {
  const { kind, tool, args, path, chatId, toolCallId, call, timeMs } = entry;
  const { note, outline, standIn } = entry;
  return {
    kind,
    timeMs,
    ...(tool !== undefined && { tool }),
    ...(args !== undefined && { args }),
    ...(path !== undefined && { path }),
    ...(chatId !== undefined && { chatId }),
    ...(toolCallId !== undefined && { toolCallId }),
    ...(call !== undefined && { call }),
    ...(note !== undefined && { note }),
    ...(outline !== undefined && { outline }),
    ...(standIn !== undefined && { standIn }),
    ...(source && { source }),
  };
}

/**
 * What a session's journal says, in its order: texts that came, and those that came again. A branch
 * begins with what it goes on from. The session is open, so that nothing is torn.
 * @throws ProxyError `store_corrupt`
 */
export async function* journalRecords(
  files: Files,
  paths: SessionPaths,
  range?: BaseRange,
): AsyncGenerator<EntryRecord | AliasRecord> {
  const journal = new RecordLog(paths.journal, await files.open(paths.journal, { create: false }));
  let left = range?.records ?? Infinity;
  try {
    for await (const { lineNumber, whole, bytes } of journal.scan()) {
      if (lineNumber === 1) continue;
      if (!whole) throw corruptStore(paths.journal, `line ${lineNumber} is damaged`);
      const isBase = lineNumber === 2 && isBaseLine(bytes);
      if (isBase && range !== undefined) continue;
      const record = JSON.parse(bytes.toString()) as JournalRecord;
      if (isBase) {
        for (const base of (record as BaseRecord).bases) {
          yield* journalRecords(files, siblingPaths(paths, base.sessionId), base);
        }
      } else if (record.type === 'entry' || record.type === 'alias') {
        if (left === 0) return;
        left -= 1;
        yield record;
      }
    }
  } finally {
    await journal.close();
  }
}

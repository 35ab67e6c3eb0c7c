import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { decodeBlocks } from '../text/block-cache.ts';
import { readChecked, type CheckedRecord } from '../disk/checked-record.ts';
import type { ProxyError } from '../../errors.ts';
import { ContextFile } from '../text/context-file.ts';
import { EntryIndex } from '../text/entry-index.ts';
import type { Files, OpenFile } from '../disk/files.ts';
import {
  encodeHeader,
  headerFault,
  recordToEntry,
  type AliasRecord,
  type EntryRecord,
  type HeaderRecord,
  type JournalRecord,
} from '../format.ts';
import { lostPagesAt, RecordLog, type LogLine } from '../disk/record-log.ts';
import type { SessionPaths } from '../disk/session-paths.ts';
import { StagedTexts } from '../text/staged-texts.ts';
import { corruptStore } from '../disk/store-failure.ts';

/** `format` in the journal's header. */
const journalFormat = 'rlm-opencode-entries';

/** The parts of an opened session. */
export interface RecoveredSession {
  readonly createdMs: number;
  readonly journal: RecordLog;
  readonly text: ContextFile;
  readonly index: EntryIndex;
  readonly staged: StagedTexts;
  /** How many entries the cached block table covers; 0 where there was none to be used. */
  readonly coveredEntries: number;
  /** What was known when it was closed. */
  readonly checked: CheckedRecord | undefined;
}

/**
 * Makes the empty files of a session; the journal last, because it says that the session exists.
 */
export async function createSessionFiles(
  files: Files,
  paths: SessionPaths,
  header: { readonly sessionId: string; readonly createdMs: number },
): Promise<void> {
  await files.createExclusive(paths.text, Buffer.alloc(0));
  const line = encodeHeader(journalFormat, header.sessionId, header.createdMs);
  await files.createExclusive(paths.journal, Buffer.from(line));
}

/**
 * Opens a session's text and journal by the rules at the head of `format.ts`: cuts torn tails,
 * refuses damage of the journal. Reads the journal and at most one block of the text, which is
 * verified when it is read or by `TableRebuild`.
 * @throws ProxyError `store_corrupt`; whatever the file system throws
 */
export async function recoverSession(
  files: Files,
  paths: SessionPaths,
  sessionId: string,
): Promise<RecoveredSession> {
  const journalFile = await files.open(paths.journal, { create: false });
  const journal = new RecordLog(paths.journal, journalFile);
  let textFile: OpenFile | undefined;
  try {
    const index = new EntryIndex();
    const createdMs = await replayJournal(journal, sessionId, index);
    const checked = await readChecked(files, paths, sessionId);
    checkEnd(paths, journal, index, checked);
    textFile = await files.open(paths.text, { create: index.entries.length === 0 });
    const staged = await StagedTexts.open(files, paths.incomingDir, index);
    await checkTextSize(paths.text, textFile, index, staged);
    const text = new ContextFile(paths.text, textFile, index.totals.bytes, () =>
      files.identifyNow(paths.text),
    );
    await journal.rollBack();
    await text.rollBack();
    const coveredEntries = await restoreTable(files, paths, text, index);
    await staged.dropFirst(coveredEntries);
    return { createdMs, journal, text, index, staged, coveredEntries, checked };
  } catch (error) {
    await journal.close();
    await textFile?.close();
    throw error;
  }
}

/** When the session was made. Fills the index; what is wrong, where that shows. */
async function replayJournal(
  journal: RecordLog,
  sessionId: string,
  index: EntryIndex,
): Promise<number> {
  let createdMs: number | undefined;
  const replay = new JournalReplay(journal, index);
  for await (const lines of journal.scanGroups()) {
    for (const line of lines) {
      if (!line.ended) {
        const fault = `line ${line.lineNumber}, its last, has no newline but another byte behind it`;
        throw corruptStore(journal.path, fault);
      }
      if (createdMs === undefined) {
        const fault = headerFault(line.bytes, journalFormat, sessionId);
        if (fault !== undefined) throw corruptStore(journal.path, fault);
        createdMs = (JSON.parse(line.bytes.toString()) as HeaderRecord).createdMs;
      } else {
        replay.add(line);
      }
    }
    // A read from memory may come back within the same turn.
    await setImmediate();
  }
  if (createdMs === undefined) throw corruptStore(journal.path, 'its header is missing');
  replay.end();
  return createdMs;
}

/** Takes a journal's lines behind its header in order. */
class JournalReplay {
  readonly #journal: RecordLog;
  readonly #index: EntryIndex;
  /** When the commit of the last sound line was made. */
  #timeMs: number | undefined;
  /**
   * Where an append that never ended has lost pages; `timeMs` is the time of its commit, as far as
   * it is known.
   */
  #torn:
    | { readonly fault: ProxyError; readonly positionBytes: number; timeMs?: number }
    | undefined;

  constructor(journal: RecordLog, index: EntryIndex) {
    this.#journal = journal;
    this.#index = index;
  }

  /** @throws ProxyError `store_corrupt` */
  add(line: LogLine): void {
    const { path } = this.#journal;
    const place = `line ${line.lineNumber}, behind entry e${this.#index.entries.length}`;
    if (!line.whole) {
      this.#missing(line, corruptStore(path, `${place}, has a wrong checksum`));
      return;
    }
    const record = JSON.parse(line.bytes.toString()) as JournalRecord;
    if (this.#torn !== undefined) {
      // The lines of one commit bear one time. One of another commit shows that the append had
      // ended: then it is damage.
      const { fault, timeMs = timeOf(record) } = this.#torn;
      if (timeMs === undefined || timeOf(record) !== timeMs) throw fault;
      this.#torn.timeMs = timeMs;
      return;
    }
    this.#timeMs = timeOf(record);
    if (record.type === 'entry') replayEntry(path, place, record, this.#index);
    else if (record.type === 'alias') replayAlias(path, place, record, this.#index);
    else throw corruptStore(path, `${place}, is a ${record.type} record in the wrong place`);
  }

  /** Nothing more comes: what was never committed is not part of the journal. */
  end(): void {
    if (this.#torn !== undefined) this.#journal.uncommit(this.#torn.positionBytes);
  }

  #missing(line: LogLine, fault: ProxyError): void {
    const at = lostPagesAt(line);
    if (at === undefined) throw fault;
    if (this.#torn !== undefined) return;
    const { positionBytes } = line;
    this.#torn = { fault, positionBytes };
    // Pages that are lost from the line's start on were the first of their append; in the middle of
    // it, lines before belong to it, too.
    if (at > 0 && this.#timeMs !== undefined) this.#torn.timeMs = this.#timeMs;
  }
}

function timeOf(record: JournalRecord): number | undefined {
  return 'timeMs' in record ? record.timeMs : undefined;
}

function replayEntry(path: string, place: string, record: EntryRecord, index: EntryIndex): void {
  const { totals } = index;
  const separator = record.end.bytes - record.offsetBytes - record.lengthBytes;
  const fits =
    record.seq === index.entries.length + 1 &&
    record.offsetBytes === totals.bytes &&
    record.offsetChars === totals.chars &&
    record.lineNumber === totals.lines + 1 &&
    (separator === 0 || separator === 1) &&
    record.end.chars === record.offsetChars + record.lengthChars + separator;
  if (!fits) throw corruptStore(path, `${place}, does not continue what is before it`);
  index.add(recordToEntry(record), record.source, record.end);
}

function replayAlias(path: string, place: string, record: AliasRecord, index: EntryIndex): void {
  const entry = index.entries[record.seq - 1];
  if (entry === undefined) throw corruptStore(path, `${place}, names entry e${record.seq}`);
  index.addAlias(entry, record);
}

/**
 * A journal that ends before what is known to have been committed has not been left so by a crash.
 */
function checkEnd(
  { indexDir }: SessionPaths,
  journal: RecordLog,
  index: EntryIndex,
  checked: CheckedRecord | undefined,
): void {
  if (checked === undefined || journal.sizeBytes >= checked.journalBytes) return;
  throw corruptStore(
    journal.path,
    `its end is missing: it stops behind entry e${index.entries.length}, when it was closed there were ${checked.entries} entries. Where an older copy was put back on purpose, delete ${indexDir}`,
  );
}

async function checkTextSize(
  path: string,
  file: OpenFile,
  index: EntryIndex,
  staged: StagedTexts,
): Promise<void> {
  const sizeBytes = await file.sizeBytes();
  if (sizeBytes >= index.totals.bytes) return;
  // A text that is still on its way need not be there.
  const lost = index.overlapping(sizeBytes, index.totals.bytes).find((entry) => !staged.has(entry));
  if (lost === undefined) return;
  throw corruptStore(
    path,
    `it has ${sizeBytes} bytes instead of ${index.totals.bytes}, the text from entry ${lost.id} on is cut off`,
  );
}

/** Takes over the cached block table, if it is right; the number of entries that it covers. */
async function restoreTable(
  files: Files,
  paths: SessionPaths,
  text: ContextFile,
  index: EntryIndex,
): Promise<number> {
  const bytes = await files.readWhole(join(paths.indexDir, 'blocks.bin'));
  const kept = bytes === undefined ? undefined : decodeBlocks(bytes, index);
  let coveredEntries = 0;
  if (kept !== undefined) {
    const lastStart = kept.columns.byteStart[kept.count - 1]!;
    const lastBlock = Buffer.alloc(kept.endBytes - lastStart);
    await text.read(lastBlock, lastStart);
    if (crc32(lastBlock) === kept.lastCrc) {
      text.table.restore(kept.columns, kept.count);
      text.table.feed(lastBlock);
      text.table.commit();
      coveredEntries = kept.entries;
    }
  }
  if (coveredEntries === index.entries.length) text.adoptTable();
  return coveredEntries;
}

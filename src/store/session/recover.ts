import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { blockCacheName, decodeBlocks } from '../text/block-cache.ts';
import { readChecked, type CheckedRecord } from '../disk/checked-record.ts';
import { ContextFile } from '../text/context-file.ts';
import { EntryIndex } from '../text/entry-index.ts';
import type { Files, OpenFile } from '../disk/files.ts';
import { encodeHeader, encodeRecord, newestVersion, type BaseRecord } from '../format.ts';
import type { BaseRange } from '../types.ts';
import { RecordLog } from '../disk/record-log.ts';
import { siblingPaths, type SessionPaths } from '../disk/session-paths.ts';
import { SpannedFile, type SpannedPart } from '../disk/spanned-file.ts';
import { journalFormat, openBase, replayJournal, type JournalHead } from './replay.ts';
import type { TextSpan } from '../../base/text-spans.ts';
import { StagedTexts } from '../text/staged-texts.ts';
import { corruptStore } from '../disk/store-failure.ts';

/** The parts of an opened session. */
export interface RecoveredSession extends JournalHead {
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
 * Makes the empty files of a session, or those of a branch; the journal last, because it says that
 * the session exists.
 */
export async function createSessionFiles(
  files: Files,
  paths: SessionPaths,
  { sessionId, createdMs }: { readonly sessionId: string; readonly createdMs: number },
  base?: Omit<BaseRecord, 'type'>,
): Promise<void> {
  await files.createExclusive(paths.text, Buffer.alloc(0));
  const lines =
    base === undefined
      ? encodeHeader(journalFormat, sessionId, createdMs)
      : encodeHeader(journalFormat, sessionId, createdMs, newestVersion) +
        encodeRecord({ type: 'base', ...base });
  await files.createExclusive(paths.journal, Buffer.from(lines));
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
  {
    sessionId,
    hashKeys,
  }: { readonly sessionId: string; readonly hashKeys?: readonly Buffer[] | undefined },
): Promise<RecoveredSession> {
  const journalFile = await files.open(paths.journal, { create: false });
  const journal = new RecordLog(paths.journal, journalFile);
  let textFile: OpenFile | undefined;
  try {
    const index = new EntryIndex(hashKeys);
    const head = await replayJournal(files, { paths, sessionId }, journal, index);
    const checked = await readChecked(files, paths, sessionId);
    checkEnd(paths, journal, index, checked);
    const { bases } = head;
    const isEmpty = index.totals.bytes === (bases.at(-1)?.end.bytes ?? 0);
    const spans = spansOf(paths, bases, index);
    textFile = await openText(files, paths, { bases, spans, create: isEmpty });
    const staged = await StagedTexts.open(files, paths.incomingDir, index);
    await checkTextSize(paths.text, textFile, index, staged);
    const text = new ContextFile(paths.text, textFile, {
      spans,
      committedBytes: index.totals.bytes,
      identify: () => identify(files, spans),
    });
    await journal.rollBack();
    await text.rollBack();
    const coveredEntries = await restoreTable(files, paths, text, index);
    await staged.dropFirst(coveredEntries);
    return { ...head, journal, text, index, staged, coveredEntries, checked };
  } catch (error) {
    await journal.close();
    await textFile?.close();
    throw error;
  }
}

/** Where the text lies of a session with these bases. */
function spansOf(
  paths: SessionPaths,
  bases: readonly BaseRange[],
  index: EntryIndex,
): readonly TextSpan[] {
  const spans: TextSpan[] = [];
  let startBytes = 0;
  for (const { sessionId, end } of bases) {
    const path = siblingPaths(paths, sessionId).text;
    // Of a base without texts of its own there is nothing.
    if (end.bytes > startBytes) {
      spans.push({ startBytes, endBytes: end.bytes, path, positionBytes: 0 });
    }
    startBytes = end.bytes;
  }
  spans.push({ startBytes, endBytes: Infinity, path: paths.text, positionBytes: 0 });
  return withFiller(spans, index);
}

/** The same spans, filler in the place of texts that were forgotten. */
function withFiller(spans: readonly TextSpan[], index: EntryIndex): readonly TextSpan[] {
  const filled: TextSpan[] = [];
  let at = 0;
  const takeTo = (endBytes: number): void => {
    for (const span of spans) {
      const startBytes = Math.max(at, span.startBytes);
      const stop = Math.min(endBytes, span.endBytes);
      if (stop <= startBytes || !('path' in span)) continue;
      const positionBytes = span.positionBytes + startBytes - span.startBytes;
      filled.push({ ...span, startBytes, endBytes: stop, positionBytes });
    }
  };
  for (const filler of fillers(index)) {
    takeTo(filler.startBytes);
    filled.push(filler);
    at = filler.endBytes;
  }
  takeTo(Infinity);
  return filled;
}

/** Runs of texts that were forgotten, with the newlines behind them. */
function* fillers(index: EntryIndex): Generator<TextSpan> {
  const { entries } = index;
  for (let first = 0; first < entries.length; first += 1) {
    let end = first;
    while (entries[end]?.forgotten !== undefined) end += 1;
    if (end === first) continue;
    const places = new Float64Array(new SharedArrayBuffer(24 * (end - first + 1)));
    for (let at = first; at <= end; at += 1) {
      const { bytes, chars, lines } = index.startOf(at);
      places.set([bytes, chars, lines], 3 * (at - first));
    }
    yield { startBytes: places[0]!, endBytes: places.at(-3)!, places };
    first = end;
  }
}

/** Opens a session's text; that of its bases with it. */
async function openText(
  files: Files,
  paths: SessionPaths,
  {
    bases,
    spans,
    create,
  }: {
    readonly bases: readonly BaseRange[];
    readonly spans: readonly TextSpan[];
    readonly create: boolean;
  },
): Promise<OpenFile> {
  const own = await files.open(paths.text, { create });
  if (spans.length === 1) return own;
  const parts: SpannedPart[] = [];
  try {
    let startBytes = 0;
    for (const { sessionId, end } of bases) {
      const lengthBytes = end.bytes - startBytes;
      startBytes = end.bytes;
      const path = siblingPaths(paths, sessionId).text;
      if (!spans.some((span) => 'path' in span && span.path === path)) continue;
      const file = await openBase(files, path, sessionId);
      parts.push({ path, file });
      if ((await file.sizeBytes()) < lengthBytes) {
        throw corruptStore(path, 'it is shorter than a branch of it needs');
      }
    }
    return new SpannedFile(spans, [...parts, { path: paths.text, file: own }]);
  } catch (error) {
    for (const { file } of [...parts, { file: own }]) await file.close();
    throw error;
  }
}

/**
 * The file as it was left by us, in one word. Bases grow by what is none of ours: only whether they
 * are the same files counts, and each read compares what it reads.
 */
function identify(files: Files, spans: readonly TextSpan[]): string | undefined {
  const paths = [...new Set(spans.flatMap((span) => ('path' in span ? [span.path] : [])))];
  const words = paths.map((path, i) => {
    const word = files.identifyNow(path);
    return i === paths.length - 1 ? word : word?.split(':')[0];
  });
  return words.includes(undefined) ? undefined : words.join(' ');
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
  const bytes = await files.readWhole(join(paths.indexDir, blockCacheName));
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

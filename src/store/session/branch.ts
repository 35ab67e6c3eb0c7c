import { dirname, join } from 'node:path';
import { checkedName } from '../disk/checked-record.ts';
import { replaceFile, writeFully, type Files } from '../disk/files.ts';
import { RecordLog } from '../disk/record-log.ts';
import { siblingPaths, type SessionPaths } from '../disk/session-paths.ts';
import { corruptStore } from '../disk/store-failure.ts';
import { encodeHeader, encodeRecord, newestVersion, type BaseRecord } from '../format.ts';
import { blockCacheName, encodeBlocks } from '../text/block-cache.ts';
import { pieceMaxBytes } from '../text/text-pieces.ts';
import type { BaseRange, SessionStore } from '../types.ts';
import { copyChats } from './chat-memory.ts';
import { blocksUntil } from './past-store.ts';
import { createSessionFiles } from './recover.ts';
import { isBaseLine, journalFormat, openBase, type Past } from './replay.ts';

/**
 * Makes the files of a session that goes on from what another held at a moment. No text is copied:
 * it is read from the files of the other and of its bases. What is remembered of chats is, as it
 * was then; and what can be made again (block table, index) as far as it fits.
 * @throws ProxyError `store_corrupt` where the last of the text is damaged; the file system's
 * errors
 */
export async function createBranchFiles(
  files: Files,
  paths: SessionPaths,
  from: { readonly store: SessionStore; readonly paths: SessionPaths; readonly past: Past },
  header: { readonly sessionId: string; readonly createdMs: number },
): Promise<void> {
  const { ranges, timeMs, index } = from.past;
  // Of one that had the id, and was deleted but for that.
  await files.remove(paths.indexDir);
  await copyCaches(files, paths, from);
  await copyChats(files, { from: from.paths.chats, to: paths.chats, untilMs: timeMs }, header);
  const { untilMs, totals: end } = index;
  const base = { bases: ranges, timeMs: header.createdMs, untilMs, end };
  await createSessionFiles(files, paths, header, ranges.length === 0 ? undefined : base);
}

/** The block table as it was, and second names for index files: each reader sees which fit. */
async function copyCaches(
  files: Files,
  paths: SessionPaths,
  { store, paths: source, past }: Parameters<typeof createBranchFiles>[2],
): Promise<void> {
  const { index } = past;
  if (index.totals.bytes === 0) return;
  const blocks = await blocksUntil(store, await store.snapshot(), index.totals);
  await files.makeDirectory(paths.indexDir);
  const table = encodeBlocks(blocks, index, index.entries.length);
  await files.createExclusive(join(paths.indexDir, blockCacheName), table);
  for (const name of await files.list(source.indexDir)) {
    if (!name.endsWith('.bits')) continue;
    try {
      await files.link(join(source.indexDir, name), join(paths.indexDir, name));
    } catch {
      // A file system without second names: the index is made anew.
      return;
    }
  }
}

/**
 * Makes the files of a session that holds a copy of all that `ranges` name, so that a branch needs
 * one file instead of theirs. Nothing is held but a piece at a time.
 */
export async function copyRanges(
  files: Files,
  paths: SessionPaths,
  ranges: readonly BaseRange[],
  { sessionId, createdMs }: { readonly sessionId: string; readonly createdMs: number },
): Promise<BaseRange> {
  await copyTexts(files, paths, ranges);
  const header = encodeHeader(journalFormat, sessionId, createdMs, newestVersion);
  let records = 0;
  const journal = await files.open(`${paths.journal}.new`, { create: true });
  try {
    await journal.truncate(0);
    await writeFully(journal, Buffer.from(header), 0);
    let sizeBytes = header.length;
    for (const range of ranges) {
      for await (const lines of ownLines(files, paths, range)) {
        await writeFully(journal, lines, sizeBytes);
        sizeBytes += lines.length;
      }
      records += range.records;
    }
    await journal.datasync();
  } finally {
    await journal.close();
  }
  await files.rename(`${paths.journal}.new`, paths.journal);
  await files.syncDirectory(dirname(paths.journal));
  return { sessionId, records, end: ranges.at(-1)!.end };
}

/** The texts that ranges name, and originals, to the files of one session. */
async function copyTexts(
  files: Files,
  paths: SessionPaths,
  ranges: readonly BaseRange[],
): Promise<void> {
  const target = await files.open(paths.text, { create: true });
  let at = 0;
  try {
    for (const { sessionId, end } of ranges) {
      const source = siblingPaths(paths, sessionId);
      await copyOriginals(files, source.originalsDir, paths.originalsDir);
      const from = at;
      const text = await openBase(files, source.text, sessionId);
      try {
        while (at < end.bytes) {
          const piece = Buffer.allocUnsafe(Math.min(pieceMaxBytes, end.bytes - at));
          const count = await text.read(piece, at - from);
          if (count === 0)
            throw corruptStore(source.text, 'it is shorter than a branch of it needs');
          await writeFully(target, piece.subarray(0, count), at);
          at += count;
        }
      } finally {
        await text.close();
      }
    }
    await target.datasync();
  } finally {
    await target.close();
  }
}

async function copyOriginals(files: Files, from: string, to: string): Promise<void> {
  for (const name of await files.list(from)) {
    const bytes = await files.readWhole(join(from, name));
    await files.makeDirectory(to);
    if (bytes !== undefined) await files.createExclusive(join(to, name), bytes);
  }
}

/** The lines of a base's own journal that a range names, in pieces of whole lines. */
async function* ownLines(
  files: Files,
  paths: SessionPaths,
  { sessionId, records }: BaseRange,
): AsyncGenerator<Buffer> {
  const path = siblingPaths(paths, sessionId).journal;
  const log = new RecordLog(path, await openBase(files, path, sessionId));
  let left = records;
  try {
    for await (const lines of log.scanGroups()) {
      const own = lines.filter(({ lineNumber, bytes }) => lineNumber > 1 && !isBaseLine(bytes));
      const wanted = own.slice(0, left);
      left -= wanted.length;
      yield Buffer.concat(wanted.flatMap(({ bytes }) => [bytes, newline]));
      if (left === 0) return;
    }
  } finally {
    await log.close();
  }
}

const newline = Buffer.from('\n');

/** Lets a branch go on from other bases that hold the same; its own lines stay. */
export async function changeBases(
  files: Files,
  paths: SessionPaths,
  bases: readonly BaseRange[],
): Promise<void> {
  const journal = await files.readWhole(paths.journal);
  if (journal === undefined) throw corruptStore(paths.journal, 'it is not there');
  const first = journal.indexOf(newline) + 1;
  const second = journal.indexOf(newline, first) + 1;
  const line = JSON.parse(journal.toString('utf8', first, second)) as BaseRecord & { crc?: string };
  delete line.crc;
  const changed = encodeRecord({ ...line, bases });
  const whole = [journal.subarray(0, first), Buffer.from(changed), journal.subarray(second)];
  await replaceFile(files, paths.journal, Buffer.concat(whole));
  // What was known of the journal's length is of the one before.
  await files.remove(join(paths.indexDir, checkedName));
}

import { ProxyError } from '../../errors.ts';
import { EntryVerifier } from '../checks/entry-verifier.ts';
import { isErrno, type Files, type OpenFile } from '../disk/files.ts';
import { recordToEntry, type AliasRecord, type JournalRecord } from '../format.ts';
import { Originals } from '../text/originals.ts';
import { RecordLog } from '../disk/record-log.ts';
import type { SessionPaths } from '../disk/session-paths.ts';
import type { FileSessionStore } from './session-store.ts';
import { corruptStore } from '../disk/store-failure.ts';
import { pieceMaxBytes } from '../text/text-pieces.ts';
import type { Entry, NewStream, Salvage, SessionStore, SourceFile } from '../types.ts';

interface Candidate {
  readonly entry: Entry;
  readonly source: SourceFile | undefined;
}

/** A stretch of text that no readable record names. */
interface Gap {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/**
 * Copies what is sound in a damaged session to another: every entry whose record is whole and whose
 * text has the recorded hash, with the calls and files under which it came again; and text whose
 * record is gone, as entries that say so, as far as it is UTF-8. The damaged files are only read.
 * @throws ProxyError where what was copied does not read back
 */
export async function salvageSession(
  files: Files,
  paths: SessionPaths,
  target: FileSessionStore,
): Promise<Omit<Salvage, 'session'>> {
  const { candidates, aliases, lostRecords } = await readCandidates(files, paths.journal);
  const text = await openIfThere(files, paths.text);
  if (text === undefined) {
    return { kept: 0, keptAliases: 0, lostEntries: idsOf(candidates), lostRecords };
  }
  const originals = new Originals(files, paths.originalsDir);
  const lostEntries: string[] = [];
  const kept = new Set<string>();
  const bySeq = new Map<number, Entry>();
  try {
    for (const { entry, source } of candidates) {
      if (await isSound(text, entry)) {
        const copy = await target.appendStream(copyOf(text, originals, entry, source));
        kept.add(copy.id);
        bySeq.set(entry.seq, copy);
      } else lostEntries.push(entry.id);
    }
    // Where all records are there and whole, there is none.
    for (const gap of gapsOf(candidates, await text.sizeBytes())) {
      kept.add((await salvageGap(text, target, gap)).id);
    }
  } finally {
    await text.close();
  }
  const known = aliases.flatMap((alias) => {
    const entry = bySeq.get(alias.seq);
    return entry === undefined ? [] : [{ entry, alias }];
  });
  await target.appendAliases(known);
  const wrong = await target.verify();
  if (wrong.length > 0) throw corruptStore(target.textPath, `entry ${wrong[0]!.id} was not copied`);
  return { kept: kept.size, keptAliases: known.length, lostEntries, lostRecords };
}

/**
 * The entries of all records that are whole, by their place in the text, and what came again; how
 * many lines are not.
 */
async function readCandidates(
  files: Files,
  path: string,
): Promise<{
  readonly candidates: readonly Candidate[];
  readonly aliases: readonly AliasRecord[];
  readonly lostRecords: number;
}> {
  const file = await openIfThere(files, path);
  // Without a journal all of the text is one stretch that no record names.
  if (file === undefined) return { candidates: [], aliases: [], lostRecords: 1 };
  const journal = new RecordLog(path, file);
  const found = new Map<number, Candidate>();
  const aliases: AliasRecord[] = [];
  let lostRecords = 0;
  try {
    for await (const line of journal.scan()) {
      const record = line.whole ? (JSON.parse(line.bytes.toString()) as JournalRecord) : undefined;
      if (record === undefined) lostRecords += 1;
      else if (record.type === 'entry') {
        found.set(record.seq, { entry: recordToEntry(record), source: record.source });
      } else if (record.type === 'alias') aliases.push(record);
    }
  } finally {
    await journal.close();
  }
  const candidates = [...found.values()].sort((a, b) => a.entry.offsetBytes - b.entry.offsetBytes);
  return { candidates, aliases, lostRecords };
}

function copyOf(
  text: OpenFile,
  originals: Originals,
  entry: Entry,
  source: SourceFile | undefined,
): NewStream {
  const { kind, tool, args, path, chatId, toolCallId, call, timeMs, note, outline, original } =
    entry;
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
    ...(source && { source }),
    ...(original && {
      original: originals.read(original),
      originalEncoding: original.encoding,
    }),
    chunks: piecesOf(text, entry),
  };
}

async function salvageGap(text: OpenFile, target: SessionStore, gap: Gap): Promise<Entry> {
  const facts = { kind: 'message', note: 'salvaged: the record of this text was damaged' } as const;
  try {
    return await target.appendStream({ ...facts, chunks: piecesOf(text, gap) });
  } catch (error) {
    if (!(error instanceof ProxyError) || error.code !== 'invalid_request') throw error;
    return target.appendStream({
      ...facts,
      chunks: lossily(piecesOf(text, gap)),
      original: piecesOf(text, gap),
    });
  }
}

/** What lies between the entries, separators aside. */
function gapsOf(candidates: readonly Candidate[], textBytes: number): readonly Gap[] {
  const gaps: Gap[] = [];
  let at = 0;
  const addGap = (end: number) => {
    // One byte is the newline behind an entry.
    if (end - at > 1) gaps.push({ offsetBytes: at, lengthBytes: end - at });
  };
  for (const { entry } of candidates) {
    addGap(entry.offsetBytes);
    at = Math.max(at, entry.offsetBytes + entry.lengthBytes);
  }
  addGap(textBytes);
  return gaps;
}

async function isSound(text: OpenFile, entry: Entry): Promise<boolean> {
  const span = { entry, spanBytes: entry.lengthBytes };
  let found = false;
  const verifier = new EntryVerifier([span], (finding) => {
    found = finding.isSound;
  });
  for await (const piece of piecesOf(text, entry)) verifier.see(piece);
  if (entry.lengthBytes === 0) verifier.see(Buffer.alloc(0));
  return found;
}

async function* piecesOf(text: OpenFile, range: Gap): AsyncGenerator<Uint8Array> {
  const end = range.offsetBytes + range.lengthBytes;
  for (let at = range.offsetBytes; at < end; at += pieceMaxBytes) {
    const piece = Buffer.allocUnsafe(Math.min(pieceMaxBytes, end - at));
    yield piece.subarray(0, await text.read(piece, at));
  }
}

async function* lossily(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  for await (const piece of pieces) yield Buffer.from(decoder.decode(piece, { stream: true }));
  yield Buffer.from(decoder.decode());
}

async function openIfThere(files: Files, path: string): Promise<OpenFile | undefined> {
  try {
    return await files.open(path, { create: false });
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function idsOf(candidates: readonly Candidate[]): readonly string[] {
  return candidates.map(({ entry }) => entry.id);
}

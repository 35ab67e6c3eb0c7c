import { ProxyError } from '../../errors.ts';
import { EntryVerifier } from '../checks/entry-verifier.ts';
import { isErrno, type Files, type OpenFile } from '../disk/files.ts';
import { recordToEntry, type AliasRecord, type BaseRecord, type JournalRecord } from '../format.ts';
import { Originals } from '../text/originals.ts';
import { RecordLog, type LogLine } from '../disk/record-log.ts';
import { siblingPaths, type SessionPaths } from '../disk/session-paths.ts';
import { factsOf } from './journal-records.ts';
import { isBaseLine } from './replay.ts';
import type { FileSessionStore } from './session-store.ts';
import { corruptStore } from '../disk/store-failure.ts';
import { readPieces } from '../text/text-pieces.ts';
import type {
  BaseRange,
  Entry,
  Forgetting,
  NewStream,
  Salvage,
  SessionStore,
  SourceFile,
} from '../types.ts';

interface Candidate {
  readonly entry: Entry;
  readonly source: SourceFile | undefined;
}

/** A stretch of text that no readable record names. */
interface Gap {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** The files of a part of a session's texts: its own, or those of a session it goes on from. */
interface Part {
  readonly paths: SessionPaths;
  /** Where in the session's text the file begins, bytes. */
  readonly startBytes: number;
  /** How far the session reads it; of its own file there is no end. */
  readonly range?: BaseRange;
  /** Numbers of the first and, of a range, the last text in it. */
  readonly firstSeq: number;
}

/** What a salvaged text was, where it, or parts of it, were forgotten. */
export interface SalvagedGone {
  /** Its number in the new session. */
  readonly seq: number;
  readonly isWhole: boolean;
  readonly forgetting: Forgetting;
}

/** What {@link salvageSession} has copied. */
interface Copied extends Omit<Salvage, 'session'> {
  /** What is to be forgotten in the new session, as it was in the damaged one. */
  readonly gone: readonly SalvagedGone[];
}

/**
 * Copies what is sound in a damaged session to another: every entry whose record is whole and whose
 * text has the recorded hash, with the calls and files under which it came again; and text whose
 * record is gone, as entries that say so, as far as it is UTF-8. Of a branch what it reads of its
 * bases goes along, as far as that is sound. In the place of a text that was forgotten stands one
 * that says so, until it is forgotten in its turn. The damaged files are only read.
 * @throws ProxyError where what was copied does not read back
 */
export async function salvageSession(
  files: Files,
  paths: SessionPaths,
  target: FileSessionStore,
): Promise<Copied> {
  const work = new Salvaging(files, target);
  for (const part of await partsOf(files, paths)) await work.take(part);
  const wrong = await target.verify();
  if (wrong.length > 0) throw corruptStore(target.textPath, `entry ${wrong[0]!.id} was not copied`);
  return work.outcome;
}

class Salvaging {
  readonly #files: Files;
  readonly #target: FileSessionStore;
  readonly #kept = new Set<string>();
  /** By number in the damaged session. */
  readonly #copies = new Map<number, Entry>();
  readonly #gone = new Map<number, SalvagedGone>();
  readonly #lostEntries: string[] = [];
  #keptAliases = 0;
  #lostRecords = 0;

  constructor(files: Files, target: FileSessionStore) {
    this.#files = files;
    this.#target = target;
  }

  get outcome(): Copied {
    return {
      kept: this.#kept.size,
      keptAliases: this.#keptAliases,
      lostEntries: this.#lostEntries,
      lostRecords: this.#lostRecords,
      gone: [...this.#gone.values()],
    };
  }

  async take(part: Part): Promise<void> {
    const { candidates, aliases, lostRecords } = await readCandidates(this.#files, part);
    this.#lostRecords += lostRecords;
    const text = await openIfThere(this.#files, part.paths.text);
    if (text === undefined) {
      this.#lostEntries.push(...candidates.map(({ entry }) => entry.id));
      return;
    }
    try {
      await this.#takeTexts(part, { file: text, startBytes: part.startBytes }, candidates);
    } finally {
      await text.close();
    }
    const known = aliases.flatMap((alias) => {
      const entry = this.#copies.get(alias.seq);
      return entry === undefined ? [] : [{ entry, alias }];
    });
    await this.#target.appendAliases(known);
    this.#keptAliases += known.length;
  }

  async #takeTexts(part: Part, text: PartText, candidates: readonly Candidate[]): Promise<void> {
    const originals = new Originals(this.#files, part.paths.originalsDir);
    for (const { entry, source } of candidates) {
      if (!(await isSound(text, entry))) {
        this.#lostEntries.push(entry.id);
        continue;
      }
      const stream = copyOf(text, originals, entry, source);
      const gone = entry.forgotten ?? entry.masked;
      const isWhole = entry.forgotten !== undefined;
      const chunks = isWhole ? placeholder(entry) : stream.chunks;
      const copy = await this.#target.appendStream({ ...stream, chunks });
      this.#kept.add(copy.id);
      this.#copies.set(entry.seq, copy);
      if (gone !== undefined)
        this.#gone.set(copy.seq, { seq: copy.seq, isWhole, forgetting: gone });
    }
    const sizeBytes = part.startBytes + (await text.file.sizeBytes());
    const endBytes = Math.min(sizeBytes, part.range?.end.bytes ?? Infinity);
    // Where all records are there and whole, there is none.
    for (const gap of gapsOf(candidates, part.startBytes, endBytes)) {
      this.#kept.add((await salvageGap(text, this.#target, gap)).id);
    }
  }
}

/** A text file, and where in the session's text it begins. */
interface PartText {
  readonly file: OpenFile;
  readonly startBytes: number;
}

/** No two are the same, so that each is an entry of its own. */
async function* placeholder({ id }: Entry): AsyncGenerator<Uint8Array> {
  yield Buffer.from(`The text of ${id} was forgotten.\n`);
}

/** Where the texts of a session lie, the oldest first. */
async function partsOf(files: Files, paths: SessionPaths): Promise<readonly Part[]> {
  const second = await secondLine(files, paths.journal);
  if (second === undefined || !isBaseLine(second.bytes))
    return [{ paths, startBytes: 0, firstSeq: 1 }];
  if (!second.whole) return [await ownPartOnly(files, paths)];
  const { bases } = JSON.parse(second.bytes.toString()) as BaseRecord;
  let [startBytes, firstSeq] = [0, 1];
  const parts: Part[] = [];
  for (const range of bases) {
    const base = siblingPaths(paths, range.sessionId);
    parts.push({ paths: base, startBytes, firstSeq, range });
    startBytes = range.end.bytes;
    firstSeq = range.end.entries + 1;
  }
  return [...parts, { paths, startBytes, firstSeq }];
}

async function secondLine(files: Files, path: string): Promise<LogLine | undefined> {
  const file = await openIfThere(files, path);
  if (file === undefined) return undefined;
  const journal = new RecordLog(path, file);
  try {
    for await (const line of journal.scan()) if (line.lineNumber === 2) return line;
    return undefined;
  } finally {
    await journal.close();
  }
}

/**
 * Of a branch whose bases cannot be read any more: where its own file begins is known from where
 * its last text ends.
 */
async function ownPartOnly(files: Files, paths: SessionPaths): Promise<Part> {
  const whole = { paths, startBytes: 0, firstSeq: 1 };
  const { endBytes } = await readCandidates(files, whole);
  const text = await openIfThere(files, paths.text);
  try {
    const sizeBytes = (await text?.sizeBytes()) ?? 0;
    return { ...whole, startBytes: Math.max(0, endBytes - sizeBytes) };
  } finally {
    await text?.close();
  }
}

/**
 * The entries of all records that are whole, by their place in the text, and what came again; how
 * many lines are not.
 */
async function readCandidates(
  files: Files,
  { paths, range, firstSeq }: Part,
): Promise<{
  readonly candidates: readonly Candidate[];
  readonly aliases: readonly AliasRecord[];
  readonly lostRecords: number;
  /** Where the last text that is known ends in the session's text. */
  readonly endBytes: number;
}> {
  const path = paths.journal;
  const file = await openIfThere(files, path);
  // Without a journal all of the text is one stretch that no record names.
  if (file === undefined)
    return { candidates: [], aliases: [], lostRecords: range?.records ?? 1, endBytes: 0 };
  const journal = new RecordLog(path, file);
  const found = new Map<number, Candidate>();
  const aliases: AliasRecord[] = [];
  let lostRecords = 0;
  let endBytes = 0;
  let lines = 0;
  try {
    for await (const line of journal.scan()) {
      const { lineNumber, whole, bytes } = line;
      const isHead = lineNumber === 1 || (lineNumber === 2 && isBaseLine(bytes));
      if (!isHead && range !== undefined && lines === range.records) break;
      if (!isHead) lines += 1;
      const record = whole ? (JSON.parse(bytes.toString()) as JournalRecord) : undefined;
      if (record === undefined) lostRecords += 1;
      if (record === undefined || record.type === 'header' || record.type === 'base') continue;
      if (record.type === 'alias') aliases.push(record);
      else if (record.seq >= firstSeq && record.seq <= (range?.end.entries ?? Infinity)) {
        found.set(record.seq, { entry: recordToEntry(record), source: record.source });
        endBytes = Math.max(endBytes, record.end.bytes);
      }
    }
  } finally {
    await journal.close();
  }
  const candidates = [...found.values()].sort((a, b) => a.entry.offsetBytes - b.entry.offsetBytes);
  return { candidates, aliases, lostRecords, endBytes };
}

function copyOf(
  text: PartText,
  originals: Originals,
  entry: Entry,
  source: SourceFile | undefined,
): NewStream {
  const { original } = entry;
  return {
    ...factsOf(entry, source),
    ...(original && {
      original: originals.read(original),
      originalEncoding: original.encoding,
    }),
    chunks: piecesOf(text, entry),
  };
}

async function salvageGap(text: PartText, target: SessionStore, gap: Gap): Promise<Entry> {
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
function gapsOf(
  candidates: readonly Candidate[],
  startBytes: number,
  endBytes: number,
): readonly Gap[] {
  const gaps: Gap[] = [];
  let at = startBytes;
  const addGap = (end: number) => {
    // One byte is the newline behind an entry.
    if (end - at > 1) gaps.push({ offsetBytes: at, lengthBytes: end - at });
  };
  for (const { entry } of candidates) {
    addGap(entry.offsetBytes);
    at = Math.max(at, entry.offsetBytes + entry.lengthBytes);
  }
  addGap(endBytes);
  return gaps;
}

async function isSound(text: PartText, entry: Entry): Promise<boolean> {
  const span = { entry, spanBytes: entry.lengthBytes };
  let found = false;
  const verifier = new EntryVerifier([span], (finding) => {
    found = finding.isSound;
  });
  for await (const piece of piecesOf(text, entry)) verifier.see(piece);
  if (entry.lengthBytes === 0) verifier.see(Buffer.alloc(0));
  return found;
}

function piecesOf(text: PartText, { offsetBytes, lengthBytes }: Gap): AsyncIterable<Uint8Array> {
  return readPieces(text.file, offsetBytes - text.startBytes, lengthBytes);
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

import { join } from 'node:path';
import { ProxyError } from '../../errors.ts';
import type { Files } from '../disk/files.ts';
import { RecordLog, type LogLine } from '../disk/record-log.ts';
import { sessionPaths } from '../disk/session-paths.ts';
import { corruptStore } from '../disk/store-failure.ts';
import type { EntryRecord } from '../format.ts';
import { encodeForgetKeys } from '../session/forget-keys.ts';
import { isBaseLine, openBase } from '../session/replay.ts';
import { pieceMaxBytes } from '../text/text-pieces.ts';
import type { BaseRange } from '../types.ts';
import {
  encodeManifest,
  manifestName,
  membersOf,
  type ArchivedFiles,
  type ArchivedSession,
  type ArchiveMember,
  type Manifest,
} from './manifest.ts';
import type { PackedFile } from './tar-zstd.ts';

/** A store as it was when its export began. */
export interface HeldSession {
  readonly id: string;
  readonly names: readonly string[];
  readonly createdMs: number;
  readonly role: ArchivedSession['role'];
  readonly copyOf?: readonly BaseRange[] | undefined;
  readonly bases: readonly BaseRange[];
  /** Its own records, and what it held with them. */
  readonly own: BaseRange;
  /** Events that count, the first of all; 0 for a base. */
  readonly events: number;
  /** So much of what its chats remember goes along, bytes of their file; nothing for a base. */
  readonly chatsBytes?: number;
}

/** A store, and by what it is seen that its journal is still the same file. */
interface MeasuredSession {
  readonly held: HeldSession;
  readonly archived: ArchivedSession;
  readonly journalFile: string | undefined;
  /** Whether a text of it is known by the hash of what it was. */
  readonly hasHashes: boolean;
}

/** What goes into an archive: how much of which files. Only reads. */
export class ExportFiles {
  readonly #files: Files;
  readonly #dataDir: string;
  readonly #measured = new Map<string, MeasuredSession>();
  readonly #chats: Buffer;
  readonly #keys: Buffer;
  readonly manifest: Manifest;

  private constructor(
    { files, dataDir, createdMs }: ExportPlace,
    measured: readonly MeasuredSession[],
    { chats, keys }: SharedParts,
  ) {
    this.#files = files;
    this.#dataDir = dataDir;
    for (const session of measured) this.#measured.set(session.held.id, session);
    this.#chats = chats;
    // Only where they are needed: who has an archive and the key can try out what a text was.
    this.#keys = encodeForgetKeys(measured.some(({ hasHashes }) => hasHashes) ? keys : []);
    this.manifest = {
      createdMs,
      sessions: measured.map(({ archived }) => archived),
      chats: chats.length || undefined,
      keys: this.#keys.length || undefined,
    };
  }

  /**
   * Measures the stores' files.
   * @throws ProxyError `store_corrupt` where they hold less than they should
   */
  static async measure(
    place: ExportPlace,
    sessions: readonly HeldSession[],
    shared: SharedParts,
  ): Promise<ExportFiles> {
    const measured: MeasuredSession[] = [];
    for (const held of sessions) measured.push(await measure(place, held));
    return new ExportFiles(place, measured, shared);
  }

  /**
   * All members but the sums. @param onBytes Hears of every piece
   * @throws ProxyError `too_busy` where a store is not any more what was measured
   */
  async *packed(onBytes: (count: number) => void): AsyncGenerator<PackedFile> {
    const bytes = encodeManifest(this.manifest);
    yield { name: manifestName, sizeBytes: bytes.length, pieces: [bytes] };
    for (const member of membersOf(this.manifest)) {
      const { name, sizeBytes } = member;
      yield { name, sizeBytes, pieces: counted(exactly(this.#piecesOf(member), member), onBytes) };
    }
  }

  /**
   * Compares the journals with those that were measured: texts that are forgotten are overwritten,
   * and their journal is written anew. @throws ProxyError `too_busy`
   */
  checkUnchanged(): void {
    for (const { held, journalFile } of this.#measured.values()) {
      const found = journalFileOf(this.#files, this.#dataDir, held.id);
      if (found !== journalFile) throw changed(`the journal of ${held.id}`);
    }
  }

  #piecesOf(member: ArchiveMember): Pieces {
    if (member.session === undefined) return [member.kind === 'keys' ? this.#keys : this.#chats];
    const { kind, session, sizeBytes, sha256 } = member;
    const { id } = session;
    const paths = sessionPaths(this.#dataDir, id);
    const { held } = this.#measured.get(id)!;
    const upTo = { sessionId: id, sizeBytes };
    switch (kind) {
      case 'events':
        return eventLines(this.#files, paths.events, held);
      case 'chats':
        return chatLines(this.#files, paths.chats, held);
      case 'original':
        return beginningOf(this.#files, join(paths.originalsDir, sha256!), upTo);
      case 'text':
      case 'journal':
        return beginningOf(this.#files, paths[kind], upTo);
    }
  }
}

/** What goes into an archive of no store alone. */
export interface SharedParts {
  /** The member `chats.jsonl`. */
  readonly chats: Buffer;
  /** The keys of the hashes by which forgotten texts are known. */
  readonly keys: readonly Buffer[];
}

type Pieces = AsyncIterable<Buffer> | Iterable<Buffer>;

/** Where an export reads. */
interface ExportPlace {
  readonly files: Files;
  readonly dataDir: string;
  readonly createdMs: number;
}

async function measure(
  { files, dataDir }: ExportPlace,
  held: HeldSession,
): Promise<MeasuredSession> {
  const { id, names, createdMs, role, copyOf, own, bases } = held;
  const paths = sessionPaths(dataDir, id);
  const journalFile = journalFileOf(files, dataDir, id);
  const { journal, originals, hasHashes } = await measureJournal(files, paths.journal, own);
  const measured: ArchivedFiles = {
    text: own.end.bytes - (bases.at(-1)?.end.bytes ?? 0),
    journal,
    events: held.events === 0 ? undefined : await sizeOf(eventLines(files, paths.events, held)),
    chats:
      held.chatsBytes === undefined || !(await files.exists(paths.chats))
        ? undefined
        : (await sizeOf(chatLines(files, paths.chats, held))) || undefined,
    originals,
  };
  const entries = own.end.entries;
  return {
    held,
    archived: { id, names, createdMs, role, entries, copyOf, files: measured },
    journalFile,
    hasHashes,
  };
}

function journalFileOf(files: Files, dataDir: string, sessionId: string): string | undefined {
  return files.identifyNow(sessionPaths(dataDir, sessionId).journal)?.split(':')[0];
}

/** How far a journal's first records go, and the originals that they name, with their sizes. */
async function measureJournal(
  files: Files,
  path: string,
  { sessionId, records }: BaseRange,
): Promise<{
  readonly journal: number;
  readonly originals: Record<string, number>;
  readonly hasHashes: boolean;
}> {
  const originals: Record<string, number> = {};
  let left = records;
  let journal = 0;
  let hasHashes = false;
  for await (const line of linesOf(files, path, sessionId)) {
    const isHead = line.lineNumber === 1 || (line.lineNumber === 2 && isBaseLine(line.bytes));
    if (left === 0 && !isHead) break;
    journal = line.positionBytes + line.bytes.length + 1;
    if (isHead) continue;
    left -= 1;
    hasHashes ||= isGone(line.bytes);
    const original = originalIn(line.bytes);
    if (original !== undefined) originals[original.sha256] = original.sizeBytes;
  }
  if (left > 0) throw corruptStore(path, 'it holds less than was committed');
  return { journal, originals, hasHashes };
}

/** The original that an entry's line names. Most name none, and are not parsed. */
function originalIn(line: Buffer): EntryRecord['original'] {
  if (!line.includes('"original":{')) return undefined;
  return (JSON.parse(line.toString()) as EntryRecord).original;
}

/** Whether a text, or a part of it, was forgotten. */
function isGone(line: Buffer): boolean {
  return line.includes('"forgotten":{') || line.includes('"masked":{');
}

async function* linesOf(files: Files, path: string, sessionId: string): AsyncGenerator<LogLine> {
  const log = new RecordLog(path, await openBase(files, path, sessionId));
  try {
    yield* log.scan();
  } finally {
    await log.close();
  }
}

/** The header and the events that counted when the export began. */
async function* eventLines(files: Files, path: string, { id, events }: HeldSession) {
  for await (const { lineNumber, bytes } of linesOf(files, path, id)) {
    if (lineNumber > events + 1) return;
    yield Buffer.concat([bytes, newline]);
  }
}

/**
 * The header and what was remembered by then, whatever clock has said when. What is damaged is
 * forgotten, as at an opening.
 */
async function* chatLines(files: Files, path: string, { id, chatsBytes = 0 }: HeldSession) {
  for await (const { lineNumber, positionBytes, bytes, whole, ended } of linesOf(files, path, id)) {
    if (positionBytes + bytes.length + 1 > chatsBytes) return;
    if (lineNumber === 1 && !whole) return;
    if (whole && ended) yield Buffer.concat([bytes, newline]);
  }
}

const newline = Buffer.from('\n');

async function* beginningOf(
  files: Files,
  path: string,
  { sessionId, sizeBytes }: { readonly sessionId: string; readonly sizeBytes: number },
): AsyncGenerator<Buffer> {
  const file = await openBase(files, path, sessionId);
  try {
    for (let at = 0; at < sizeBytes;) {
      const piece = Buffer.allocUnsafe(Math.min(pieceMaxBytes, sizeBytes - at));
      const count = await file.read(piece, at);
      // It was whole when it was measured.
      if (count === 0) throw changed(path);
      yield piece.subarray(0, count);
      at += count;
    }
  } finally {
    await file.close();
  }
}

async function sizeOf(lines: AsyncIterable<Buffer>): Promise<number> {
  let sizeBytes = 0;
  for await (const line of lines) sizeBytes += line.length;
  return sizeBytes;
}

async function* exactly(
  pieces: Pieces,
  { name, sizeBytes }: ArchiveMember,
): AsyncGenerator<Buffer> {
  let left = sizeBytes;
  for await (const piece of pieces) {
    left -= piece.length;
    if (left < 0) break;
    yield piece;
  }
  if (left !== 0) throw changed(name);
}

async function* counted(
  pieces: AsyncIterable<Buffer>,
  onBytes: (count: number) => void,
): AsyncGenerator<Buffer> {
  for await (const piece of pieces) {
    onBytes(piece.length);
    yield piece;
  }
}

function changed(what: string): ProxyError {
  return new ProxyError(
    'too_busy',
    `${what} was written anew while it was exported: texts were forgotten, or chats tidied up. Nothing of the archive can be used.`,
    { hint: 'Export again.' },
  );
}

import { setImmediate } from 'node:timers/promises';
import { ProxyError } from '../../errors.ts';
import { isErrno, type Files } from '../disk/files.ts';
import { lostPagesAt, RecordLog, type LogLine } from '../disk/record-log.ts';
import { siblingPaths, type SessionPaths } from '../disk/session-paths.ts';
import { corruptStore } from '../disk/store-failure.ts';
import {
  headerFault,
  recordToEntry,
  type AliasRecord,
  type BaseRecord,
  type EntryRecord,
  type HeaderRecord,
  type JournalRecord,
} from '../format.ts';
import { EntryIndex } from '../text/entry-index.ts';
import type { BaseRange, BranchStart, Entry } from '../types.ts';

/** `format` in the journal's header. */
export const journalFormat = 'rlm-opencode-entries';

/** What a session held at a moment. */
export interface Past {
  readonly index: EntryIndex;
  /** The beginnings of journals that hold it, the oldest first. */
  readonly ranges: readonly BaseRange[];
  /** When the last of it was stored; when the session was made where it held nothing. */
  readonly timeMs: number;
  /** What the session's journal says of itself. */
  readonly head: JournalHead;
}

/** What a journal says of itself. */
export interface JournalHead {
  readonly createdMs: number;
  /** What it begins with, where it is a branch's. */
  readonly bases: readonly BaseRange[];
}

/**
 * Fills `index` from a session's journal and those of its bases; what is wrong, where that shows.
 * `log` is the session's own, which the caller owns. @throws ProxyError `store_corrupt`,
 * `store_newer`
 */
export async function replayJournal(
  files: Files,
  { paths, sessionId }: { readonly paths: SessionPaths; readonly sessionId: string },
  log: RecordLog,
  index: EntryIndex,
): Promise<JournalHead> {
  const { head, replay } = await replayUntil(files, { paths, sessionId }, log, index);
  replay.end();
  return head;
}

/**
 * What a session held, from the files, when it had so many lines, of which some may be its bases'.
 * @param options.records All that there are where it is absent
 * @param options.known Entries that are known, so that they need not be made again
 * @throws ProxyError as {@link replayJournal}
 */
export async function replayPast(
  files: Files,
  of: { readonly paths: SessionPaths; readonly sessionId: string },
  {
    records = Infinity,
    known,
  }: { readonly records?: number; readonly known?: readonly Entry[] } = {},
): Promise<Past> {
  const index = new EntryIndex();
  const path = of.paths.journal;
  const log = new RecordLog(path, await files.open(path, { create: false }));
  try {
    return await replayUntil(files, of, log, index, { records, known });
  } finally {
    await log.close();
  }
}

/** When a line was committed: a text that came with a time of its own says so apart. */
function storedMs(record: EntryRecord | AliasRecord): number {
  return record.type === 'entry' ? (record.storedMs ?? record.timeMs) : record.timeMs;
}

/** Bases do not hold what a branch was made from. */
class OtherBases extends ProxyError {}

function otherBases(path: string, fault: string): OtherBases {
  const { code, message, parts } = corruptStore(path, fault);
  return new OtherBases(code, message, parts);
}

/** Whether that is why a branch cannot be read: its own files may be sound. */
export function isOtherBases(error: unknown): error is ProxyError {
  return error instanceof OtherBases;
}

/** How many lines beginnings of journals have in all. */
export function recordsIn(ranges: readonly BaseRange[]): number {
  return ranges.reduce((sum, { records }) => sum + records, 0);
}

/** @throws ProxyError `store_corrupt` where a session does not hold what was written down of it */
export function checkRanges(
  path: string,
  ranges: readonly BaseRange[],
  { records, totals }: Pick<EntryIndex, 'records' | 'totals'>,
): void {
  const bytes = ranges.at(-1)?.end.bytes ?? 0;
  if (records === recordsIn(ranges) && totals.bytes === bytes) return;
  throw otherBases(path, 'it does not hold what was written down of it');
}

/** @throws ProxyError `store_corrupt` where bases hold other texts than a branch was made from */
export function checkUntil(
  path: string,
  { untilMs }: Pick<BranchStart, 'untilMs'>,
  index: EntryIndex,
): void {
  if (untilMs === undefined || untilMs === index.untilMs) return;
  throw otherBases(path, 'what it goes on from is not what it was');
}

/** Where a replay ends, and what it need not make. */
interface ReplayLimits {
  /** So many lines, those of bases with them. */
  readonly records: number;
  readonly known?: readonly Entry[] | undefined;
}

const noLimits: ReplayLimits = { records: Infinity };

async function replayUntil(
  files: Files,
  { paths, sessionId }: { readonly paths: SessionPaths; readonly sessionId: string },
  log: RecordLog,
  index: EntryIndex,
  limits: ReplayLimits = noLimits,
): Promise<Past & { readonly replay: JournalReplay }> {
  let createdMs: number | undefined;
  let bases: readonly BaseRange[] = [];
  const ranges: BaseRange[] = [];
  const replay = new JournalReplay(log, index, limits);
  let timeMs = 0;
  let before = 0;
  for await (const lines of log.scanGroups()) {
    for (const line of lines) {
      if (!line.ended) {
        const fault = `line ${line.lineNumber}, its last, has no newline but another byte behind it`;
        throw corruptStore(log.path, fault);
      }
      if (createdMs === undefined) {
        createdMs = headerTime(log.path, line, sessionId);
        timeMs = createdMs;
      } else if (line.lineNumber === 2 && line.whole && isBaseLine(line.bytes)) {
        const record = JSON.parse(line.bytes.toString()) as BaseRecord;
        ({ bases } = record);
        for (const base of bases) {
          const past = await replayBase(files, paths, base, index, limits);
          timeMs = past.timeMs;
          ranges.push(...past.ranges);
          if (past.isEnded) return { index, ranges, timeMs, head: { createdMs, bases }, replay };
        }
        checkUntil(log.path, record, index);
        before = index.records;
      } else replay.add(line);
      if (replay.isEnded) break;
    }
    if (replay.isEnded) break;
    // A read from memory may come back within the same turn.
    await setImmediate();
  }
  if (createdMs === undefined) throw corruptStore(log.path, 'its header is missing');
  const records = index.records - before;
  if (records > 0) ranges.push({ sessionId, records, end: index.totals });
  return { index, ranges, timeMs: replay.timeMs ?? timeMs, head: { createdMs, bases }, replay };
}

/** Replays the beginning of a base's own journal. */
async function replayBase(
  files: Files,
  paths: SessionPaths,
  { sessionId, records, end }: BaseRange,
  index: EntryIndex,
  limits: ReplayLimits = noLimits,
): Promise<Pick<Past, 'ranges' | 'timeMs'> & { readonly isEnded: boolean }> {
  const path = siblingPaths(paths, sessionId).journal;
  const log = new RecordLog(path, await openBase(files, path, sessionId));
  const replay = new JournalReplay(log, index, limits);
  const before = index.records;
  let createdMs = 0;
  try {
    for await (const lines of log.scanGroups()) {
      for (const line of lines) {
        if (line.lineNumber === 1) createdMs = headerTime(path, line, sessionId);
        else if (line.lineNumber > 2 || !isBaseLine(line.bytes)) replay.add(line);
        if (replay.isEnded || index.records - before === records) break;
      }
      if (replay.isEnded || index.records - before === records) break;
      await setImmediate();
    }
  } finally {
    await log.close();
  }
  const replayed = index.records - before;
  const isWhole = replayed === records && index.totals.bytes === end.bytes;
  if (!replay.isEnded && !isWhole) {
    throw otherBases(path, 'it holds less than a branch of it was made from');
  }
  const ranges = replayed === 0 ? [] : [{ sessionId, records: replayed, end: index.totals }];
  return { ranges, timeMs: replay.timeMs ?? createdMs, isEnded: replay.isEnded };
}

/** Opens a file of a base. @throws ProxyError `store_corrupt` where it is not there */
export async function openBase(
  files: Files,
  path: string,
  sessionId: string,
): ReturnType<Files['open']> {
  try {
    return await files.open(path, { create: false });
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
    throw corruptStore(path, `it is not there, though a branch of ${sessionId} needs it`);
  }
}

function headerTime(path: string, line: LogLine, sessionId: string): number {
  const fault = headerFault(line.bytes, journalFormat, sessionId);
  if (fault !== undefined) throw corruptStore(path, fault);
  return (JSON.parse(line.bytes.toString()) as HeaderRecord).createdMs;
}

/** Whether a line of a journal is the one that names a branch's bases. */
export function isBaseLine(bytes: Buffer): boolean {
  return bytes.toString('latin1', 0, 15) === '{"type":"base",';
}

/** Takes a journal's lines behind its head in order. */
class JournalReplay {
  readonly #journal: RecordLog;
  readonly #index: EntryIndex;
  readonly #limits: ReplayLimits;
  #isEnded = false;
  /** When the commit of the last sound line was made. */
  #timeMs: number | undefined;
  /**
   * Where an append that never ended has lost pages; `timeMs` is the time of its commit, as far as
   * it is known.
   */
  #torn:
    | { readonly fault: ProxyError; readonly positionBytes: number; timeMs?: number }
    | undefined;

  constructor(journal: RecordLog, index: EntryIndex, limits: ReplayLimits) {
    this.#journal = journal;
    this.#index = index;
    this.#limits = limits;
  }

  /** Whether a line was met that is beyond what is wanted. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** When the last of it was committed. */
  get timeMs(): number | undefined {
    return this.#timeMs;
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
    if (record.type !== 'entry' && record.type !== 'alias') {
      throw corruptStore(path, `${place}, is a ${record.type} record in the wrong place`);
    }
    if (this.#torn !== undefined) {
      // The lines of one commit bear one time. One of another commit shows that the append had
      // ended: then it is damage.
      const { fault, timeMs = storedMs(record) } = this.#torn;
      if (storedMs(record) !== timeMs) throw fault;
      this.#torn.timeMs = timeMs;
      return;
    }
    if (this.#index.records >= this.#limits.records) {
      this.#isEnded = true;
      return;
    }
    this.#timeMs = storedMs(record);
    if (record.type === 'entry') replayEntry(path, place, record, this.#index, this.#limits.known);
    else replayAlias(path, place, record, this.#index);
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

function replayEntry(
  path: string,
  place: string,
  record: EntryRecord,
  index: EntryIndex,
  known?: readonly Entry[],
): void {
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
  index.add(known?.[record.seq - 1] ?? recordToEntry(record), record.source, record.end);
}

function replayAlias(path: string, place: string, record: AliasRecord, index: EntryIndex): void {
  const entry = index.entries[record.seq - 1];
  if (entry === undefined) throw corruptStore(path, `${place}, names entry e${record.seq}`);
  index.addAlias(entry, record);
}

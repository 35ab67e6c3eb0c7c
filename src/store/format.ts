/**
 * The on-disk format, version 2. Truth is in two files per session; everything else can be made
 * again from them.
 *
 * `sess_<id>_context.txt`: the texts, UTF-8, one behind the other, never changed. A text that does
 * not end in a newline is followed by one that belongs to no entry, so the committed text is empty
 * or ends in a newline.
 *
 * A branch begins with what other sessions, its bases, held at a moment: its text is theirs up to
 * there, read from their files, and then its own file. Offsets and lines are those of the whole.
 *
 * `sess_<id>_entries.jsonl`: the journal, the commit record. One JSON object a line, each ending in
 * the member `"crc":"xxxxxxxx"`: CRC-32 (the one of zlib) in lower-case hexadecimal of the line's
 * bytes before `,"crc"`. A line is
 *   header  {"type":"header","format":"rlm-opencode-entries","version":1,"sessionId":...,
 *            "createdMs":...}; the first line
 *   base    {"type":"base","bases":[{"sessionId":...,"records":N,"end":Totals},...],"timeMs":...,
 *            "untilMs"?:...,"end":Totals}; the second line of a branch (version 2), and only there
 *   entry   {"type":"entry","seq":N,...the members of Entry but id...,"source"?,"end":Totals};
 *            N = 1, 2, 3, ...
 *   alias   {"type":"alias","seq":N,"toolCallId"?,"chatId"?,"call"?,"again"?,"path"?,"source"?,
 *            "standIn"?,"timeMs":...,"end":Totals}
 * `forgotten` of an entry ({"timeMs":...,"why":...,"key"?:...}) says that its text is gone: the
 * line keeps its place and its sizes, `sha256` is empty, and what stands in the text file counts
 * for nothing. `masked` likewise: parts of the text are gone, others stand in their place, and
 * `sha256` is that of what stands there now. `key` is the keyed hash (HMAC-SHA-256 with the key in
 * `mappings/forget.key`, or that of another machine) of what the text was. `outline` of an entry
 * ({"kind":...,"items":[...]}) is what a stub says of its text. It is written with the text or
 * never: a stub is the same for ever, so an entry without one stays without one. `again` (true)
 * likewise: under this call the text is shown as one that had come before. `standIn` is the
 * name under which a prompt has shown the text before it was stored.
 *
 * `end` is the session's totals once the line is committed. An alias says that text N came again,
 * under another tool call or from another file. `source` ({sizeBytes, mtimeMs}) is the file as it
 * was read, so that an unchanged one is not read again.
 *
 * Order of one commit: texts, sync, journal lines, sync. So after a crash at any byte
 *   - text behind `end.bytes` of the last line was never committed: cut;
 *   - bytes behind the journal's last newline are a torn tail, never committed: cut;
 *   - pages of the last append that never came are zeros (see `lostPagesAt`); with lines of no
 *     other commit behind them: cut from the
 *     line on that they are in;
 *   - anything else (a whole line with a wrong CRC, a record with another byte in its newline's
 *     place, a missing seq, a gap between entries, text shorter than `end.bytes`) is
 *     not the work of a crash but damage: `store_corrupt`, and nothing is changed.
 *
 * `sess_<id>_chats.jsonl`: the chat memory; the same line form,
 * `{"k":key,"t":timeMs,"v":value,"crc":...}` behind a header of format `rlm-opencode-chats`. The
 * newest line of a key wins. It may forget, so damaged lines are dropped, not refused.
 *
 * `sess_<id>_events.jsonl`: what people have decided about the store as a whole, oldest first; made
 * with its first event. The same line form behind a header of format `rlm-opencode-events`; a line
 * is
 *   link    {"type":"link","timeMs":...,"sessionId":...,"as":...,"directory"?}: from here on the
 *           store reads the other one, too, under the name `as`
 *   unlink  {"type":"unlink","timeMs":...,"as":...}: no more
 *   pin     {"type":"pin","timeMs":...,"whole":[N,...]}: these texts do not go to make room
 *   unpin   {"type":"unpin","timeMs":...,"whole":[N,...]}: no more
 * It is truth: one event is one append with one sync. What a crash can leave is cut as in the
 * journal, everything else is damage (`store_corrupt`); a type that this program does not know was
 * written by a newer one, and the store is not opened: what it asks for cannot be kept.
 *
 * `mappings/freeing.json`: the sessions whose gone texts still take room in their files. Of such a
 * one a copy may be being made, `sess_<id>_context.txt.new`; it is worth nothing after a crash.
 *
 * `sess_<id>_originals/<sha256>`: the bytes as they came, of texts that are no valid UTF-8 (see
 * `Entry.original`).
 *
 * `sess_<id>_incoming/`: large texts on their way in. `part-<n>` is being written and belongs to
 * nobody after a crash. A file named by its text's key (SHA-256, or `<encoding>_<SHA-256>` of the
 * original) is whole and synced; where an entry has that key, its place in the text file may not be
 * filled yet, nor be there at all: it is filled from this file, which is then removed. Where none
 * has, the text was never committed.
 *
 * `sess_<id>_index/blocks.bin`: a cache of the block table (see `block-cache.ts`).
 *
 * `sess_<id>_index/checked.json`: what was known when the session was closed (see
 * `checked-record.ts`): which file was compared when, and how far the journal went. A journal that
 * is shorter has lost its end: damage, too.
 */
import { crc32 } from 'node:zlib';
import { ProxyError } from '../errors.ts';
import type { BaseRange, Entry, SourceFile, Totals } from './types.ts';

/** The journal's first line. */
export interface HeaderRecord {
  readonly type: 'header';
  readonly format: string;
  readonly version: number;
  readonly sessionId: string;
  readonly createdMs: number;
}

/** A committed text. */
export interface EntryRecord extends Omit<Entry, 'id'> {
  readonly type: 'entry';
  readonly source?: SourceFile;
  readonly end: Totals;
}

/** A committed text that came again. */
export interface AliasRecord {
  readonly type: 'alias';
  readonly seq: number;
  readonly toolCallId?: string;
  /** The chat in which it came again; absent in records of earlier versions. */
  readonly chatId?: string;
  readonly call?: string;
  /** See `StoredOutput.isAgain`; absent in records of earlier versions. */
  readonly again?: true;
  readonly path?: string;
  readonly source?: SourceFile;
  /** See `NewEntryFacts.standIn`. */
  readonly standIn?: string;
  readonly timeMs: number;
  readonly end: Totals;
}

/**
 * What a branch begins with: all that its bases held at a moment, the oldest first. Its own texts
 * follow behind the last one's end; what a base was given later is none of it.
 */
export interface BaseRecord {
  readonly type: 'base';
  readonly bases: readonly BaseRange[];
  readonly timeMs: number;
  /**
   * When the last of what the bases held was stored: other lines in its place, as many and as
   * long, are of another time. Absent in what earlier versions wrote.
   */
  readonly untilMs?: number;
  readonly end: Totals;
}

/** A line of the journal. */
export type JournalRecord = HeaderRecord | BaseRecord | EntryRecord | AliasRecord;

/**
 * What is written where nothing in the file needs {@link newestVersion}: older programs read it.
 */
const plainVersion = 1;
/** The newest version this program reads; it writes it where there are lines that it brought. */
export const newestVersion = 2;

const crcOpening = ',"crc":"';
/** Bytes of `,"crc":"xxxxxxxx"}`. */
const crcTailBytes = crcOpening.length + 10;

/** A record as a line with its CRC and newline. `record` must have at least one member. */
export function encodeRecord(record: object): string {
  const open = JSON.stringify(record).slice(0, -1);
  return `${open}${crcOpening}${crcHex(open)}"}\n`;
}

/** Whether a line (without its newline) is whole: its CRC stands at its end and is right. */
export function isWholeRecord(line: Buffer): boolean {
  const open = line.length - crcTailBytes;
  if (open <= 0) return false;
  const tail = line.toString('latin1', open);
  return tail === `${crcOpening}${crcHex(line.subarray(0, open))}"}`;
}

/** The header line of a session's journal or of a log beside it. */
export function encodeHeader(
  format: string,
  sessionId: string,
  createdMs: number,
  version = plainVersion,
): string {
  const header: HeaderRecord = {
    type: 'header',
    format,
    version,
    sessionId,
    createdMs,
  };
  return encodeRecord(header);
}

/**
 * What is wrong with a file's first line, if it is no header of this program, of the same format
 * and session. @throws ProxyError `store_newer` for one that a newer program has written
 */
export function headerFault(line: Buffer, format: string, sessionId: string): string | undefined {
  if (!isWholeRecord(line)) return 'its first line is no header of ours';
  const header = JSON.parse(line.toString()) as HeaderRecord;
  if (header.format !== format) return `it holds ${header.format}, not ${format}`;
  if (header.version > newestVersion) {
    const versions = `format ${header.version}, this program reads formats up to ${newestVersion}`;
    throw newerStore(`it has ${versions}`);
  }
  if (header.sessionId !== sessionId) return `it belongs to session ${header.sessionId}`;
  return undefined;
}

/** Refuses what a newer program has written. @param what How that shows */
export function newerStore(what: string): ProxyError {
  return new ProxyError(
    'store_newer',
    `This store was written by a newer version of rlm-opencode (${what}). Nothing in it was changed.`,
    { hint: 'Install the newer version, or choose another place with RLM_DATA_DIR.' },
  );
}

/** The journal's line for an entry. */
export function encodeEntry(entry: Entry, source: SourceFile | undefined, end: Totals): string {
  // What is undefined is not written; taking members out of an object costs more than all the rest.
  return encodeRecord({ type: 'entry', ...entry, id: undefined, source, end });
}

type OptionalMember = {
  [Name in keyof Entry]-?: object extends Pick<Entry, Name> ? Name : never;
}[keyof Entry];

/** All of them: the type sees to it that a new one is not forgotten. */
const isOptionalMember: Readonly<Record<OptionalMember, true>> = {
  storedMs: true,
  tool: true,
  args: true,
  call: true,
  path: true,
  chatId: true,
  toolCallId: true,
  note: true,
  outline: true,
  original: true,
  forgotten: true,
  masked: true,
  standIn: true,
};
const optionalMembers = Object.keys(isOptionalMember) as readonly OptionalMember[];

/**
 * The entry of a journal line. Made member by member, all in one order: opening a store makes tens
 * of thousands, and taking members out of the parsed line costs more than parsing it.
 */
export function recordToEntry(record: EntryRecord): Entry {
  const entry: Omit<Entry, OptionalMember> = {
    id: entryId(record.seq),
    seq: record.seq,
    kind: record.kind,
    timeMs: record.timeMs,
    offsetBytes: record.offsetBytes,
    lengthBytes: record.lengthBytes,
    offsetChars: record.offsetChars,
    lengthChars: record.lengthChars,
    lineNumber: record.lineNumber,
    lineCount: record.lineCount,
    sha256: record.sha256,
  };
  for (const name of optionalMembers)
    if (record[name] !== undefined) (entry as Record<string, unknown>)[name] = record[name];
  return entry;
}

/** `e42` for 42. */
export function entryId(seq: number): string {
  return `e${seq}`;
}

/**
 * Whether a text needs the newline that belongs to no entry behind it. `lastByte` is undefined for
 * an empty text.
 */
export function needsSeparator(lastByte: number | undefined): boolean {
  return lastByte !== 0x0a;
}

function crcHex(bytes: string | Uint8Array): string {
  return crc32(bytes).toString(16).padStart(8, '0');
}

import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { mask } from '../../base/text-spans.ts';
import { replaceFile, writeFully, type Files, type OpenFile } from '../disk/files.ts';
import { RecordLog } from '../disk/record-log.ts';
import { checkedName } from '../disk/checked-record.ts';
import { sessionPaths, siblingPaths, type SessionPaths } from '../disk/session-paths.ts';
import { corruptStore } from '../disk/store-failure.ts';
import {
  encodeHeader,
  encodeRecord,
  isWholeRecord,
  newestVersion,
  type AliasRecord,
  type EntryRecord,
  type JournalRecord,
} from '../format.ts';
import type { EntryIndex } from '../text/entry-index.ts';
import { contentKey, keyedHash, pieceMaxBytes, readPieces } from '../text/text-pieces.ts';
import type { Entry, Forgetting, MadeParts } from '../types.ts';
import type { SecretGuard } from '../../secrets/guard.ts';
import { rewriteChats, turnKeyPrefix } from './chat-memory.ts';
import { Passages } from './passages.ts';
import { isBaseLine, journalFormat, replayPast } from './replay.ts';

/** What is to be forgotten of the texts in one session's own files. */
export interface ForgetOrder {
  readonly sessionId: string;
  /** The sessions that read these files, too. */
  readonly readers: readonly string[];
  /** Texts that go whole, by number, ascending. */
  readonly whole: readonly ForgetEntry[];
  /** Texts of which parts go. */
  readonly parts: readonly (ForgetEntry & {
    /** Bytes [start, end) of the text, ascending and disjoint, at borders of code points. */
    readonly ranges: readonly (readonly [number, number])[];
  })[];
  /** Texts of which something is masked in what is said of their calls, by number. */
  readonly calls?: readonly number[];
  /** Whether records of chats in which a secret stands go, too. */
  readonly secretsInChats?: true;
  /** What the readers have made from it is of orders of their own. */
  readonly isOwnOnly?: true;
  /** What was made here from texts of others. */
  readonly made?: Pick<MadeParts, 'keys' | 'lines'>;
  readonly timeMs: number;
  readonly why: Forgetting['why'];
}

/** One text of an order. */
export interface ForgetEntry {
  readonly seq: number;
  /** See {@link Forgetting.key}. */
  readonly key?: string;
}

/** What was made from texts and goes with them. */
export interface MadeFrom {
  /** Hidden steps and other records of chats. */
  readonly chatRecords: number;
  /** Lines of journals about other texts: what they say of a call quotes them. */
  readonly quotes: number;
}

/**
 * What goes for want of room is no secret: nothing is overwritten (`space-freer.ts` gives the room
 * back), and what chats quote of it stays.
 */
export function isForRoom({ why }: Pick<ForgetOrder, 'why'>): boolean {
  return why === 'quota' || why === 'age';
}

/**
 * Forgets: overwrites texts, takes what is known of them out of the journal, what was made from
 * them out of the memories of chats, and removes caches and originals. Everything may be done again
 * after a crash at any point of it. The sessions' files must be closed.
 * @throws The file system's errors
 */
export async function carryOut(
  files: Files,
  paths: SessionPaths,
  order: ForgetOrder,
): Promise<MadeFrom> {
  const { sessionId, readers } = order;
  const everyone = [sessionId, ...readers].map((id) => ({ id, paths: siblingPaths(paths, id) }));
  const makers = order.isOwnOnly === true ? everyone.slice(0, 1) : everyone;
  return withText(files, paths, order, async (text, place) => {
    let chatRecords = 0;
    let quotes = 0;
    // While the text is still there: what was made from it is known by it.
    const made = isForRoom(order) ? undefined : await findMade(text, place);
    if (made !== undefined) {
      quotes = await countQuotes(files, makers, { order, made });
      for (const each of makers) chatRecords += await forgetInChats(files, each, made);
      await overwrite(text, place);
    }
    await removeOriginals(files, paths, place);
    for (const each of everyone) await files.remove(each.paths.indexDir);
    const changed = await changedEntries(text, place);
    const calls = { seqs: new Set(order.calls), guard: await secretGuard() };
    const bare = new Set(order.made?.lines);
    const change = { changed, calls, bare, ...(made && { isMade: made }) };
    await rewriteJournal(files, paths, sessionId, change);
    for (const { id, paths: theirs } of made === undefined ? [] : makers.slice(1)) {
      await rewriteJournal(files, theirs, id, { changed: new Map(), isMade: made! });
    }
    return { chatRecords, quotes };
  });
}

/** Opens an order's text, and says what lies where in it. */
async function withText<T>(
  files: Files,
  paths: SessionPaths,
  order: ForgetOrder,
  work: (text: OpenFile, place: Place) => Promise<T>,
): Promise<T> {
  const of = { paths, sessionId: order.sessionId };
  const { index, head } = await replayPast(files, of);
  const text = await files.open(paths.text, { create: false });
  try {
    return await work(text, { order, index, ownStart: head.bases.at(-1)?.end.bytes ?? 0 });
  } finally {
    await text.close();
  }
}

/** How much was made from texts, without touching anything. */
export async function countMade(
  files: Files,
  paths: SessionPaths,
  order: ForgetOrder,
): Promise<MadeFrom> {
  const { sessionId, readers } = order;
  if (isForRoom(order)) return { chatRecords: 0, quotes: 0 };
  return withText(files, paths, order, async (text, place) => {
    const made = await findMade(text, place);
    let chatRecords = 0;
    const everyone = [sessionId, ...readers].map((id) => ({ id, paths: siblingPaths(paths, id) }));
    for (const { id, paths: theirs } of everyone)
      chatRecords += await rewriteChats(files, theirs.chats, made, {
        isTrial: true,
        sessionId: id,
      });
    return { chatRecords, quotes: await countQuotes(files, everyone, { order, made }) };
  });
}

/** Lines of sessions' journals that quote what is to go, the session's own of an order first. */
async function countQuotes(
  files: Files,
  [own, ...others]: readonly { readonly paths: SessionPaths }[],
  { order, made }: { readonly order: ForgetOrder; readonly made: IsMade },
): Promise<number> {
  const ordered = new Set([...order.whole, ...order.parts].map(({ seq }) => seq));
  const lines = own === undefined ? [] : await quotingLines(files, own.paths, made, ordered);
  let count = new Set([...lines, ...(order.made?.lines ?? [])]).size;
  for (const { paths } of others) count += (await quotingLines(files, paths, made)).length;
  return count;
}

/** The lines of a journal that quote what is to go, counted from 0, but those of these entries. */
async function quotingLines(
  files: Files,
  { journal }: SessionPaths,
  made: IsMade,
  except: ReadonlySet<number> = new Set(),
): Promise<readonly number[]> {
  const lines: number[] = [];
  let number = -1;
  const log = new RecordLog(journal, await files.open(journal, { create: false }));
  try {
    for await (const { bytes, lineNumber } of log.scan()) {
      if (lineNumber === 1 || isBaseLine(bytes)) continue;
      number += 1;
      const record = JSON.parse(bytes.toString()) as JournalRecord;
      if ('seq' in record && !except.has(record.seq) && quotesIn(record, made).length > 0)
        lines.push(number);
    }
  } finally {
    await log.close();
  }
  return lines;
}

/** What each reader of an order's text has made from it. */
export async function madeByReaders(
  files: Files,
  paths: SessionPaths,
  order: ForgetOrder,
): Promise<ReadonlyMap<string, Pick<MadeParts, 'keys' | 'lines'>>> {
  return withText(files, paths, order, async (text, place) => {
    const made = await findMade(text, place);
    const found = new Map<string, Pick<MadeParts, 'keys' | 'lines'>>();
    for (const id of order.readers) {
      const theirs = siblingPaths(paths, id);
      const keys = new Set<string>();
      const note: IsMade = (key, value) => {
        const isGone = made(key, value);
        if (isGone) keys.add(key);
        return isGone;
      };
      await rewriteChats(files, theirs.chats, note, { isTrial: true, sessionId: id });
      const lines = await quotingLines(files, theirs, made);
      found.set(id, { keys: [...keys], lines });
    }
    return found;
  });
}

interface Place {
  readonly order: ForgetOrder;
  readonly index: EntryIndex;
  /** Where in the session's text its own file begins, bytes. */
  readonly ownStart: number;
}

/** Tells of a record of a chat memory whether it was made from what is to go. */
type IsMade = (key: string, value: unknown) => boolean;

async function findMade(text: OpenFile, place: Place): Promise<IsMade> {
  const ids = new Set(place.order.whole.map(({ seq }) => `e${seq}`));
  const passages = await passagesIn(text, place);
  const guard = place.order.secretsInChats === true ? await secretGuard() : undefined;
  const keys = new Set(place.order.made?.keys);
  return (key, value) => {
    if (key !== '' && keys.has(key)) return true;
    if (key !== '' && guard !== undefined && guard.value(value) !== value) return true;
    if (!passages.isEmpty && passages.isIn(value)) return true;
    return ids.size > 0 && key.startsWith(turnKeyPrefix) && namesOne(JSON.stringify(value), ids);
  };
}

/** What finds secrets; it is loaded with the first one who asks. */
async function secretGuard(): Promise<SecretGuard> {
  const { SecretGuard: Guard } = await import('../../secrets/guard.ts');
  const guard = new Guard('mask');
  await guard.load();
  return guard;
}

/** By what quotes of the texts of an order are known. */
async function passagesIn(text: OpenFile, { order, index, ownStart }: Place): Promise<Passages> {
  const wholes = entriesOf(order.whole, index);
  const passages = new Passages(wholes.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0));
  const add = async (startBytes: number, lengthBytes: number): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const piece of readPieces(text, startBytes - ownStart, lengthBytes)) {
      await passages.add(decoder.decode(piece, { stream: true }));
    }
    await passages.add(decoder.decode());
    passages.end();
  };
  for (const entry of wholes) await add(entry.offsetBytes, entry.lengthBytes);
  for (const { seq, ranges } of order.parts) {
    const { offsetBytes } = index.entries[seq - 1]!;
    for (const [start, end] of ranges) await add(offsetBytes + start, end - start);
  }
  return passages;
}

/** The same from the files of the order's session. */
export async function passagesOf(
  files: Files,
  paths: SessionPaths,
  order: ForgetOrder,
): Promise<Passages> {
  return withText(files, paths, order, passagesIn);
}

function namesOne(text: string, ids: ReadonlySet<string>): boolean {
  for (const [id] of text.matchAll(/\be\d+\b/g)) if (ids.has(id)) return true;
  return false;
}

async function forgetInChats(
  files: Files,
  { id, paths }: { readonly id: string; readonly paths: SessionPaths },
  isMade: IsMade,
): Promise<number> {
  for (const suffix of ['.damaged', '.new']) await files.remove(`${paths.chats}${suffix}`);
  return rewriteChats(files, paths.chats, isMade, { isTrial: false, sessionId: id });
}

/** Puts blanks in the place of whole texts, and marks in that of parts. */
async function overwrite(text: OpenFile, { order, index, ownStart }: Place): Promise<void> {
  const blanks = Buffer.alloc(pieceMaxBytes, 0x20);
  for (const { offsetBytes, lengthBytes } of entriesOf(order.whole, index)) {
    for (let at = 0; at < lengthBytes; at += blanks.length) {
      const piece = blanks.subarray(0, Math.min(blanks.length, lengthBytes - at));
      await writeFully(text, piece, offsetBytes + at - ownStart);
    }
  }
  for (const { seq, ranges } of order.parts) {
    const { offsetBytes } = index.entries[seq - 1]!;
    for (const [start, end] of ranges) {
      const bytes = Buffer.alloc(end - start);
      await text.read(bytes, offsetBytes + start - ownStart);
      mask(bytes);
      await writeFully(text, bytes, offsetBytes + start - ownStart);
    }
  }
  await text.datasync();
}

async function removeOriginals(
  files: Files,
  paths: SessionPaths,
  { order, index }: Place,
): Promise<void> {
  for (const entry of entriesOf([...order.whole, ...order.parts], index)) {
    const { original, sha256 } = entry;
    if (original !== undefined) await files.remove(join(paths.originalsDir, original.sha256));
    if (sha256 === '') continue;
    await files.remove(join(paths.incomingDir, contentKey(sha256, original).replace(':', '_')));
  }
}

/** The entries as the journal is to have them. */
async function changedEntries(
  text: OpenFile,
  { order, index, ownStart }: Place,
): Promise<ReadonlyMap<number, (record: EntryRecord) => EntryRecord>> {
  const { timeMs, why } = order;
  const changed = new Map<number, (record: EntryRecord) => EntryRecord>();
  for (const { seq, key } of order.whole) {
    const forgotten = { timeMs, why, ...(key === undefined ? {} : { key }) };
    changed.set(seq, (record) => tombstone(record, forgotten));
  }
  for (const { seq, key } of order.parts) {
    const { offsetBytes, lengthBytes } = index.entries[seq - 1]!;
    const digest = createHash('sha256');
    for await (const piece of readPieces(text, offsetBytes - ownStart, lengthBytes)) {
      digest.update(piece);
    }
    const sha256 = digest.digest('hex');
    const masked = { timeMs, why, ...(key === undefined ? {} : { key }) };
    changed.set(seq, (record) => maskedEntry(record, sha256, masked));
  }
  return changed;
}

/** What stays of a text that is gone: where it lay, how much it was, for which call it came. */
function tombstone(record: EntryRecord, forgotten: Forgetting): EntryRecord {
  const { type, seq, kind, tool, chatId, toolCallId, timeMs, storedMs, end } = record;
  const { offsetBytes, lengthBytes, offsetChars, lengthChars, lineNumber, lineCount } = record;
  const place = { offsetBytes, lengthBytes, offsetChars, lengthChars, lineNumber, lineCount };
  const facts = { tool, chatId, toolCallId, timeMs, ...place };
  const rest = { kind, ...facts, sha256: '', ...(storedMs === undefined ? {} : { storedMs }) };
  return withoutUndefined({ type, seq, ...rest, forgotten, end });
}

/** What was found or noted of the text as it was says too much. */
function maskedEntry(record: EntryRecord, sha256: string, masked: Forgetting): EntryRecord {
  const { original: _, ...rest } = bareEntry(record);
  return { ...rest, sha256, masked };
}

function withoutUndefined(record: EntryRecord | Record<string, unknown>): EntryRecord {
  const known = Object.entries(record).filter(([, value]) => value !== undefined);
  return Object.fromEntries(known) as unknown as EntryRecord;
}

/** How the lines of a journal are to change. */
interface JournalChange {
  /** By number of the entry. */
  readonly changed: ReadonlyMap<number, (record: EntryRecord) => EntryRecord>;
  /** Entries of which secrets are masked in what is said of their calls. */
  readonly calls?: { readonly seqs: ReadonlySet<number>; readonly guard: SecretGuard };
  /** Whether what is said of another text quotes one that is gone. */
  readonly isMade?: IsMade;
  /** Lines, counted from 0, of which that is known already. */
  readonly bare?: ReadonlySet<number>;
}

/**
 * Writes the journal anew, line for line, and puts it in the place of the old one, if any line is
 * another.
 */
async function rewriteJournal(
  files: Files,
  paths: SessionPaths,
  sessionId: string,
  change: JournalChange,
): Promise<void> {
  const old = new RecordLog(paths.journal, await files.open(paths.journal, { create: false }));
  const freshPath = `${paths.journal}.new`;
  const fresh = await files.open(freshPath, { create: true });
  let isChanged = false;
  try {
    await fresh.truncate(0);
    let sizeBytes = 0;
    let number = -1;
    for await (const group of old.scanGroups()) {
      const lines: Buffer[] = [];
      for (const { lineNumber, bytes } of group) {
        if (lineNumber > 1 && !isBaseLine(bytes)) number += 1;
        const line =
          lineNumber === 1 ? newHeader(bytes, sessionId) : newLine(bytes, number, change);
        isChanged ||= lineNumber > 1 && line !== undefined;
        lines.push(line ?? Buffer.concat([bytes, newline]));
      }
      const bytes = Buffer.concat(lines);
      await writeFully(fresh, bytes, sizeBytes);
      sizeBytes += bytes.length;
      await setImmediate();
    }
    await fresh.datasync();
  } finally {
    await fresh.close();
    await old.close();
  }
  if (!isChanged) {
    await files.remove(freshPath);
    return;
  }
  await files.rename(freshPath, paths.journal);
  await files.syncDirectory(dirname(paths.journal));
}

const newline = Buffer.from('\n');

function newHeader(line: Buffer, sessionId: string): Buffer {
  const { createdMs } = JSON.parse(line.toString()) as { readonly createdMs: number };
  return Buffer.from(encodeHeader(journalFormat, sessionId, createdMs, newestVersion));
}

/** The line as it is to be; undefined where it stays as it is. */
function newLine(
  line: Buffer,
  number: number,
  { changed, calls, isMade, bare }: JournalChange,
): Buffer | undefined {
  const { crc: _, ...record } = JSON.parse(line.toString()) as JournalRecord & { crc: string };
  if (!('seq' in record)) return undefined;
  const change = changed.get(record.seq);
  if (change !== undefined) {
    const next = record.type === 'entry' ? change(record) : bareAlias(record);
    return Buffer.from(encodeRecord(next));
  }
  const quotes = bare?.has(number) === true ? saidMembers : quotesIn(record, isMade);
  if (quotes.length > 0) {
    const next = record.type === 'entry' ? withoutSaid(record, quotes) : bareAlias(record);
    return Buffer.from(encodeRecord(next));
  }
  if (calls?.seqs.has(record.seq) !== true) return undefined;
  const said = calls.guard.value(spoken(record));
  return Buffer.from(encodeRecord({ ...record, ...said }));
}

/** What a line says of a text's call. Its outline says nothing that the text does not. */
const saidMembers = ['args', 'path', 'note'] as const;

/** Those of {@link saidMembers} that quote what is to go. */
function quotesIn(
  record: EntryRecord | AliasRecord,
  isMade: IsMade | undefined,
): readonly (typeof saidMembers)[number][] {
  if (isMade === undefined) return [];
  const said: Pick<EntryRecord, (typeof saidMembers)[number]> =
    record.type === 'entry' ? record : record.path === undefined ? {} : { path: record.path };
  return saidMembers.filter((member) => said[member] !== undefined && isMade('', said[member]));
}

/** A hash of the arguments goes with them: of a short secret it would tell. */
function withoutSaid(
  record: EntryRecord,
  members: readonly (typeof saidMembers)[number][],
): EntryRecord {
  const gone = new Set<string>(members.includes('args') ? [...members, 'call'] : members);
  return Object.fromEntries(
    Object.entries(record).filter(([name]) => !gone.has(name)),
  ) as unknown as EntryRecord;
}

/** What is said of a text's call, by member. */
function spoken(record: EntryRecord | AliasRecord): object {
  const { path, args, note } = record as Partial<EntryRecord>;
  const members = Object.entries({ path, args, note });
  return Object.fromEntries(members.filter(([, value]) => value !== undefined));
}

function bareEntry(record: EntryRecord): EntryRecord {
  const { args: _, path: __, note: ___, outline: ____, call: _____, ...rest } = record;
  return rest;
}

function bareAlias(record: AliasRecord): AliasRecord {
  const { path: _, source: __, call: ___, ...rest } = record;
  return rest;
}

function entriesOf(list: readonly ForgetEntry[], index: EntryIndex): readonly Entry[] {
  return list.flatMap(({ seq }) => index.entries[seq - 1] ?? []);
}

function withoutKey(record: EntryRecord): EntryRecord {
  const { forgotten, masked } = record;
  return {
    ...record,
    ...(forgotten && { forgotten: keyless(forgotten) }),
    ...(masked && { masked: keyless(masked) }),
  };
}

function keyless({ timeMs, why }: Forgetting): Forgetting {
  return { timeMs, why };
}

/** Lets a text come again that was forgotten in a session's own files, which must be closed. */
export async function dropKey(
  files: Files,
  paths: SessionPaths,
  sessionId: string,
  seq: number,
): Promise<void> {
  await rewriteJournal(files, paths, sessionId, { changed: new Map([[seq, withoutKey]]) });
  await files.remove(join(paths.indexDir, checkedName));
}

/** Where it is written down what is being forgotten, so that it is carried out whatever happens. */
export function ordersPath(dataDir: string): string {
  return join(dataDir, 'mappings', 'forgetting.json');
}

/** From here on the orders are carried out. */
export async function writeOrders(
  files: Files,
  path: string,
  orders: readonly ForgetOrder[],
): Promise<void> {
  await replaceFile(files, path, Buffer.from(encodeRecord({ type: 'forgetting', orders })));
}

/**
 * Carries out what a crash has left; nobody has a session open. @param isSound False of a session
 * whose files nobody will read: they are left as they are
 */
export async function finishForgetting(
  files: Files,
  dataDir: string,
  isSound: (sessionId: string) => boolean,
): Promise<void> {
  const path = ordersPath(dataDir);
  const bytes = await files.readWhole(path);
  if (bytes === undefined) return;
  if (!isWholeRecord(bytes.subarray(0, -1))) throw corruptStore(path, 'its checksum is wrong');
  const { orders } = JSON.parse(bytes.toString()) as { readonly orders: readonly ForgetOrder[] };
  for (const order of orders.filter(({ sessionId }) => isSound(sessionId))) {
    const paths = sessionPaths(dataDir, order.sessionId);
    const readers = order.readers.filter(isSound);
    // One that was deleted meanwhile is gone with all its texts.
    if (await files.exists(paths.journal)) await carryOut(files, paths, { ...order, readers });
  }
  await files.remove(path);
}

/** The texts' keys, made of what they are now or, where a part is gone already, were. */
export function keysOf(
  entries: readonly Entry[],
  secret: Buffer | undefined,
): (seq: number) => { readonly key?: string } {
  return (seq) => {
    const entry = entries[seq - 1];
    const known = (entry?.forgotten ?? entry?.masked)?.key;
    if (entry === undefined || secret === undefined || entry.forgotten !== undefined) {
      return known === undefined ? {} : { key: known };
    }
    return { key: known ?? keyedHash(secret, contentKey(entry.sha256, entry.original)) };
  };
}

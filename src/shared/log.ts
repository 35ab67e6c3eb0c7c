/**
 * A store as a log that many machines replay.
 *
 * A row says what was to be stored, never where: the texts as they were handed in with what was
 * known of them, values of the chat memory, decisions about the store. Entry ids, offsets, line
 * numbers, which text came again, block table and index all follow from the rows in their order, so
 * two machines that replay the same rows have the same files, byte for byte, and an append of one
 * cannot conflict with that of another. The rows of a store are numbered without gaps from 1
 * (`database/log-table.ts`); a machine's own files are its replica (`replica.ts`), which nobody
 * need keep.
 *
 * A row is
 *   facts  a JSON object
 *          {"ops":[...],"text"?:"plain"|"zstd"|"pieces","pieces"?:N,"seen"?:[N,hash]},
 *          zstd where that is shorter (then it does not begin with `{`); seen: the row that its
 *          writer saw last (`witness.ts`)
 *   text   the texts of all its operations, one behind the other, up to 1 MiB of them; one larger
 *          text alone lies in pieces of 1 MiB (`upload`), written before the row that names them
 * and an operation is
 *   texts     {"op":"texts","texts":[{...what is known...,"bytes":N,"encoding"?:"utf-16le",
 *             "seq"?:N},...]}; utf-16le: a string that UTF-8 cannot hold; seq: the entry that has
 *             the text already, of which the row has 0 bytes
 *   memory    {"op":"memory","records":[{"key":...,"value":...},...]}
 *   event     {"op":"event","event":{...}}: a link, a pin, and the opposite (`StoreEvent`)
 *   snapshot  {"op":"snapshot","name":...}: what the store holds at this row has a name
 *   forget    {"op":"forget","wanted":{...}}: texts of this store's own are gone from here on, and
 *             out of older rows; what others go on from it, or it from others, has rows of its own
 *   allow     {"op":"allow","seq":N}: a forgotten text may come again
 *   restored  {"op":"restored","to":...}: the names of this store lead to another one
 *   base      {"op":"base","of":...,"ranges":[...],"untilMs"?:...,"events":[...]}: the first row of
 *             a branch: the texts of other stores that it goes on from, by lines of their journals,
 *             which are the same on all machines, and when the last of them was stored; links, pins
 *             and names of moments that it takes along
 * With a team key (`seal.ts`) facts, text and pieces are unreadable to the database.
 *
 * A row that this program does not understand stops the replay with `store_newer`: whoever left it
 * out would number all that follows otherwise than the others.
 */
import { promisify } from 'node:util';
import {
  constants,
  zstdCompress,
  zstdCompressSync,
  zstdDecompress,
  zstdDecompressSync,
} from 'node:zlib';
import { ProxyError } from '../errors.ts';
import type { TextAgain } from '../store/session/text-writer.ts';
import type {
  BranchStart,
  ForgetWanted,
  NewEntry,
  NewEntryFacts,
  StoreEvent,
} from '../store/types.ts';
import type { SeenRow } from './witness.ts';

/** More of it than this is no row's own text but lies in pieces, bytes. */
export const rowTextMaxBytes = 1024 * 1024;
/** So much text is in a piece, the last one but for the rest, bytes. */
export const pieceBytes = 1024 * 1024;

/** What is known of a text, and how long it is in the row. */
export interface LogText extends NewEntryFacts {
  readonly bytes: number;
  readonly encoding?: 'utf-16le';
  /** The number of the entry that has it already: then the row does not. */
  readonly seq?: number;
}

/** A value of the chat memory. */
interface MemoryRecord {
  readonly key: string;
  readonly value: unknown;
}

/** What a row has done; see the head of this file. */
export type LogOperation =
  | { readonly op: 'texts'; readonly texts: readonly LogText[] }
  | { readonly op: 'memory'; readonly records: readonly MemoryRecord[] }
  | { readonly op: 'event'; readonly event: StoreEvent }
  | { readonly op: 'snapshot'; readonly name: string }
  | { readonly op: 'forget'; readonly wanted: ForgetWanted }
  | { readonly op: 'allow'; readonly seq: number }
  | { readonly op: 'restored'; readonly to: string }
  | ({ readonly op: 'base'; readonly of: string } & BranchStart);

const knownOperations: Readonly<Record<LogOperation['op'], true>> = {
  texts: true,
  memory: true,
  event: true,
  snapshot: true,
  forget: true,
  allow: true,
  restored: true,
  base: true,
};

/** What stands in the columns of a row. */
export interface RowColumns {
  readonly facts: Buffer;
  /** Absent where there is no text, or where it lies in pieces. */
  readonly text?: Buffer | undefined;
}

/** A row that was read, its text not yet. */
export interface RowFacts {
  readonly ops: readonly LogOperation[];
  readonly text?: 'plain' | 'zstd' | 'pieces';
  /** How many pieces there are. */
  readonly pieces?: number;
  /** The row that its writer saw last. */
  readonly seen?: SeenRow | undefined;
}

/** Shorter ones are not worth it, bytes. */
const packMinBytes = 512;
/** As much is packed at once, without another thread: about 0.3 ms. */
const packNowBytes = 65_536;

/**
 * Of what is packed at once: tables of 16,384 places in place of 65,536 and more. They are in no
 * cache when they are needed: a text of 30 KB takes 0.13 ms, not 0.18. Over 1,316 files of up to 64
 * KiB it is 0.03 % longer, of one 0.5 % at most; level 1 is as fast again, and 3 % longer.
 */
const packNow = {
  params: { [constants.ZSTD_c_hashLog]: 14, [constants.ZSTD_c_chainLog]: 14 },
};

const zstd = promisify(zstdCompress);
const unzstd = promisify(zstdDecompress);

/** The bytes of a text as a row has them. */
export function textBytes(text: NewEntry['text']): {
  readonly bytes: Uint8Array;
  readonly encoding?: 'utf-16le';
} {
  if (typeof text !== 'string') return { bytes: text };
  if (text.isWellFormed()) return { bytes: Buffer.from(text) };
  return { bytes: Buffer.from(text, 'utf16le'), encoding: 'utf-16le' };
}

/** A text as it was handed in, or that it came again. */
export function textOf(
  { bytes: _length, encoding, seq, ...facts }: LogText,
  bytes: Uint8Array,
): NewEntry | TextAgain {
  if (seq !== undefined) return { seq, facts };
  const text = encoding === undefined ? bytes : Buffer.from(bytes).toString('utf16le');
  return { ...facts, text };
}

/**
 * The columns of a row with its texts in it.
 * @param texts Those of its operations, in their order
 * @param seen The row that its writer has seen last
 */
export async function encodeRow(
  ops: readonly LogOperation[],
  texts: readonly Uint8Array[],
  seen?: SeenRow,
): Promise<RowColumns> {
  const whole = texts.length === 1 ? texts[0]! : Buffer.concat(texts);
  if (whole.length === 0) return { facts: await encodeFacts({ ops, seen }) };
  const packed = await pack(whole);
  const isShorter = packed.length < whole.length;
  const facts = await encodeFacts({ ops, text: isShorter ? 'zstd' : 'plain', seen });
  return { facts, text: isShorter ? packed : Buffer.from(whole) };
}

/** The column `facts`. */
export async function encodeFacts(facts: RowFacts): Promise<Buffer> {
  const json = Buffer.from(JSON.stringify(facts));
  const packed = await pack(json);
  return packed.length < json.length ? packed : json;
}

/** So much of a text is sent at once. */
export function* piecesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

/** A piece of a text, packed. */
export async function encodePiece(piece: Uint8Array): Promise<Buffer> {
  const packed = await pack(piece);
  // One byte says which it is.
  return packed.length < piece.length
    ? Buffer.concat([Buffer.of(1), packed])
    : Buffer.concat([Buffer.of(0), piece]);
}

/** @throws ProxyError `store_corrupt` */
export async function decodePiece(bytes: Buffer): Promise<Buffer> {
  const rest = bytes.subarray(1);
  try {
    if (bytes[0] === 0) return rest;
    if (bytes[0] === 1) return await unpack(rest);
  } catch (error) {
    throw unreadable('a piece of a text cannot be unpacked', error);
  }
  throw unreadable('a piece of a text is of an unknown kind');
}

/**
 * What a row says. @param where The row, for words
 * @throws ProxyError `store_corrupt`; `store_newer` for what a newer program has written
 */
export async function decodeFacts(bytes: Buffer, where: string): Promise<RowFacts> {
  let facts: RowFacts;
  try {
    const json = bytes[0] === openBrace ? bytes : await unpack(bytes);
    facts = JSON.parse(json.toString()) as RowFacts;
  } catch (error) {
    throw unreadable(`${where} cannot be read`, error);
  }
  const { ops, text, seen } = facts;
  if (!Array.isArray(ops)) throw unreadable(`${where} holds no operations`);
  const isSeen =
    seen === undefined || (Number.isSafeInteger(seen[0]) && typeof seen[1] === 'string');
  if (!isSeen) throw unreadable(`${where} names no row that its writer saw`);
  for (const { op } of ops) {
    if (!(op in knownOperations)) throw newerRow(`${where} holds ${JSON.stringify(op)}`);
  }
  if (text !== undefined && text !== 'plain' && text !== 'zstd' && text !== 'pieces')
    throw newerRow(`${where} holds a text as ${JSON.stringify(text)}`);
  return facts;
}

/** The texts of a row, one behind the other. @throws ProxyError `store_corrupt` */
export async function decodeText(
  { text: form }: RowFacts,
  column: Buffer | undefined,
  where: string,
): Promise<Buffer> {
  if (form === undefined) return nothing;
  if (column === undefined) throw unreadable(`${where} has lost its text`);
  try {
    return form === 'plain' ? column : await unpack(column);
  } catch (error) {
    throw unreadable(`the text of ${where} cannot be unpacked`, error);
  }
}

/** Whether a row's texts are with it, and not in pieces. */
export function hasOwnText({ text }: RowFacts): boolean {
  return text !== 'pieces';
}

const openBrace = 0x7b;
const nothing = Buffer.alloc(0);

async function pack(bytes: Uint8Array): Promise<Buffer> {
  if (bytes.length < packMinBytes) return Buffer.from(bytes);
  return bytes.length <= packNowBytes ? zstdCompressSync(bytes, packNow) : zstd(bytes);
}

async function unpack(bytes: Buffer): Promise<Buffer> {
  return bytes.length <= packNowBytes / 4 ? zstdDecompressSync(bytes) : unzstd(bytes);
}

function unreadable(what: string, cause?: unknown): ProxyError {
  return new ProxyError('store_corrupt', `The shared store is damaged: ${what}.`, {
    cause,
    hint: 'Nothing behind it is replayed; what is on this machine stays readable.',
  });
}

function newerRow(what: string): ProxyError {
  return new ProxyError(
    'store_newer',
    `The shared store was written by a newer version of rlm-opencode (${what}). Nothing behind that was replayed.`,
    { hint: 'Install the newer version on this machine.' },
  );
}

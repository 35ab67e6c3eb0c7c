import { createHash, createHmac, hash } from 'node:crypto';
import { isUtf8 } from 'node:buffer';
import { setImmediate } from 'node:timers/promises';
import type { OpenFile } from '../disk/files.ts';
import type { NewEntry, NewEntryFacts, OriginalBytes } from '../types.ts';

/**
 * Work on a text is done in pieces of at most this size, so that no slice of it holds up the event
 * loop (about 1 ms each).
 */
export const pieceMaxBytes = 1024 * 1024;
const pieceMaxUnits = pieceMaxBytes / 4;

/** A text that is ready to be written: its hash is known, its bytes can be made again and again. */
export interface PreparedText {
  readonly facts: NewEntryFacts;
  readonly sha256: string;
  readonly lengthBytes: number;
  /** What makes it the same text as another. */
  readonly key: string;
  /** UTF-8 in pieces of at most {@link pieceMaxBytes}, each a whole number of code points. */
  pieces(): Iterable<Uint8Array>;
  readonly original?: { readonly facts: OriginalBytes; readonly bytes: Uint8Array };
}

/**
 * The key under which a text is known: its hash, or that of its original where the stored form lost
 * something.
 */
export function contentKey(sha256: string, original: OriginalBytes | undefined): string {
  return original === undefined ? sha256 : `${original.encoding}:${original.sha256}`;
}

/**
 * By which a text is known that was forgotten, from its {@link contentKey}: HMAC-SHA-256 in
 * hexadecimal, so that who has the files and not the key cannot try out what it may have been.
 */
export function keyedHash(secret: Uint8Array, key: string): string {
  return createHmac('sha256', secret).update(key).digest('hex');
}

/**
 * The same as {@link prepareText} at once for what is small and holds nothing that UTF-8 cannot;
 * undefined for any other text. @param known The SHA-256 of what is UTF-8, in hexadecimal
 */
export function prepareSmallText(entry: NewEntry, known?: string): PreparedText | undefined {
  const { text, ...facts } = entry;
  if (text.length > pieceMaxUnits) return undefined;
  const isSound =
    known !== undefined || (typeof text === 'string' ? text.isWellFormed() : isUtf8(text));
  if (!isSound) return undefined;
  const bytes = toBytes(text);
  const sha256 = known ?? hash('sha256', bytes);
  const key = contentKey(sha256, undefined);
  return { facts, sha256, lengthBytes: bytes.length, key, pieces: () => [bytes] };
}

/**
 * Hashes a text, in slices; a text that UTF-8 cannot hold gets a readable form with a note and
 * keeps its original. @param known The SHA-256 of bytes that are UTF-8, in hexadecimal
 */
export async function prepareText(entry: NewEntry, known?: string): Promise<PreparedText> {
  const { text, ...facts } = entry;
  if (typeof text === 'string') {
    if (text.isWellFormed()) return prepare(facts, text);
    const bytes = Buffer.from(text, 'utf16le');
    const count = text.match(/\p{Surrogate}/gu)?.length ?? 0;
    const note = `${count} lone surrogate${count === 1 ? '' : 's'} replaced by U+FFFD; the original is kept`;
    return prepare(withNote(facts, note), text.toWellFormed(), {
      bytes,
      encoding: 'utf-16le',
    });
  }
  if (await isUtf8InSlices(text)) {
    if (known === undefined) return prepare(facts, text);
    const key = contentKey(known, undefined);
    const pieces = () => bytePieces(text);
    return { facts, sha256: known, lengthBytes: text.length, key, pieces };
  }
  const readable = new TextDecoder('utf-8', { ignoreBOM: true }).decode(text);
  const note = 'invalid UTF-8 replaced by U+FFFD; the original bytes are kept';
  return prepare(withNote(facts, note), readable, { bytes: text, encoding: 'bytes' });
}

async function prepare(
  facts: NewEntryFacts,
  text: string | Uint8Array,
  original?: { readonly bytes: Uint8Array; readonly encoding: OriginalBytes['encoding'] },
): Promise<PreparedText> {
  const whole = typeof text === 'string' && text.length > pieceMaxUnits ? undefined : toBytes(text);
  const pieces = () => (whole === undefined ? encodePieces(text as string) : bytePieces(whole));
  const { sha256, lengthBytes } = await digestPieces(pieces());
  const base = { facts, sha256, lengthBytes, pieces };
  if (original === undefined) return { ...base, key: contentKey(sha256, undefined) };
  const digest = await digestPieces(bytePieces(original.bytes));
  const kept: OriginalBytes = {
    sha256: digest.sha256,
    sizeBytes: digest.lengthBytes,
    encoding: original.encoding,
  };
  return {
    ...base,
    key: contentKey(sha256, kept),
    original: { facts: kept, bytes: original.bytes },
  };
}

/**
 * The same as `isUtf8`. Valid pieces that end at code points make a valid text, and nothing else
 * does.
 */
async function isUtf8InSlices(text: Uint8Array): Promise<boolean> {
  if (text.length <= pieceMaxBytes) return isUtf8(text);
  for (const piece of bytePieces(text)) {
    if (!isUtf8(piece)) return false;
    await setImmediate();
  }
  return true;
}

/**
 * What a file, or a text in several, holds from a position on, in pieces of at most {@link
 * pieceMaxBytes}; less where it ends before.
 */
export async function* readPieces(
  text: Pick<OpenFile, 'read'>,
  positionBytes: number,
  lengthBytes: number,
): AsyncGenerator<Buffer> {
  for (let at = 0; at < lengthBytes; at += pieceMaxBytes) {
    const piece = Buffer.allocUnsafe(Math.min(pieceMaxBytes, lengthBytes - at));
    const count = await text.read(piece, positionBytes + at);
    yield piece.subarray(0, count);
    if (count < piece.length) return;
  }
}

/** SHA-256 and length of a text in pieces; the event loop has its turn between two of them. */
export async function digestPieces(
  pieces: Iterable<Uint8Array>,
): Promise<{ readonly sha256: string; readonly lengthBytes: number }> {
  const iterator = pieces[Symbol.iterator]();
  const first = iterator.next();
  if (first.done === true) return { sha256: hash('sha256', ''), lengthBytes: 0 };
  let next = iterator.next();
  if (next.done === true) {
    return { sha256: hash('sha256', first.value), lengthBytes: first.value.length };
  }
  const digest = createHash('sha256').update(first.value);
  let lengthBytes = first.value.length;
  for (; next.done !== true; next = iterator.next()) {
    await setImmediate();
    digest.update(next.value);
    lengthBytes += next.value.length;
  }
  return { sha256: digest.digest('hex'), lengthBytes };
}

function toBytes(text: string | Uint8Array): Uint8Array {
  return typeof text === 'string' ? Buffer.from(text) : text;
}

function* encodePieces(text: string): Generator<Uint8Array> {
  for (let at = 0; at < text.length;) {
    let end = Math.min(at + pieceMaxUnits, text.length);
    if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end -= 1;
    yield Buffer.from(text.slice(at, end));
    at = end;
  }
}

/** Pieces of valid UTF-8 end at code points; pieces of anything else where they may. */
function* bytePieces(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length;) {
    let end = Math.min(at + pieceMaxBytes, bytes.length);
    for (let back = 0; end < bytes.length && back < 3 && (bytes[end]! & 0xc0) === 0x80; back += 1) {
      end -= 1;
    }
    yield bytes.subarray(at, end);
    at = end;
  }
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function withNote(facts: NewEntryFacts, note: string): NewEntryFacts {
  return { ...facts, note: facts.note === undefined ? note : `${facts.note}; ${note}` };
}

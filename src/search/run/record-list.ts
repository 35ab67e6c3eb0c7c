import { maxTaggedGroups } from '../automaton/nfa.ts';
import { SpelledGroups, type GroupTexts } from '../automaton/occurrence.ts';
import type { Program } from '../automaton/program.ts';
import { entryAtByte, type EntryBorders } from '../text/shared-entries.ts';
import type { RecordQuery, RecordTable } from '../types.ts';

/** What one worker has found: records in the order of the text. */
export interface RecordPart {
  readonly count: number;
  /** Where each begins, bytes of the file. */
  readonly starts: Float64Array;
  /** All fields in UTF-8, each followed by {@link fieldEnd}; a record may be in several of them. */
  readonly chunks: readonly Uint8Array<ArrayBuffer>[];
  /** Where each record ends in all chunks together. */
  readonly ends: Float64Array;
  readonly overflowed: boolean;
}

/** What can be handed to another thread instead of being copied, for nobody here needs it again. */
export function recordBuffers(parts: readonly RecordPart[]): ArrayBuffer[] {
  return parts.flatMap(({ starts, ends, chunks }) =>
    [starts, ends, ...chunks].map(({ buffer }) => buffer as ArrayBuffer),
  );
}

/** A byte that is in no UTF-8. */
const fieldEnd = 0xff;

/** Bytes of all fields of one worker at most. */
const maxFieldBytes = 128_000_000;

/** Fields are collected in pieces of so many bytes, the first of which is small. */
const chunkBytes = 1_048_576;
const firstChunkBytes = 65_536;

/** Characters that may separate fields; the first that is in none of them does. */
const separators = ['\n', '\u001f', '\u001e', '\u001d', '\u0001', '\u0002', '\u0003'];

/** What a pattern's records are made of. */
export interface FieldNames {
  /** The groups to be told with each match. */
  readonly groups: readonly number[];
  readonly names: RecordTable['names'];
}

/** The shape of the records of a pattern. */
export function recordShape({ groupCount, groupNames }: Program['pattern']): FieldNames {
  const count = Math.min(groupCount, maxTaggedGroups);
  if (count === 0) return { groups: [0], names: [null] };
  const names = new Map([...groupNames].map(([name, group]) => [group, name]));
  const groups = Array.from({ length: count }, (_, i) => i + 1);
  return { groups, names: groups.map((group) => names.get(group) ?? null) };
}

/** Collects the texts of capture groups, occurrence by occurrence. */
export class RecordList {
  readonly #query: RecordQuery;
  readonly #fields: number;
  readonly #entries: EntryBorders | undefined;
  #starts = new Float64Array(1_024);
  #ends = new Float64Array(1_024);
  readonly #chunks: Uint8Array<ArrayBuffer>[] = [];
  #chunk = Buffer.allocUnsafeSlow(firstChunkBytes);
  /** Bytes of the chunk that are used, and of all. */
  #used = 0;
  #size = 0;
  #count = 0;
  #overflowed = false;

  /** `fields` are those that an occurrence brings. */
  constructor(query: RecordQuery, fields: number, entries: EntryBorders | undefined) {
    this.#query = query;
    this.#fields = fields;
    this.#entries = entries;
  }

  /** Takes in one occurrence at byte `at` of the file. A group that took no part is empty. */
  add(held: GroupTexts, at: number): void {
    const { maxRecords, labels } = this.#query;
    const fields = this.#fields;
    const count = this.#count++;
    this.#overflowed ||= this.#count > maxRecords || this.#size > maxFieldBytes;
    if (this.#overflowed) return;
    if (count === this.#starts.length) {
      this.#starts = wider(this.#starts);
      this.#ends = wider(this.#ends);
    }
    for (let i = 0; i < fields; i++) this.#write(held, i);
    if (labels !== undefined) {
      const entry = entryAtByte(this.#entries, at);
      const label = String(entry === undefined ? -1 : (labels[entry] ?? -1));
      this.#write(new SpelledGroups([label]), 0);
    }
    this.#starts[count] = at;
    this.#ends[count] = this.#size;
  }

  #write(held: GroupTexts, i: number): void {
    const size = held.size(i);
    if (this.#used + size >= this.#chunk.length) this.#nextChunk(size + 1);
    held.write(i, this.#chunk, this.#used);
    this.#used += size;
    this.#chunk[this.#used++] = fieldEnd;
    this.#size += size + 1;
  }

  #nextChunk(neededBytes: number): void {
    this.#chunks.push(this.#filled());
    this.#chunk = Buffer.allocUnsafeSlow(Math.max(chunkBytes, neededBytes));
    this.#used = 0;
  }

  #filled(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#chunk.buffer, this.#chunk.byteOffset, this.#used);
  }

  /** What was collected. */
  part(): RecordPart {
    const kept = this.#overflowed ? 0 : this.#count;
    return {
      count: this.#count,
      starts: this.#starts.slice(0, kept),
      ends: this.#ends.slice(0, kept),
      chunks: this.#overflowed ? [] : [...this.#chunks, this.#filled()],
      overflowed: this.#overflowed,
    };
  }
}

function wider(numbers: Float64Array): Float64Array<ArrayBuffer> {
  const copy = new Float64Array(2 * numbers.length);
  copy.set(numbers);
  return copy;
}

/** The records of all workers as one text, in the order of the file. */
export function mergeRecords(
  parts: readonly RecordPart[],
  { names }: FieldNames,
  { maxRecords, labels }: RecordQuery,
): RecordTable {
  const fieldCount = names.length + (labels === undefined ? 0 : 1);
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  const base = { count, names, fieldCount };
  if (count > maxRecords || parts.some((part) => part.overflowed))
    return { ...base, overflowed: true, text: new Uint8Array(0) };
  const bytes = inOrder(parts);
  const separator = separators.find((one) => !bytes.includes(one));
  // Behind the last field nothing is separated.
  const fields = bytes.subarray(0, Math.max(0, bytes.length - 1));
  if (separator === undefined) {
    const text = Buffer.from(JSON.stringify(count === 0 ? [] : fieldsOf(fields)));
    return { ...base, overflowed: false, text: new Uint8Array(text) };
  }
  const code = separator.charCodeAt(0);
  for (let at = 0; at < fields.length; at++) if (fields[at] === fieldEnd) fields[at] = code;
  return { ...base, overflowed: false, separator, text: fields };
}

function fieldsOf(bytes: Buffer): readonly string[] {
  const fields: string[] = [];
  for (let start = 0; start <= bytes.length;) {
    const found = bytes.indexOf(fieldEnd, start);
    const end = found < 0 ? bytes.length : found;
    fields.push(bytes.toString('utf8', start, end));
    start = end + 1;
  }
  return fields;
}

/** The fields of several lists of records, each in order, in the order of all. */
function inOrder(parts: readonly RecordPart[]): Buffer<ArrayBuffer> {
  const size = parts.reduce((sum, { ends }) => sum + (ends.at(-1) ?? 0), 0);
  const merged = Buffer.allocUnsafeSlow(size);
  const open = parts
    .map((part) => ({ ...part, next: 0, bytes: new ChunkReader(part.chunks) }))
    .filter((part) => part.count > 0);
  for (let at = 0; open.length > 0;) {
    const [first, second] = open.sort((a, b) => a.starts[a.next]! - b.starts[b.next]!);
    const part = first!;
    const limit = second === undefined ? Infinity : second.starts[second.next]!;
    // A worker claims chunk by chunk, so many records in a row are of one.
    const from = part.next === 0 ? 0 : part.ends[part.next - 1]!;
    while (part.next < part.count && part.starts[part.next]! < limit) part.next++;
    const to = part.ends[part.next - 1]!;
    part.bytes.copy(merged, at, to - from);
    at += to - from;
    if (part.next === part.count) open.shift();
  }
  return merged;
}

/** Gives the bytes of some chunks one after the other. */
class ChunkReader {
  readonly #chunks: readonly Uint8Array[];
  #chunk = 0;
  #at = 0;

  constructor(chunks: readonly Uint8Array[]) {
    this.#chunks = chunks;
  }

  /** The next so many bytes; there are as many. */
  copy(into: Uint8Array, at: number, sizeBytes: number): void {
    for (let done = 0; done < sizeBytes;) {
      const chunk = this.#chunks[this.#chunk]!;
      const end = Math.min(chunk.length, this.#at + sizeBytes - done);
      into.set(chunk.subarray(this.#at, end), at + done);
      done += end - this.#at;
      this.#at = end;
      if (end < chunk.length) continue;
      this.#chunk++;
      this.#at = 0;
    }
  }
}

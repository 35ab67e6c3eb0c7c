import { maxTaggedGroups } from '../automaton/nfa.ts';
import type { Program } from '../automaton/program.ts';
import { entryAtByte, type EntryBorders } from '../text/shared-entries.ts';
import type { RecordQuery, RecordTable } from '../types.ts';

/** What one worker has found: records in the order of the text. */
export interface RecordPart {
  readonly count: number;
  /** Where each begins, bytes of the file. */
  readonly starts: Float64Array;
  /** All fields in UTF-8, each followed by {@link fieldEnd}. */
  readonly bytes: Uint8Array;
  /** Where each record ends in `bytes`. */
  readonly ends: Float64Array;
  readonly overflowed: boolean;
}

/** A byte that is in no UTF-8. */
const fieldEnd = 0xff;

/** Bytes of all fields of one worker at most. */
const maxFieldBytes = 128_000_000;

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
  readonly #entries: EntryBorders | undefined;
  #starts = new Float64Array(1_024);
  #ends = new Float64Array(1_024);
  #bytes = Buffer.allocUnsafe(65_536);
  #count = 0;
  #size = 0;
  #overflowed = false;

  constructor(query: RecordQuery, entries: EntryBorders | undefined) {
    this.#query = query;
    this.#entries = entries;
  }

  /** Takes in one occurrence at byte `at` of the file. A group that took no part is empty. */
  add(values: readonly (string | undefined)[], at: number): void {
    const { maxRecords, labels } = this.#query;
    const count = this.#count++;
    this.#overflowed ||= this.#count > maxRecords || this.#size > maxFieldBytes;
    if (this.#overflowed) return;
    if (count === this.#starts.length) {
      this.#starts = wider(this.#starts);
      this.#ends = wider(this.#ends);
    }
    for (const value of values) this.#write(value ?? '');
    if (labels !== undefined) {
      const entry = entryAtByte(this.#entries, at);
      this.#write(String(entry === undefined ? -1 : (labels[entry] ?? -1)));
    }
    this.#starts[count] = at;
    this.#ends[count] = this.#size;
  }

  #write(text: string): void {
    const needed = this.#size + 3 * text.length + 1;
    if (needed > this.#bytes.length) {
      const bytes = Buffer.allocUnsafe(2 * needed);
      this.#bytes.copy(bytes, 0, 0, this.#size);
      this.#bytes = bytes;
    }
    this.#size += this.#bytes.write(text, this.#size);
    this.#bytes[this.#size++] = fieldEnd;
  }

  /** What was collected. */
  part(): RecordPart {
    const kept = this.#overflowed ? 0 : this.#count;
    const size = this.#overflowed ? 0 : this.#size;
    return {
      count: this.#count,
      starts: this.#starts.slice(0, kept),
      ends: this.#ends.slice(0, kept),
      bytes: new Uint8Array(this.#bytes.subarray(0, size)),
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
  for (let at = fields.indexOf(fieldEnd); at >= 0; at = fields.indexOf(fieldEnd, at + 1))
    fields[at] = code;
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
function inOrder(parts: readonly RecordPart[]): Buffer {
  const size = parts.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const merged = Buffer.allocUnsafeSlow(size);
  const open = parts.map((part) => ({ ...part, next: 0 })).filter((part) => part.count > 0);
  for (let at = 0; open.length > 0;) {
    const [first, second] = open.sort((a, b) => a.starts[a.next]! - b.starts[b.next]!);
    const part = first!;
    const limit = second === undefined ? Infinity : second.starts[second.next]!;
    // A worker claims chunk by chunk, so many records in a row are of one.
    const from = part.next === 0 ? 0 : part.ends[part.next - 1]!;
    while (part.next < part.count && part.starts[part.next]! < limit) part.next++;
    const to = part.ends[part.next - 1]!;
    merged.set(part.bytes.subarray(from, to), at);
    at += to - from;
    if (part.next === part.count) open.shift();
  }
  return merged;
}

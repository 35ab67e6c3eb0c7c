import { maxTaggedGroups } from '../automaton/nfa.ts';
import type { Pattern } from '../pattern/syntax.ts';
import { entryAtByte, type EntryBorders } from '../text/shared-entries.ts';
import type { RecordQuery, RecordTable } from '../types.ts';
import { packTexts, unpackTexts, type PackedTexts } from './packed-texts.ts';

/** What one worker has found: records in the order of the text. */
export interface RecordPart {
  /** Where each begins, bytes of the file. */
  readonly starts: Float64Array;
  /** Their fields, as many for each as the query has. */
  readonly fields: PackedTexts;
  readonly overflowed: boolean;
}

/** Characters of all fields of one worker at most. */
const maxFieldChars = 96_000_000;

/** Characters that may separate fields; the first that is in none of them does. */
const separators = ['\n', '\u001f', '\u001e', '\u001d', '\u0001', '\u0002', '\u0003'];

/** What a pattern's records are made of. */
export interface RecordShape {
  /** The groups to be told with each match. */
  readonly groups: readonly number[];
  readonly names: RecordTable['names'];
}

/** The shape of the records of a pattern. */
export function recordShape({ groupCount, groupNames }: Pattern): RecordShape {
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
  readonly #starts: number[] = [];
  readonly #fields: string[] = [];
  #chars = 0;
  #overflowed = false;

  constructor(query: RecordQuery, entries: EntryBorders | undefined) {
    this.#query = query;
    this.#entries = entries;
  }

  /** Takes in one occurrence at byte `at` of the file. A group that took no part is empty. */
  add(values: readonly (string | undefined)[], at: number): void {
    if (this.#overflowed) return;
    const { maxRecords, labels } = this.#query;
    this.#starts.push(at);
    for (const value of values) {
      const text = value ?? '';
      this.#chars += text.length;
      this.#fields.push(text);
    }
    if (labels !== undefined) {
      const entry = entryAtByte(this.#entries, at);
      this.#fields.push(String(entry === undefined ? -1 : (labels[entry] ?? -1)));
    }
    this.#overflowed = this.#starts.length > maxRecords || this.#chars > maxFieldChars;
  }

  /** What was collected. */
  part(): RecordPart {
    return {
      starts: Float64Array.from(this.#starts),
      fields: packTexts(this.#fields),
      overflowed: this.#overflowed,
    };
  }
}

/** The records of all workers as one text, in the order of the file. */
export function mergeRecords(
  parts: readonly RecordPart[],
  { names }: RecordShape,
  { maxRecords, labels }: RecordQuery,
): RecordTable {
  const fieldCount = names.length + (labels === undefined ? 0 : 1);
  const count = parts.reduce((sum, { starts }) => sum + starts.length, 0);
  const base = { count, names, fieldCount };
  if (count > maxRecords || parts.some((part) => part.overflowed))
    return { ...base, overflowed: true, text: new Uint8Array(0) };
  const fields = inOrder(parts, fieldCount);
  const separator = separators.find((one) => !fields.some((field) => field.includes(one)));
  const text = separator === undefined ? JSON.stringify(fields) : fields.join(separator);
  return {
    ...base,
    overflowed: false,
    ...(separator === undefined ? {} : { separator }),
    text: new Uint8Array(Buffer.from(text)),
  };
}

/** The fields of several lists of records, each in order, in the order of all. */
function inOrder(parts: readonly RecordPart[], fieldCount: number): readonly string[] {
  const open = parts.map(({ starts, fields }) => ({
    starts,
    fieldAt: unpackTexts(fields),
    next: 0,
  }));
  const fields: string[] = [];
  for (;;) {
    let from: (typeof open)[number] | undefined;
    for (const one of open) {
      const at = one.starts[one.next];
      if (at !== undefined && (from === undefined || at < from.starts[from.next]!)) from = one;
    }
    if (from === undefined) return fields;
    const start = from.next * fieldCount;
    for (let k = 0; k < fieldCount; k++) fields.push(from.fieldAt(start + k));
    from.next++;
  }
}

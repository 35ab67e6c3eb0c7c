import { partitionPoint } from '../../base/sorted.ts';
import type { TextPlace } from './block-table.ts';
import { EntryListing } from './entry-listing.ts';
import { Outputs } from './outputs.ts';
import { contentKey, keyedHash } from './text-pieces.ts';
import type { Entry, SourceFile, StoredOutput, Totals } from '../types.ts';

/** Under what a text came. */
interface Coming {
  readonly toolCallId?: string | undefined;
  /** Of the output; the entry's own where the record does not say. */
  readonly chatId?: string | undefined;
  readonly call?: string | undefined;
  readonly again?: true | undefined;
  readonly path?: string | undefined;
  readonly source?: SourceFile | undefined;
  readonly standIn?: string | undefined;
  readonly timeMs: number;
}

/** The committed entries of a session in memory, a few hundred bytes each, never their text. */
export class EntryIndex {
  readonly entries: Entry[] = [];
  /**
   * Entries whose text is committed and not in its place in the text file yet (`staged-texts.ts`).
   */
  readonly unplaced = new Set<Entry>();
  readonly listing = new EntryListing();
  /** Entries whose bytes were found not to be what was stored. */
  readonly damaged = new Set<Entry>();
  /** When texts came again last, of those that did. */
  readonly cameAgainMs = new Map<Entry, number>();
  totals: Totals = { bytes: 0, chars: 0, lines: 0, entries: 0 };
  /** Journal lines that this has been made of: entries, and texts that came again. */
  records = 0;
  /** By line of the journal, when it, or a line before it, was committed at the latest. */
  readonly #untilMs: number[] = [];
  /** By entry, how many lines there were with it. */
  readonly #recordsWith: number[] = [];
  readonly #byKey = new Map<string, Entry>();
  /** By hash, entries whose stored text is not the original: all others are found by key. */
  readonly #altered = new Map<string, Entry>();
  readonly #outputs = new Outputs();
  readonly #sources = new Map<string, { readonly file: SourceFile; readonly entry: Entry }>();
  /** By keyed hash, entries whose texts, or parts of them, are gone and are not to come again. */
  readonly #gone = new Map<string, Entry>();
  readonly #hashKeys: readonly Buffer[];
  readonly #byStandIn = new Map<string, Entry>();

  /**
   * `hashKeys`: of the hashes by which texts are known that were forgotten.
   */
  constructor(hashKeys: readonly Buffer[] = []) {
    this.#hashKeys = hashKeys;
  }

  /** Adds the next entry. `end` are the totals with it. */
  add(entry: Entry, source: SourceFile | undefined, end: Totals): void {
    this.entries.push(entry);
    this.listing.add(entry);
    const goneKey = (entry.forgotten ?? entry.masked)?.key;
    if (goneKey !== undefined) this.#gone.set(goneKey, entry);
    if (entry.forgotten === undefined) {
      this.#byKey.set(contentKey(entry.sha256, entry.original), entry);
    }
    if (entry.original !== undefined && !this.#altered.has(entry.sha256))
      this.#altered.set(entry.sha256, entry);
    const { toolCallId, chatId, call, path, standIn } = entry;
    this.#note(entry, { toolCallId, chatId, call, path, source, standIn });
    this.totals = end;
    this.#noteTime(entry.storedMs ?? entry.timeMs);
    this.#recordsWith.push(this.records);
  }

  /** Notes that an entry's text came again. */
  addAlias(entry: Entry, alias: Coming): void {
    this.#note(entry, alias);
    this.cameAgainMs.set(entry, alias.timeMs);
    this.#noteTime(alias.timeMs);
  }

  #noteTime(storedMs: number): void {
    this.#untilMs.push(Math.max(storedMs, this.#untilMs.at(-1) ?? storedMs));
    this.records += 1;
  }

  /**
   * How many lines of the journal there were at a moment: up to the first one that came later than
   * a time, or right behind an entry.
   */
  recordsAt(moment: { readonly seq: number } | { readonly timeMs: number }): number {
    if ('timeMs' in moment)
      return partitionPoint(this.records, (at) => this.#untilMs[at]! <= moment.timeMs);
    if (moment.seq > this.entries.length) return this.records;
    return this.#recordsWith[moment.seq - 1] ?? 0;
  }

  /** When the last of it was committed, as far as clocks can be believed; 0 where it is empty. */
  get untilMs(): number {
    return this.#untilMs.at(-1) ?? 0;
  }

  #note(entry: Entry, alias: Omit<Coming, 'timeMs'>): void {
    if (alias.toolCallId !== undefined) {
      const chatId = alias.chatId ?? entry.chatId ?? '';
      const again = alias.again === true ? { isAgain: true as const } : {};
      const { call, standIn } = alias;
      this.#outputs.add(chatId, alias.toolCallId, { entry, call, standIn, ...again });
    }
    if (alias.standIn !== undefined) this.#byStandIn.set(alias.standIn, entry);
    if (alias.path !== undefined) this.listing.addPath(entry, alias.path);
    if (alias.path !== undefined && alias.source !== undefined) {
      this.#sources.set(alias.path, { file: alias.source, entry });
    }
  }

  /** Notes that an entry's bytes are not what was stored. */
  addDamaged(entry: Entry): void {
    this.damaged.add(entry);
  }

  /** By its id, or by the name that stood for it before it had one. */
  byId(id: string): Entry | undefined {
    if (id.startsWith('p')) return this.#byStandIn.get(id);
    const seq = /^e([1-9]\d{0,15})$/.exec(id)?.[1];
    return seq === undefined ? undefined : this.entries[Number(seq) - 1];
  }

  /** By `contentKey`, that of the text as it is or, where it is gone, as it was. */
  byKey(key: string): Entry | undefined {
    const known = this.#byKey.get(key);
    if (known !== undefined || this.#gone.size === 0) return known;
    for (const hashKey of this.#hashKeys) {
      const gone = this.#gone.get(keyedHash(hashKey, key));
      if (gone !== undefined) return gone;
    }
    return undefined;
  }

  byHash(sha256: string): Entry | undefined {
    const altered = this.#altered.get(sha256);
    const same = this.#byKey.get(sha256);
    if (altered === undefined || same === undefined) return same ?? altered;
    return altered.seq < same.seq ? altered : same;
  }

  outputsOf(chatId: string, toolCallId: string): readonly StoredOutput[] {
    return this.#outputs.of(chatId, toolCallId);
  }

  source(path: string): { readonly file: SourceFile; readonly entry: Entry } | undefined {
    return this.#sources.get(path);
  }

  /**
   * Where entry number `index` (from 0) starts; the end of the text for the number behind the last.
   */
  startOf(index: number): TextPlace {
    const entry = this.entries[index];
    if (entry === undefined) return this.totals;
    return { bytes: entry.offsetBytes, chars: entry.offsetChars, lines: entry.lineNumber - 1 };
  }

  /**
   * The number (from 0) of the entry that holds a place, named by one of its three measures; its
   * separator is part of it.
   */
  indexAt(measure: keyof TextPlace, value: number): number {
    const isBefore = (index: number): boolean => this.startOf(index)[measure] <= value;
    return Math.max(0, partitionPoint(this.entries.length, isBefore) - 1);
  }

  /**
   * Entries that have a byte in [startBytes, endBytes), ascending; separators belong to the entry
   * before them.
   */
  overlapping(startBytes: number, endBytes: number): readonly Entry[] {
    const found: Entry[] = [];
    for (let at = this.indexAt('bytes', startBytes); at < this.entries.length; at += 1) {
      const entry = this.entries[at]!;
      if (entry.offsetBytes >= endBytes) break;
      found.push(entry);
    }
    return found;
  }
}

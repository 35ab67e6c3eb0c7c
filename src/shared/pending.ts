import { hash } from 'node:crypto';
import { countText } from '../kernels/text-counts.ts';
import { charToByte } from '../store/text/text-scan.ts';
import type { Entry, SessionStore, StoredOutput, TextSlice } from '../store/types.ts';
import { type LogOperation, type LogText, textOf } from './log.ts';

/**
 * Where texts that have no place yet seem to lie: behind everything that a store can hold, so that
 * whoever reads them by their place reads them here. Characters and bytes.
 */
const firstPlace = 2 ** 50;

interface PendingText {
  readonly entry: Entry;
  /** UTF-8. */
  readonly bytes: Buffer;
  /** As it came. */
  readonly original: Uint8Array;
}

/**
 * What waits for the database of one store, as if it were there: texts under the names that stand
 * in for their numbers, and values of the chat memory. In memory, and in the files of the spool.
 */
export class Pending {
  readonly #texts = new Map<string, PendingText>();
  readonly #byHash = new Map<string, Entry>();
  readonly #outputs = new Map<string, StoredOutput[]>();
  /** The newest value of a key, and in how many rows that wait there is one. */
  readonly #values = new Map<string, { readonly value: unknown; readonly rows: number }>();
  #nextPlace = firstPlace;

  /** How many texts there are. */
  get texts(): number {
    return this.#texts.size;
  }

  get isEmpty(): boolean {
    return this.#texts.size === 0 && this.#values.size === 0;
  }

  /**
   * Takes in what a row of the spool holds. @param store What is in the store already
   * @returns The entry of each of its texts
   */
  add(
    ops: readonly LogOperation[],
    text: Uint8Array,
    timeMs: number,
    store: Pick<SessionStore, 'entries' | 'entryByHash'>,
  ): readonly Entry[] {
    const entries: Entry[] = [];
    let at = 0;
    for (const operation of ops) {
      if (operation.op === 'memory') {
        for (const { key, value } of operation.records) {
          this.#values.set(key, { value, rows: (this.#values.get(key)?.rows ?? 0) + 1 });
        }
      }
      if (operation.op !== 'texts') continue;
      for (const each of operation.texts) {
        const bytes = text.subarray(at, (at += each.bytes));
        entries.push(this.#addText(each, bytes, timeMs, store));
      }
    }
    return entries;
  }

  /** What a row held is in the store now. */
  drop(ops: readonly LogOperation[]): void {
    for (const operation of ops) {
      if (operation.op === 'memory') {
        for (const { key } of operation.records) this.#dropValue(key);
      }
      if (operation.op !== 'texts') continue;
      for (const { standIn, chatId = '', toolCallId = '' } of operation.texts) {
        this.#outputs.delete(`${chatId}\0${toolCallId}`);
        const gone = standIn === undefined ? undefined : this.#texts.get(standIn);
        if (gone === undefined) continue;
        this.#texts.delete(gone.entry.id);
        this.#byHash.delete(gone.entry.sha256);
      }
    }
  }

  #dropValue(key: string): void {
    const waiting = this.#values.get(key);
    if (waiting === undefined) return;
    if (waiting.rows === 1) this.#values.delete(key);
    else this.#values.set(key, { ...waiting, rows: waiting.rows - 1 });
  }

  hasValue(key: string): boolean {
    return this.#values.has(key);
  }

  value(key: string): unknown {
    return this.#values.get(key)?.value;
  }

  entry(id: string): Entry | undefined {
    return this.#texts.get(id)?.entry;
  }

  byHash(sha256: string): Entry | undefined {
    return this.#byHash.get(sha256);
  }

  outputsOf(chatId: string, toolCallId: string): readonly StoredOutput[] {
    return this.#outputs.get(`${chatId}\0${toolCallId}`) ?? [];
  }

  /** The text of an entry that waits; undefined where there is none. */
  textOf(id: string): string | undefined {
    return this.#texts.get(id)?.bytes.toString();
  }

  /** The same as it came; where UTF-8 cannot hold it in UTF-16LE. */
  originalOf(id: string): Uint8Array | undefined {
    return this.#texts.get(id)?.original;
  }

  /** A range of a text that waits; undefined where the range is not one of those. */
  read(offsetChars: number, lengthChars: number): TextSlice | undefined {
    if (offsetChars < firstPlace) return undefined;
    for (const { entry, bytes } of this.#texts.values()) {
      const from = offsetChars - entry.offsetChars;
      if (from < 0 || from > entry.lengthChars) continue;
      const rest = bytes.subarray(charToByte(bytes, from));
      const text = rest.toString('utf8', 0, charToByte(rest, lengthChars));
      return { text, offsetChars, lengthChars: Math.min(lengthChars, entry.lengthChars - from) };
    }
    return undefined;
  }

  #addText(
    text: LogText,
    stored: Uint8Array,
    timeMs: number,
    store: Pick<SessionStore, 'entries' | 'entryByHash'>,
  ): Entry {
    const given = textOf(text, stored);
    if ('seq' in given) return this.#noted(store.entries[given.seq - 1]!, text);
    const bytes = Buffer.from(
      typeof given.text === 'string'
        ? given.text.toWellFormed()
        : new TextDecoder('utf-8', { ignoreBOM: true }).decode(given.text),
    );
    const sha256 = hash('sha256', bytes);
    const { bytes: _, encoding: __, source: ___, standIn, ...facts } = text;
    const entry =
      store.entryByHash(sha256) ??
      this.#byHash.get(sha256) ??
      (standIn === undefined
        ? undefined
        : this.#provisional(facts, { standIn, bytes, original: stored, sha256, timeMs }));
    // Without a stand-in it is known, or was when it was put away.
    if (entry === undefined) throw new Error('a text that waits has no name');
    return this.#noted(entry, text);
  }

  /** What came as the output of which call, until the store says it. */
  #noted(entry: Entry, { chatId = '', toolCallId, call }: LogText): Entry {
    if (toolCallId !== undefined) {
      const key = `${chatId}\0${toolCallId}`;
      const output: StoredOutput = {
        entry,
        call,
        standIn: entry.standIn === entry.id ? entry.id : undefined,
      };
      this.#outputs.set(key, [...(this.#outputs.get(key) ?? []), output]);
    }
    return entry;
  }

  #provisional(
    facts: Omit<LogText, 'bytes' | 'encoding' | 'source' | 'standIn'>,
    {
      standIn,
      bytes,
      original,
      sha256,
      timeMs,
    }: {
      readonly standIn: string;
      readonly bytes: Buffer;
      readonly original: Uint8Array;
      readonly sha256: string;
      readonly timeMs: number;
    },
  ): Entry {
    const { chars, newlines } = countText(bytes);
    const openLine = bytes.length > 0 && bytes.at(-1) !== 0x0a ? 1 : 0;
    const place = this.#nextPlace;
    this.#nextPlace += bytes.length + 1;
    const entry: Entry = {
      ...facts,
      id: standIn,
      seq: 0,
      standIn,
      timeMs: facts.timeMs ?? timeMs,
      offsetBytes: place,
      lengthBytes: bytes.length,
      offsetChars: place,
      lengthChars: chars,
      lineNumber: place,
      lineCount: Math.max(1, newlines + openLine),
      sha256,
    };
    this.#texts.set(standIn, { entry, bytes, original });
    this.#byHash.set(sha256, entry);
    return entry;
  }
}

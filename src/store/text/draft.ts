import { encodeEntry, encodeRecord, entryId, needsSeparator, type AliasRecord } from '../format.ts';
import type { EntryIndex } from './entry-index.ts';
import { isSameOutput, Outputs } from './outputs.ts';
import { contentKey } from './text-pieces.ts';
import type { Entry, NewEntryFacts, OriginalBytes, Totals } from '../types.ts';

/** Longest `args` that is kept, UTF-16 units. */
const argsMaxUnits = 2000;

/** What became of a text when it was written. */
export interface WrittenText {
  readonly facts: NewEntryFacts;
  readonly sha256: string;
  readonly lengthBytes: number;
  readonly lengthChars: number;
  readonly newlines: number;
  readonly lastByte: number | undefined;
  readonly original: OriginalBytes | undefined;
}

/**
 * The journal lines of a commit that is being made, and what they will mean once they are on the
 * disk.
 */
export class Draft {
  readonly lines: string[] = [];
  readonly #index: EntryIndex;
  #timeMs: number;
  readonly #byKey = new Map<string, Entry>();
  readonly #outputs = new Outputs();
  /** Entry number and path of what came again. */
  readonly #paths = new Set<string>();
  readonly #apply: (() => void)[] = [];
  #totals: Totals;

  constructor(index: EntryIndex, timeMs: number) {
    this.#index = index;
    this.#timeMs = timeMs;
    this.#totals = index.totals;
  }

  /** What is drafted from here on came at this time, milliseconds since 1970. */
  at(timeMs: number): void {
    this.#timeMs = timeMs;
  }

  /** Totals with everything in the draft. */
  get totals(): Totals {
    return this.#totals;
  }

  /**
   * The entry that holds this text, committed or in the draft; notes under which tool call or file
   * it came again. `mayBeAgain`: whether a call that is not known yet is one under which the text
   * came again, and is shown so.
   */
  known(key: string, facts: NewEntryFacts, mayBeAgain = true): Entry | undefined {
    const entry = this.#index.byKey(key) ?? this.#byKey.get(key);
    if (entry !== undefined) this.#addAlias(entry, facts, mayBeAgain);
    return entry;
  }

  /** Notes how the text of an entry came again, whatever has become of it. */
  again(seq: number, facts: NewEntryFacts): Entry {
    const entry = this.#index.entries[seq - 1];
    if (entry === undefined) throw new RangeError(`there is no entry ${seq}`);
    this.#addAlias(entry, facts, true);
    return entry;
  }

  /** Adds a text that has been written behind everything else. */
  addText(text: WrittenText): Entry {
    const { facts, sha256, lengthBytes, lengthChars, original } = text;
    const { source, args } = facts;
    const seq = this.#totals.entries + 1;
    const openLine = lengthBytes > 0 && needsSeparator(text.lastByte) ? 1 : 0;
    const entry: Entry = {
      id: entryId(seq),
      seq,
      kind: facts.kind,
      timeMs: facts.timeMs ?? this.#timeMs,
      offsetBytes: this.#totals.bytes,
      lengthBytes,
      offsetChars: this.#totals.chars,
      lengthChars,
      lineNumber: this.#totals.lines + 1,
      lineCount: Math.max(1, text.newlines + openLine),
      sha256,
    };
    copyFacts(facts, entry);
    if (facts.timeMs !== undefined) assign(entry, 'storedMs', this.#timeMs);
    if (args !== undefined) assign(entry, 'args', args.slice(0, argsMaxUnits).toWellFormed());
    if (original !== undefined) assign(entry, 'original', original);
    const separator = needsSeparator(text.lastByte) ? 1 : 0;
    const end = {
      bytes: this.#totals.bytes + lengthBytes + separator,
      chars: this.#totals.chars + lengthChars + separator,
      lines: this.#totals.lines + text.newlines + separator,
      entries: seq,
    };
    this.lines.push(encodeEntry(entry, source, end));
    this.#totals = end;
    this.#byKey.set(contentKey(sha256, original), entry);
    this.#noteOutput(entry, facts);
    this.#apply.push(() => this.#index.add(entry, source, end));
    return entry;
  }

  /**
   * Runs `step` when everything in the draft is on the disk, in the moment in which it becomes
   * visible.
   */
  whenApplied(step: () => void): void {
    this.#apply.push(step);
  }

  /** Everything in the draft is on the disk: makes it visible. */
  apply(): void {
    for (const step of this.#apply) step();
  }

  #isKnownPath(entry: Entry, path: string): boolean {
    return this.#index.listing.hasPath(entry, path) || this.#paths.has(`${entry.seq}\0${path}`);
  }

  #addAlias(entry: Entry, given: NewEntryFacts, mayBeAgain: boolean): void {
    const isGone = (entry.forgotten ?? entry.masked) !== undefined;
    const facts = isGone ? bareFacts(given) : given;
    const { toolCallId, chatId, call, path, source, standIn } = facts;
    const known = path === undefined ? undefined : this.#index.source(path);
    const sameSource =
      source === undefined ||
      (known?.entry === entry &&
        known.file.sizeBytes === source.sizeBytes &&
        known.file.mtimeMs === source.mtimeMs);
    const sameCall = toolCallId === undefined || this.#hasOutput(entry, facts);
    // A path without a file's time and size comes with a client's tool: noted once.
    const samePath = path === undefined || source !== undefined || this.#isKnownPath(entry, path);
    const sameName = standIn === undefined || this.#index.byId(standIn) === entry;
    if (sameSource && sameCall && samePath && sameName) return;
    const timeMs = this.#timeMs;
    const again = mayBeAgain && !sameCall ? true : undefined;
    const record: AliasRecord = {
      type: 'alias',
      seq: entry.seq,
      ...(toolCallId !== undefined && { toolCallId }),
      ...(toolCallId !== undefined && chatId !== undefined && { chatId }),
      ...(toolCallId !== undefined && call !== undefined && { call }),
      ...(again && { again }),
      ...(path !== undefined && { path }),
      ...(source && { source }),
      ...(standIn !== undefined && { standIn }),
      timeMs,
      end: this.#totals,
    };
    this.lines.push(encodeRecord(record));
    this.#noteOutput(entry, facts, again);
    if (path !== undefined) this.#paths.add(`${entry.seq}\0${path}`);
    this.#apply.push(() =>
      this.#index.addAlias(entry, {
        toolCallId,
        chatId,
        call,
        again,
        path,
        source,
        standIn,
        timeMs,
      }),
    );
  }

  #noteOutput(entry: Entry, { toolCallId, chatId = '', call }: NewEntryFacts, again?: true): void {
    const isAgain = again === undefined ? {} : { isAgain: again };
    if (toolCallId !== undefined)
      this.#outputs.add(chatId, toolCallId, { entry, call, ...isAgain });
  }

  #hasOutput(entry: Entry, { toolCallId = '', chatId = '', call }: NewEntryFacts): boolean {
    const output = { entry, call };
    // The very call for which it first came: another chat has the same history.
    if (entry.toolCallId === toolCallId && isSameOutput({ entry, call: entry.call }, output))
      return true;
    const known = [this.#index.outputsOf(chatId, toolCallId), this.#outputs.of(chatId, toolCallId)];
    return known.flat().some((each) => isSameOutput(each, output));
  }
}

/** Where a text came from, and for which call, may tell what it was. */
function bareFacts({ kind, toolCallId, chatId, standIn }: NewEntryFacts): NewEntryFacts {
  return {
    kind,
    ...(toolCallId !== undefined && { toolCallId }),
    ...(chatId !== undefined && { chatId }),
    ...(standIn !== undefined && { standIn }),
  };
}

const copiedFacts = [
  'tool',
  'path',
  'chatId',
  'toolCallId',
  'call',
  'note',
  'outline',
  'standIn',
] as const;

/**
 * Copies what is known, one by one: in a folder of small files a spread would cost more than the
 * text.
 */
function copyFacts(facts: NewEntryFacts, entry: Entry): void {
  for (const name of copiedFacts) {
    const value = facts[name];
    if (value !== undefined) assign(entry, name, value);
  }
}

/** Completes an entry that nobody has seen yet. */
function assign<Name extends keyof Entry>(entry: Entry, name: Name, value: Entry[Name]): void {
  (entry as { -readonly [Each in keyof Entry]: Entry[Each] })[name] = value;
}

import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../../clock.ts';
import { ProxyError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { blockCacheName, encodeBlocks } from '../text/block-cache.ts';
import { Committer } from '../text/committer.ts';
import type { ContextFile } from '../text/context-file.ts';
import { Draft } from '../text/draft.ts';
import type { EntryIndex } from '../text/entry-index.ts';
import { replaceFile, type Files } from '../disk/files.ts';
import { Originals } from '../text/originals.ts';
import type { RecordLog } from '../disk/record-log.ts';
import { recoverSession } from './recover.ts';
import { siblingPaths, type SessionPaths } from '../disk/session-paths.ts';
import type { StagedPart, StagedText, StagedTexts } from '../text/staged-texts.ts';
import { StorePlace, type StorePlaceOptions } from '../disk/store-place.ts';
import { TableRebuild } from '../checks/table-rebuild.ts';
import {
  contentKey,
  pieceMaxBytes,
  prepareSmallText,
  prepareText,
  type PreparedText,
} from '../text/text-pieces.ts';
import { TextReader } from './text-reader.ts';
import { TextWatch } from '../checks/text-watch.ts';
import { type TextAgain, TextWriter, type ReceivedText } from './text-writer.ts';
import { PastStore } from './past-store.ts';
import { PastViews } from './past-views.ts';
import { checkRanges, recordsIn, replayPast, type Past } from './replay.ts';
import type {
  BaseRange,
  DamagedText,
  Entry,
  EntryList,
  Moment,
  NewEntry,
  NewEntryFacts,
  NewStream,
  OutlinesOf,
  SessionStore,
  Snapshot,
  SourceFile,
  StoredOutput,
  TextSlice,
  Totals,
} from '../types.ts';

/**
 * The cached block table is written again after so much new text: making it anew for that much
 * takes about 50 ms.
 */
const cacheEveryBytes = 64 * 1024 * 1024;

/** Also what an append can have to wait for at most: that much is written in one go. */
const defaultHeldTextBytes = 8 * 1024 * 1024;

/** What {@link FileSessionStore.open} needs. */
interface SessionStoreOptions extends StorePlaceOptions {
  readonly sessionId: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Largest text of the session, bytes. */
  readonly maxSessionBytes: number;
  /**
   * A text that comes in pieces is held in memory up to this size, bytes (8 MiB); a larger one gets
   * a file of its own.
   */
  readonly heldTextBytes?: number | undefined;
  /** Of the hashes by which forgotten texts are known; absent where none was ever forgotten. */
  readonly hashKeys?: readonly Buffer[] | undefined;
  /** Sees to it that no more is stored than may be. */
  readonly room?: SessionRoom | undefined;
  /** Keeps what it held at moments that were asked for (some of its own). */
  readonly pastViews?: PastViews | undefined;
}

/** Texts that a log elsewhere has in one of its rows. */
export interface ReplayedTexts {
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  readonly entries: readonly (NewEntry | TextAgain)[];
  /** SHA-256 in hexadecimal of those that are UTF-8, as far as they are known. */
  readonly hashes?: readonly (string | undefined)[] | undefined;
}

/** Hears what a session holds in its own file, what is gone not counted. */
export interface SessionRoom {
  /** So much is to be added to what it holds, bytes. Rejects with `store_full`. */
  take(keptBytes: number, lengthBytes: number): Promise<void>;
  noted(keptBytes: number): void;
}

/** What a session's own file holds. */
export interface OwnText {
  /** Bytes [start, end) of the file where texts were that are gone, ascending and disjoint. */
  readonly gone: readonly (readonly [number, number])[];
  /** What is before this in the file does not change, unless it is forgotten. */
  readonly settledBytes: number;
}

/** A session's texts in files (`format.ts`). Owns them until it is disposed of. */
export class FileSessionStore implements SessionStore {
  readonly sessionId: string;
  readonly createdMs: number;
  /** What it begins with, where it is a branch. */
  readonly bases: readonly BaseRange[];
  readonly #baseRecords: number;
  readonly #paths: SessionPaths;
  readonly #files: Files;
  readonly #log: Logger;
  readonly #text: ContextFile;
  readonly #journal: RecordLog;
  readonly #index: EntryIndex;
  readonly #reader: TextReader;
  readonly #writer: TextWriter;
  readonly #committer: Committer;
  readonly #rebuild: TableRebuild;
  readonly #originals: Originals;
  readonly #staged: StagedTexts;
  /** Large texts are given their place one after the other. */
  #placing: Promise<unknown> = Promise.resolve();
  readonly #watch: TextWatch;
  readonly #where: StorePlace;
  readonly #pastViews: PastViews;
  #cachedBytes: number;
  /** What of the whole text is not in its own file, or gone. */
  readonly #uncountedBytes: number;

  private constructor(
    options: SessionStoreOptions,
    parts: Awaited<ReturnType<typeof recoverSession>>,
  ) {
    this.sessionId = options.sessionId;
    this.createdMs = parts.createdMs;
    this.bases = parts.bases;
    this.#baseRecords = parts.bases.reduce((sum, { records }) => sum + records, 0);
    this.#paths = options.paths;
    this.#files = options.files;
    this.#log = options.log;
    this.#where = new StorePlace(options);
    this.#pastViews = options.pastViews ?? new PastViews();
    this.#text = parts.text;
    this.#journal = parts.journal;
    this.#index = parts.index;
    const { gone } = this.ownText;
    const goneBytes = gone.reduce((sum, [start, end]) => sum + end - start, 0);
    this.#uncountedBytes = this.#ownStart + goneBytes;
    this.#cachedBytes = parts.index.startOf(parts.coveredEntries).bytes;
    const log = options.log.child({ session: options.sessionId });
    this.#watch = new TextWatch({ ...options, ...parts, log });
    this.#originals = new Originals(
      options.files,
      options.paths.originalsDir,
      parts.bases.map(({ sessionId }) => siblingPaths(options.paths, sessionId).originalsDir),
    );
    this.#staged = parts.staged;
    this.#writer = new TextWriter({
      ...parts,
      clock: options.clock,
      originals: this.#originals,
      // What is gone leaves its places, and no bytes.
      maxBytes: options.maxSessionBytes + goneBytes,
      heldBytes: options.heldTextBytes ?? defaultHeldTextBytes,
      take: async (endBytes, lengthBytes) =>
        options.room?.take(endBytes - this.#uncountedBytes, lengthBytes),
    });
    this.#committer = new Committer({
      ...parts,
      clock: options.clock,
      checkPlace: () => this.#where.check(),
      afterCommit: async () => {
        options.room?.noted(this.keptBytes);
        // While the table is being made, it is kept on the way.
        if (parts.text.isTableWhole) await this.#saveBlocks(cacheEveryBytes);
        else this.#rebuild.start();
      },
    });
    this.#rebuild = new TableRebuild({
      ...parts,
      committer: this.#committer,
      checks: this.#watch.checks,
      isCacheSound: this.#watch.isSound,
      log,
      // Each time as much again, so that a table of any size is written a few times only; and what
      // is done is kept at once.
      onRun: () =>
        this.#saveBlocks(
          parts.text.isTableWhole ? 1 : Math.max(cacheEveryBytes, this.#cachedBytes),
        ),
    });
    options.room?.noted(this.keptBytes);
    this.#reader = new TextReader(parts.text, parts.index, this.#rebuild, this.#watch.checks);
    this.#rebuild.start();
  }

  /** Opens and, where a crash left a torn tail, repairs. @throws ProxyError `store_corrupt` */
  static async open(options: SessionStoreOptions): Promise<FileSessionStore> {
    const parts = await recoverSession(options.files, options.paths, options);
    await options.files.makeDirectory(options.paths.indexDir);
    return new FileSessionStore(options, parts);
  }

  get textPath(): string {
    return this.#text.path;
  }

  get indexDir(): string {
    return this.#paths.indexDir;
  }

  get totals(): Totals {
    return this.#index.totals;
  }

  get entries(): readonly Entry[] {
    return this.#index.entries;
  }

  get list(): EntryList {
    return this.#index.listing;
  }

  entry(id: string): Entry | undefined {
    return this.#index.byId(id);
  }

  entryByHash(sha256: string): Entry | undefined {
    return this.#index.byHash(sha256);
  }

  outputsOf(chatId: string, toolCallId: string): readonly StoredOutput[] {
    return this.#index.outputsOf(chatId, toolCallId);
  }

  source(path: string): { readonly file: SourceFile; readonly entry: Entry } | undefined {
    return this.#index.source(path);
  }

  async append(entries: readonly NewEntry[], outlinesOf?: OutlinesOf): Promise<readonly Entry[]> {
    let texts: PreparedText[] = [];
    let hashedBytes = 0;
    for (const entry of entries) {
      const text = prepareSmallText(entry) ?? (await prepareText(entry));
      texts.push(text);
      hashedBytes += text.lengthBytes;
      if (hashedBytes > pieceMaxBytes) {
        hashedBytes = 0;
        await setImmediate();
      }
    }
    if (outlinesOf !== undefined) texts = await this.#outlined(texts, entries, outlinesOf);
    return this.#committer.commit(this.#writer.textsJob(texts));
  }

  /** The texts that are new here with their outlines. */
  async #outlined(
    texts: readonly PreparedText[],
    entries: readonly NewEntry[],
    outlinesOf: OutlinesOf,
  ): Promise<PreparedText[]> {
    const fresh = new Map<string, NewEntry>();
    for (const [at, { key }] of texts.entries())
      if (this.#index.byKey(key) === undefined && !fresh.has(key)) fresh.set(key, entries[at]!);
    const outlines = fresh.size === 0 ? [] : await outlinesOf([...fresh.values()]);
    const byKey = new Map([...fresh.keys()].map((key, at) => [key, outlines[at]]));
    return texts.map((text) => {
      const outline = byKey.get(text.key);
      return outline === undefined
        ? text
        : Object.assign({}, text, { facts: Object.assign({ outline }, text.facts) });
    });
  }

  /**
   * Stores texts that a log elsewhere has, each row at the log's time, in the order given: what is
   * written follows from them alone, whoever replays them. @returns Their entries, row by row
   */
  async replay(rows: readonly ReplayedTexts[]): Promise<readonly (readonly Entry[])[]> {
    const prepared: {
      readonly texts: readonly (PreparedText | TextAgain)[];
      readonly timeMs: number;
    }[] = [];
    for (const { entries, hashes, timeMs } of rows) {
      const texts: (PreparedText | TextAgain)[] = [];
      for (const [at, entry] of entries.entries()) {
        const known = hashes?.[at];
        texts.push(
          'seq' in entry
            ? entry
            : (prepareSmallText(entry, known) ?? (await prepareText(entry, known))),
        );
      }
      prepared.push({ texts, timeMs });
    }
    return Promise.all(
      prepared.map(async ({ texts, timeMs }) =>
        this.#committer.commit(this.#writer.textsJob(texts, timeMs)),
      ),
    );
  }

  /**
   * The entry of a text, also of one that was forgotten and is not to come again, and whether
   * nothing would have to be noted if it came so. @param sha256 Of valid UTF-8
   */
  known(
    sha256: string,
    facts: NewEntryFacts,
  ): { readonly entry: Entry; readonly isNoted: boolean } | undefined {
    const draft = new Draft(this.#index, 0);
    const entry = draft.known(contentKey(sha256, undefined), facts);
    return entry === undefined ? undefined : { entry, isNoted: draft.lines.length === 0 };
  }

  /** Lines of its own journal that the store is made of. */
  get ownRecords(): number {
    return this.#index.records - this.#baseRecords;
  }

  /** @param timeMs When the text came, where that is not now, milliseconds since 1970 */
  async appendStream(stream: NewStream, timeMs?: number): Promise<Entry> {
    let failure: { readonly error: unknown } | undefined;
    let received: ReceivedText;
    try {
      received = await this.#writer.receive(stream, (error) => {
        failure = { error };
      });
    } catch (error) {
      // What the stream itself failed with is the caller's own, whatever it is.
      if (failure !== undefined) throw failure.error;
      throw this.#where.failure(error);
    }
    const { part } = received;
    if (part !== undefined) return this.#place(received, part, timeMs);
    const [entry] = await this.#committer.commit(this.#writer.receivedJob(received, timeMs));
    return entry!;
  }

  /** Commits a large text by its journal line, and waits until it has moved to its place. */
  async #place(
    received: ReceivedText,
    part: StagedPart,
    timeMs: number | undefined,
  ): Promise<Entry> {
    const before = this.#placing;
    const place = async (): Promise<Entry> => {
      await before;
      const staged = await this.#keepStaged(received, part);
      let entry: Entry | undefined;
      try {
        const moveLater = (added: Entry, wasTableWhole: boolean): void => {
          if (wasTableWhole) this.#rebuild.leaveOff(added);
        };
        const job = this.#writer.stagedJob(received, staged, moveLater, timeMs);
        [entry] = await this.#committer.commit(job);
      } finally {
        await this.#staged.discard(staged);
      }
      await this.#untilPlaced(entry!);
      return entry!;
    };
    const placing = place();
    this.#placing = placing.catch(() => undefined);
    return placing;
  }

  async #keepStaged(received: ReceivedText, part: StagedPart): Promise<StagedText> {
    try {
      return await this.#staged.keep(part, received.key);
    } catch (error) {
      await part.abandon();
      throw this.#where.failure(error);
    }
  }

  /**
   * The text is committed. If it cannot move now, that is in the log, the next question for it
   * tries again, and so does opening the store.
   */
  async #untilPlaced(entry: Entry): Promise<void> {
    try {
      if (this.#staged.has(entry)) await this.#rebuild.whole();
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
    }
  }

  /** Notes under which further calls, and from which files, entries of this session came again. */
  async appendAliases(aliases: Parameters<TextWriter['aliasesJob']>[0]): Promise<void> {
    if (aliases.length > 0) await this.#committer.commit(this.#writer.aliasesJob(aliases));
  }

  async read(offsetChars: number, lengthChars: number): Promise<TextSlice> {
    await this.#placedIn(offsetChars, lengthChars);
    return this.#reader.read(offsetChars, lengthChars);
  }

  async readBytes(offsetChars: number, lengthChars: number): Promise<Uint8Array<ArrayBuffer>> {
    await this.#placedIn(offsetChars, lengthChars);
    return this.#reader.readBytes(offsetChars, lengthChars);
  }

  async #placedIn(offsetChars: number, lengthChars: number): Promise<void> {
    const endChars = offsetChars + lengthChars;
    await this.#placed(
      (entry) =>
        offsetChars < entry.offsetChars + entry.lengthChars && endChars > entry.offsetChars,
    );
  }

  async readLines(first: number, last: number): Promise<TextSlice> {
    await this.#placed(
      ({ lineNumber, lineCount }) => first < lineNumber + lineCount && last >= lineNumber,
    );
    return this.#reader.readLines(first, last);
  }

  async readEntry(entry: Entry): Promise<string> {
    await this.#placed((other) => other === entry);
    return this.#reader.readEntry(entry);
  }

  async *readOriginal(entry: Entry): AsyncGenerator<Uint8Array> {
    if (entry.original !== undefined) {
      yield* this.#originals.read(entry.original);
      return;
    }
    await this.#placed((other) => other === entry);
    yield* this.#reader.readEntryPieces(entry);
  }

  async verify(): Promise<readonly Entry[]> {
    const damaged: Entry[] = [];
    for await (const run of this.verifyRuns()) damaged.push(...run.damaged);
    return damaged;
  }

  /** The same, run by run of entries: up to which byte, and what is damaged in the run. */
  async *verifyRuns(): ReturnType<TextWatch['verify']> {
    await this.#placed(() => true);
    yield* this.#watch.verify();
  }

  /**
   * Compares what nothing is known of yet, at once; all that is damaged. @throws ProxyError what
   * reading throws
   */
  async compare(): Promise<readonly DamagedText[]> {
    await this.#rebuild.whole();
    await this.#watch.finish();
    return this.#watch.checks.ranges;
  }

  /** What the session holds now, as the beginnings of journals. */
  get ranges(): readonly BaseRange[] {
    const { totals } = this.#index;
    const own = this.ownRecords;
    if (own === 0) return this.bases;
    return [...this.bases, { sessionId: this.sessionId, records: own, end: totals }];
  }

  /**
   * What the session begins with and what is its own, once every text is in its place: from here
   * on that much of the files stays as it is.
   */
  async settled(): Promise<{ readonly bases: readonly BaseRange[]; readonly own: BaseRange }> {
    while (!this.#staged.isEmpty) await this.#rebuild.whole();
    const { records, totals } = this.#index;
    const own = { sessionId: this.sessionId, records: records - this.#baseRecords, end: totals };
    return { bases: this.bases, own };
  }

  /** The session in whose file the text of an entry lies, and that file. */
  holderOf(id: string): { readonly sessionId: string; readonly path: string } {
    const seq = this.entry(id)?.seq ?? Infinity;
    const base = this.bases.find(({ end }) => seq <= end.entries);
    if (base === undefined) return { sessionId: this.sessionId, path: this.textPath };
    const { sessionId } = base;
    return { sessionId, path: siblingPaths(this.#paths, sessionId).text };
  }

  /** What it holds in its own file, what is gone not counted, bytes. */
  get keptBytes(): number {
    return this.#index.totals.bytes - this.#uncountedBytes;
  }

  /** When texts came again last, of those that did. */
  get cameAgainMs(): ReadonlyMap<Entry, number> {
    return this.#index.cameAgainMs;
  }

  /** What is known of its own file; texts that are gone stay so as long as the store is open. */
  get ownText(): OwnText {
    const gone: [number, number][] = [];
    for (let at = this.bases.at(-1)?.end.entries ?? 0; at < this.entries.length; at += 1) {
      if (this.entries[at]!.forgotten === undefined) continue;
      const start = this.#index.startOf(at).bytes - this.#ownStart;
      const end = this.#index.startOf(at + 1).bytes - this.#ownStart;
      const last = gone.at(-1);
      if (last !== undefined && last[1] === start) last[1] = end;
      else gone.push([start, end]);
    }
    // What has only been given its place is filled in later.
    const [unplaced] = this.#index.unplaced;
    const settled = unplaced?.offsetBytes ?? this.#index.totals.bytes;
    return { gone, settledBytes: settled - this.#ownStart };
  }

  get #ownStart(): number {
    return this.bases.at(-1)?.end.bytes ?? 0;
  }

  /** What it held at a moment, read from its journal. @throws ProxyError `store_corrupt` */
  async past(moment: Moment): Promise<Past> {
    const past = await this.#replayed(this.#recordsAt(moment));
    if ('ranges' in moment) checkRanges(this.#paths.journal, moment.ranges, past.index);
    return past;
  }

  /** The same as it is kept for those who ask again. @throws ProxyError `store_corrupt` */
  async pastIndex(moment: Moment): Promise<EntryIndex> {
    const records = this.#recordsAt(moment);
    const make = async (): Promise<EntryIndex> => (await this.#replayed(records)).index;
    const index = await this.#pastViews.of(this, records, make);
    if ('ranges' in moment) checkRanges(this.#paths.journal, moment.ranges, index);
    return index;
  }

  async at(moment: Moment): Promise<SessionStore> {
    return new PastStore(this, await this.pastIndex(moment));
  }

  async #replayed(records: number): Promise<Past> {
    const of = { paths: this.#paths, sessionId: this.sessionId };
    return replayPast(this.#files, of, { records, known: this.entries });
  }

  #recordsAt(moment: Moment): number {
    const { records } = this.#index;
    return 'ranges' in moment
      ? Math.min(records, recordsIn(moment.ranges))
      : this.#index.recordsAt(moment);
  }

  async snapshot(): Promise<Snapshot> {
    if (!this.#isOnlyLastOnItsWay()) await this.#rebuild.whole();
    this.#watch.notice();
    return this.#view();
  }

  /**
   * Whether the table covers everything but a large text that is still moving to its place, with
   * nothing behind it. Who stores that text is still waiting: a search need not, it sees what was
   * there before.
   */
  #isOnlyLastOnItsWay(): boolean {
    const { entries } = this.#index;
    return this.#staged.has(entries.at(-1)) && this.#rebuild.coveredEntries === entries.length - 1;
  }

  /** Waits for a text that is still moving to its place, if it is one of those that are wanted. */
  async #placed(isWanted: (entry: Entry) => boolean): Promise<void> {
    if (!this.#staged.isEmpty && this.#staged.entries.some(isWanted)) await this.#rebuild.whole();
  }

  /** Waits for what is being appended, then closes the files. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#pastViews.forget(this);
    await this.#rebuild.stop();
    await this.#watch.stop();
    await this.#committer.close();
    // First what frees a descriptor: there may be none left, and keeping the table needs one for a
    // moment.
    await this.#journal.close();
    await this.#saveBlocks(1);
    // Of a store whose files are gone nothing may be left behind: it would be taken for a damaged
    // one.
    if (this.#where.lost() === undefined) await this.#watch.save();
    await this.#text.close();
  }

  #view(): Snapshot {
    const { sessionId, indexDir } = this;
    const { spans } = this.#text;
    const { coveredEntries } = this.#rebuild;
    const totals = { ...this.#index.startOf(coveredEntries), entries: coveredEntries };
    const { count, byteStart, charStart, lineStart, crc } = this.#text.table.committed;
    const blocks = { count, byteStart, charStart, lineStart, crc };
    const recheck = async (wrong: readonly number[]): Promise<Snapshot> => {
      await this.#watch.checks.look(wrong);
      return this.#view();
    };
    const checks = { ...this.#watch.checks.snapshot(), recheck };
    return { sessionId, spans, indexDir, totals, blocks, checks, entries: this.entries };
  }

  /**
   * Keeps the table, as far as it is, where that is at least `grownBytes` more than what is kept.
   */
  async #saveBlocks(grownBytes: number): Promise<void> {
    const { coveredEntries } = this.#rebuild;
    const coveredBytes = this.#index.startOf(coveredEntries).bytes;
    if (coveredBytes - this.#cachedBytes < grownBytes) return;
    // Of damaged text the table must be made, and all of it verified, at each opening.
    if (this.#rebuild.hasSeenDamage || this.#where.lost() !== undefined) return;
    const bytes = encodeBlocks(this.#text.table.committed, this.#index, coveredEntries);
    this.#cachedBytes = coveredBytes;
    try {
      await this.#files.makeDirectory(this.#paths.indexDir);
      await replaceFile(this.#files, join(this.#paths.indexDir, blockCacheName), bytes);
    } catch (error) {
      this.#log.warn(
        { err: error, session: this.sessionId },
        'a cache of the text could not be written: it is made anew when the store is opened',
      );
    }
  }
}

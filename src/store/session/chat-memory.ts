import { dirname } from 'node:path';
import { GroupCommit, type Waiting } from '../../base/group-commit.ts';
import type { Clock } from '../../clock.ts';
import { ProxyError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { writeFully, type Files } from '../disk/files.ts';
import { encodeHeader, encodeRecord, headerFault, isWholeRecord } from '../format.ts';
import { RecordLog, recordMaxBytes } from '../disk/record-log.ts';
import { corruptStore, toStoreFailure } from '../disk/store-failure.ts';
import type { ChatMemory, ChatRecord } from '../types.ts';

/** `format` in the header. */
export const chatsFormat = 'rlm-opencode-chats';

/** Keys of turns, which can be large; whoever reads those keeps them. */
export const turnKeyPrefix = 'record:';

/** How much is remembered, for how long. */
export interface ChatMemoryLimits {
  /** The file is compacted to half of this when it grows beyond it. */
  readonly maxBytes: number;
  /** Older records are forgotten when the file is compacted. */
  readonly maxAgeMs: number;
}

/** What {@link FileChatMemory.open} needs. */
interface ChatMemoryOptions {
  readonly path: string;
  readonly sessionId: string;
  readonly files: Files;
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits: ChatMemoryLimits;
}

/** Longest key, UTF-16 units; escaped it takes at most six bytes a unit. */
const keyMaxUnits = 10_000;
/** Key and time lie within so many bytes of a line's start. */
const headMaxBytes = 6 * keyMaxUnits + 64;

interface RecordPlace {
  readonly positionBytes: number;
  readonly lengthBytes: number;
  readonly timeMs: number;
}

/** One file of records and where each key's newest one lies. */
interface Generation {
  readonly log: RecordLog;
  /** In the order in which keys were last put. */
  readonly places: Map<string, RecordPlace>;
  readers: number;
  retired: boolean;
}

interface EncodedRecord {
  readonly key: string;
  readonly timeMs: number;
  readonly line: Buffer;
}

/**
 * The chat memory in a file (`format.ts`): keys and places in memory, values read by position. Owns
 * the file.
 */
export class FileChatMemory implements ChatMemory {
  readonly #options: ChatMemoryOptions;
  #generation: Generation;
  readonly #puts = new GroupCommit<readonly EncodedRecord[], void>((group) =>
    this.#commitGroup(group),
  );
  #uncut = false;
  #closed = false;
  #compactAtBytes: number;

  private constructor(options: ChatMemoryOptions, generation: Generation) {
    this.#options = options;
    this.#generation = generation;
    this.#compactAtBytes = options.limits.maxBytes;
  }

  /**
   * Opens or makes the file; cuts a torn tail, forgets damaged records with a warning. A file that
   * is not a memory of this session is put aside (`.damaged`) and another one begun: what is
   * remembered is a cache, whose loss costs a provider's prompt cache and no text.
   */
  static async open(options: ChatMemoryOptions): Promise<FileChatMemory> {
    return new FileChatMemory(options, await openOrBegin(options));
  }

  has(key: string): boolean {
    return this.#generation.places.has(key);
  }

  /** All keys, in the order in which they were put last. */
  keys(): readonly string[] {
    return [...this.#generation.places.keys()];
  }

  /** Nothing is: what is asked for again and again is kept by who asks. */
  atHand(): unknown {
    return undefined;
  }

  async get(key: string): Promise<unknown> {
    const generation = this.#generation;
    const place = generation.places.get(key);
    if (place === undefined) return undefined;
    generation.readers += 1;
    try {
      const line = await generation.log.readLine(place.positionBytes, place.lengthBytes);
      if (!isWholeRecord(line)) {
        // Unless another one has come meanwhile.
        if (generation.places.get(key) === place) generation.places.delete(key);
        const { path, log } = this.#options;
        log.warn(
          { path, positionBytes: place.positionBytes },
          'a damaged chat record was forgotten',
        );
        return undefined;
      }
      return (JSON.parse(line.toString()) as { readonly v: unknown }).v;
    } finally {
      generation.readers -= 1;
      if (generation.retired && generation.readers === 0) await generation.log.close();
    }
  }

  async put(records: readonly ChatRecord[]): Promise<void> {
    if (this.#closed) throw new ProxyError('shutting_down', 'The store is being closed.');
    if (records.length === 0) return;
    const encoded = records.map((record) =>
      encodePut(record, record.timeMs ?? this.#options.clock.now()),
    );
    await this.#puts.add(encoded);
  }

  /** May be called more than once. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#puts.idle();
    await retire(this.#generation);
  }

  async #commitGroup(group: readonly Waiting<readonly EncodedRecord[], void>[]): Promise<void> {
    try {
      await this.#write(group.flatMap(({ job }) => job));
    } catch (error) {
      this.#uncut = true;
      for (const put of group) put.reject(toStoreFailure(error, this.#options.path));
      return;
    }
    for (const put of group) put.resolve();
    if (this.#generation.log.sizeBytes > this.#compactAtBytes) await this.#compact();
  }

  async #write(records: readonly EncodedRecord[]): Promise<void> {
    const { log, places } = this.#generation;
    if (this.#uncut) await log.rollBack();
    this.#uncut = false;
    let positionBytes = log.sizeBytes;
    await log.append(Buffer.concat(records.map(({ line }) => line)));
    for (const { key, timeMs, line } of records) {
      places.delete(key);
      places.set(key, { positionBytes, lengthBytes: line.length - 1, timeMs });
      positionBytes += line.length;
    }
  }

  /** Writes the newest records to a file of their own and puts it in the place of the old one. */
  async #compact(): Promise<void> {
    const { files, path, sessionId, clock, limits, log } = this.#options;
    const old = this.#generation;
    const header = encodeHeader(chatsFormat, sessionId, clock.now());
    const kept = newestPlaces(old.places, limits, clock.now());
    const fresh = `${path}.new`;
    try {
      await writeGeneration(files, fresh, header, linesAt(old.log, kept));
      const generation = await openGeneration(this.#options, fresh);
      try {
        await files.rename(fresh, path);
      } catch (error) {
        await generation.log.close();
        throw error;
      }
      // From here on the old file has no name: nothing may fail before the new one is in its place.
      this.#generation = generation;
      this.#compactAtBytes = limits.maxBytes;
      await retire(old);
      await files.syncDirectory(dirname(path));
    } catch (error) {
      // Nothing is lost: where the old file goes on, it is compacted when it has grown by a quarter
      // more.
      this.#compactAtBytes = Math.max(this.#compactAtBytes, this.#generation.log.sizeBytes * 1.25);
      log.warn({ err: error, session: sessionId }, 'chat memory not compacted');
    }
  }
}

/**
 * Copies what was remembered at a moment to a memory of another session, whose file is not there
 * yet. A value that has been replaced since, and forgotten when the file was compacted, is not in
 * it.
 */
export async function copyChats(
  files: Files,
  { from, to, untilMs }: { readonly from: string; readonly to: string; readonly untilMs: number },
  { sessionId, createdMs }: { readonly sessionId: string; readonly createdMs: number },
): Promise<void> {
  if (!(await files.exists(from))) return;
  const log = new RecordLog(from, await files.open(from, { create: false }));
  try {
    await writeGeneration(
      files,
      to,
      encodeHeader(chatsFormat, sessionId, createdMs),
      linesUntil(log, untilMs),
    );
  } finally {
    await log.close();
  }
}

/** What was remembered at a moment: the newest value of each key, in the order of their coming. */
export async function* rememberedUntil(
  files: Files,
  path: string,
  untilMs: number,
): AsyncGenerator<ChatRecord> {
  if (!(await files.exists(path))) return;
  const log = new RecordLog(path, await files.open(path, { create: false }));
  try {
    const newest = new Map<string, number>();
    for await (const line of linesUntil(log, untilMs)) {
      const { key } = recordHead(line)!;
      newest.set(key, (newest.get(key) ?? 0) + 1);
    }
    for await (const line of linesUntil(log, untilMs)) {
      const { key } = recordHead(line)!;
      const left = newest.get(key)! - 1;
      newest.set(key, left);
      if (left === 0) yield { key, value: (JSON.parse(line.toString()) as ChatLine).v };
    }
  } finally {
    await log.close();
  }
}

/**
 * Takes records out of a chat memory's file, which nobody has open: all versions of those of which
 * one `isGone`. With `isTrial` nothing is changed. @returns How many keys were, or would be, taken
 * out
 */
export async function rewriteChats(
  files: Files,
  path: string,
  isGone: (key: string, value: unknown) => boolean,
  { isTrial, sessionId }: { readonly isTrial: boolean; readonly sessionId: string },
): Promise<number> {
  if (!(await files.exists(path))) return 0;
  const log = new RecordLog(path, await files.open(path, { create: false }));
  try {
    const gone = new Set<string>();
    let createdMs = 0;
    for await (const line of log.scan()) {
      if (!line.whole || !line.ended) continue;
      const record = JSON.parse(line.bytes.toString()) as ChatLine;
      if (line.lineNumber === 1) ({ createdMs = 0 } = record);
      else if (isGone(record.k, record.v)) gone.add(record.k);
    }
    if (isTrial || gone.size === 0) return gone.size;
    const header = encodeHeader(chatsFormat, sessionId, createdMs);
    await writeGeneration(files, `${path}.new`, header, linesWithout(log, gone));
    await files.rename(`${path}.new`, path);
    await files.syncDirectory(dirname(path));
    return gone.size;
  } finally {
    await log.close();
  }
}

/** A line of the file, the header's members among them. */
interface ChatLine {
  readonly createdMs?: number;
  readonly k: string;
  readonly v: unknown;
}

async function* linesWithout(log: RecordLog, gone: ReadonlySet<string>): AsyncGenerator<Buffer> {
  for await (const line of log.scan()) {
    const head = line.whole && line.lineNumber > 1 ? recordHead(line.bytes) : undefined;
    if (head !== undefined && !gone.has(head.key)) {
      yield Buffer.concat([line.bytes, Buffer.from('\n')]);
    }
  }
}

async function* linesUntil(log: RecordLog, untilMs: number): AsyncGenerator<Buffer> {
  for await (const line of log.scan()) {
    const isSound = line.whole && line.ended && line.lineNumber > 1;
    const head = isSound ? recordHead(line.bytes) : undefined;
    if (head !== undefined && head.timeMs <= untilMs) {
      yield Buffer.concat([line.bytes, Buffer.from('\n')]);
    }
  }
}

/**
 * Lines that lie so close together are read and written at once, bytes: one after the other, tens
 * of thousands of short ones held up for seconds what was put meanwhile.
 */
const windowBytes = 262_144;

/** The lines that are still whole, many behind each other. `places` in the order of the file. */
async function* linesAt(log: RecordLog, places: readonly RecordPlace[]): AsyncGenerator<Buffer> {
  for (let from = 0; from < places.length;) {
    const startBytes = places[from]!.positionBytes;
    let to = from + 1;
    while (to < places.length && endOf(places[to]!) - startBytes <= windowBytes) to += 1;
    const window = await log.readLine(startBytes, endOf(places[to - 1]!) - startBytes);
    const whole: Buffer[] = [];
    for (const { positionBytes, lengthBytes } of places.slice(from, to)) {
      const at = positionBytes - startBytes;
      const line = window.subarray(at, at + lengthBytes + 1);
      if (isWholeRecord(line.subarray(0, lengthBytes)) && line.at(-1) === 0x0a) whole.push(line);
    }
    if (whole.length > 0) yield Buffer.concat(whole);
    from = to;
  }
}

/** Behind the line's end. */
function endOf({ positionBytes, lengthBytes }: RecordPlace): number {
  return positionBytes + lengthBytes + 1;
}

async function writeGeneration(
  files: Files,
  path: string,
  header: string,
  lines: AsyncIterable<Buffer>,
): Promise<void> {
  const file = await files.open(path, { create: true });
  try {
    await file.truncate(0);
    let sizeBytes = header.length;
    await writeFully(file, Buffer.from(header), 0);
    for await (const line of lines) {
      await writeFully(file, line, sizeBytes);
      sizeBytes += line.length;
    }
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** The newest records that fit into half the limit and are young enough, oldest first. */
function newestPlaces(
  places: ReadonlyMap<string, RecordPlace>,
  limits: ChatMemoryLimits,
  nowMs: number,
): readonly RecordPlace[] {
  const kept: RecordPlace[] = [];
  let sizeBytes = 0;
  for (const place of [...places.values()].reverse()) {
    sizeBytes += place.lengthBytes + 1;
    if (sizeBytes > limits.maxBytes / 2 || nowMs - place.timeMs > limits.maxAgeMs) break;
    kept.push(place);
  }
  return kept.reverse();
}

async function openOrBegin(options: ChatMemoryOptions): Promise<Generation> {
  const { files, path, log } = options;
  try {
    return await openGeneration(options, path);
  } catch (error) {
    if (!(error instanceof ProxyError) || error.code !== 'store_corrupt') throw error;
    log.warn({ path, reason: error.message }, 'what was known of chats was put aside');
    await files.rename(path, `${path}.damaged`);
    return openGeneration(options, path);
  }
}

/** Opens `filePath`, which is or is going to be the file of `options`. */
async function openGeneration(options: ChatMemoryOptions, filePath: string): Promise<Generation> {
  const { files, path, sessionId, clock, log: logger } = options;
  const log = new RecordLog(path, await files.open(filePath, { create: true }));
  try {
    const places = new Map<string, RecordPlace>();
    let damagedLines = 0;
    for await (const line of log.scan()) {
      const isSound = line.whole && line.ended;
      const head = isSound && line.lineNumber > 1 ? recordHead(line.bytes) : undefined;
      if (line.lineNumber === 1) {
        const fault = headerFault(line.bytes, chatsFormat, sessionId);
        if (fault !== undefined) throw corruptStore(path, fault);
      } else if (head === undefined) {
        damagedLines += 1;
      } else {
        const { positionBytes, bytes } = line;
        places.delete(head.key);
        places.set(head.key, { positionBytes, lengthBytes: bytes.length, timeMs: head.timeMs });
      }
    }
    if (damagedLines > 0) {
      logger.warn({ path, damagedLines }, 'damaged chat records were forgotten');
    }
    await log.rollBack();
    if (log.sizeBytes === 0) {
      await log.append(Buffer.from(encodeHeader(chatsFormat, sessionId, clock.now())));
      await files.syncDirectory(dirname(filePath));
    }
    return { log, places, readers: 0, retired: false };
  } catch (error) {
    await log.close();
    throw error;
  }
}

function encodePut(
  record: { readonly key: string; readonly value: unknown },
  timeMs: number,
): EncodedRecord {
  const line = Buffer.from(encodeRecord({ k: record.key, t: timeMs, v: record.value }));
  if (line.length > recordMaxBytes || record.key.length > keyMaxUnits) {
    throw new ProxyError('limit_reached', `A chat record of ${line.length} bytes is too large.`);
  }
  return { key: record.key, timeMs, line };
}

/** Key and time of a record, without parsing its value. */
function recordHead(line: Buffer): { readonly key: string; readonly timeMs: number } | undefined {
  const match = /^\{"k":("(?:[^"\\]|\\.)*"),"t":(\d+)/.exec(line.toString('utf8', 0, headMaxBytes));
  if (match === null) return undefined;
  return { key: JSON.parse(match[1]!) as string, timeMs: Number(match[2]) };
}

async function retire(generation: Generation): Promise<void> {
  generation.retired = true;
  if (generation.readers === 0) await generation.log.close();
}

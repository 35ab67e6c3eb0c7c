import { dirname } from 'node:path';
import type { Clock } from '../../clock.ts';
import { ProxyError } from '../../errors.ts';
import { isErrno, type Files } from '../disk/files.ts';
import { encodeHeader, encodeRecord, headerFault, newerStore } from '../format.ts';
import { lostPagesAt, RecordLog, type LogLine } from '../disk/record-log.ts';
import type { SessionPaths } from '../disk/session-paths.ts';
import { corruptStore, lostStore, toStoreFailure } from '../disk/store-failure.ts';
import type { StoreEvent, StoreEvents } from '../types.ts';

/** `format` in the header. */
export const eventsFormat = 'rlm-opencode-events';

/** All of them: the type sees to it that a new one is not forgotten. */
const isKnownType: Readonly<Record<StoreEvent['type'], true>> = {
  link: true,
  unlink: true,
  snapshot: true,
  name: true,
  forget: true,
  pin: true,
  unpin: true,
};

/** What {@link SessionEvents.open} needs. */
interface SessionEventsOptions {
  readonly sessionId: string;
  readonly paths: Pick<SessionPaths, 'events' | 'journal'>;
  readonly files: Files;
  readonly clock: Clock;
}

/**
 * What was decided about a session, in a file (`format.ts`) that is made with the first event. Its
 * events are in memory, and its file is open only while something is read or written: events are
 * rare, descriptors are scarce. One writer.
 */
export class SessionEvents implements StoreEvents {
  readonly #options: SessionEventsOptions;
  readonly #all: StoreEvent[];
  /** Of the file, committed; 0 where there is none yet. */
  #sizeBytes: number;
  #adding: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  private constructor(options: SessionEventsOptions, read: ReadEvents) {
    this.#options = options;
    this.#all = read.events;
    this.#sizeBytes = read.sizeBytes;
  }

  /**
   * Reads the events, if there are any, and cuts what a crash has left behind them. @throws
   * ProxyError `store_corrupt` where one is damaged, `store_newer`
   */
  static async open(options: SessionEventsOptions): Promise<SessionEvents> {
    return new SessionEvents(options, await readEvents(options));
  }

  get all(): readonly StoreEvent[] {
    return this.#all;
  }

  /** One after the other: each in an append and a sync of its own. */
  async add(event: StoreEvent): Promise<void> {
    if (this.#isClosed) throw new ProxyError('shutting_down', 'The store is being closed.');
    const adding = this.#adding.then(async () => this.#append(event));
    this.#adding = adding.catch(() => undefined);
    return adding;
  }

  /** Waits for what is being added. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#adding;
  }

  async #append(event: StoreEvent): Promise<void> {
    const { files, paths, sessionId, clock } = this.#options;
    const isFirst = this.#sizeBytes === 0;
    const header = isFirst ? encodeHeader(eventsFormat, sessionId, clock.now()) : '';
    try {
      // Of a store that was deleted meanwhile nothing may be left behind.
      if (isFirst && !(await files.exists(paths.journal))) throw lostStore(paths.journal);
      const file = await files.open(paths.events, { create: isFirst });
      const log = new RecordLog(paths.events, file, this.#sizeBytes);
      try {
        const foundBytes = await file.sizeBytes();
        if (foundBytes < this.#sizeBytes) throw lostStore(paths.events);
        // What an append that failed has left.
        await log.rollBack();
        await log.append(Buffer.from(header + encodeRecord(event)));
        if (isFirst) await files.syncDirectory(dirname(paths.events));
        this.#sizeBytes = log.sizeBytes;
      } catch (error) {
        // As far as it can be: the next append, or the next opening, cuts it otherwise.
        await file.truncate(this.#sizeBytes).catch(() => undefined);
        throw error;
      } finally {
        await log.close();
      }
    } catch (error) {
      if (isErrno(error, 'ENOENT')) throw lostStore(paths.events);
      throw toStoreFailure(error, paths.events);
    }
    this.#all.push(event);
  }
}

/** The links of a damaged session, as far as they can be read; they name no entry. */
export async function readableLinks(
  files: Files,
  paths: Pick<SessionPaths, 'events'>,
): Promise<readonly StoreEvent[]> {
  return readable(files, paths, new Set(['link', 'unlink']));
}

/** The same of pins, of a session that is perhaps being used. */
export async function readablePins(
  files: Files,
  paths: Pick<SessionPaths, 'events'>,
): Promise<readonly StoreEvent[]> {
  return readable(files, paths, new Set(['pin', 'unpin']));
}

async function readable(
  files: Files,
  { events: path }: Pick<SessionPaths, 'events'>,
  types: ReadonlySet<StoreEvent['type']>,
): Promise<readonly StoreEvent[]> {
  const found: StoreEvent[] = [];
  if (!(await files.exists(path))) return found;
  const log = new RecordLog(path, await files.open(path, { create: false }));
  try {
    for await (const { whole, bytes } of log.scan()) {
      const event = whole ? withoutChecksum(bytes) : undefined;
      if (event !== undefined && types.has(event.type)) found.push(event);
    }
  } finally {
    await log.close();
  }
  return found;
}

interface ReadEvents {
  readonly events: StoreEvent[];
  readonly sizeBytes: number;
}

async function readEvents({ files, paths, sessionId }: SessionEventsOptions): Promise<ReadEvents> {
  const path = paths.events;
  const events: StoreEvent[] = [];
  if (!(await files.exists(path))) return { events, sizeBytes: 0 };
  const log = new RecordLog(path, await files.open(path, { create: false }));
  try {
    let torn: LogLine | undefined;
    for await (const line of log.scan()) {
      if (torn !== undefined) throw wrongLine(path, torn);
      if (!line.whole && lostPagesAt(line) !== undefined) torn = line;
      else if (!line.whole || !line.ended) throw wrongLine(path, line);
      else if (line.lineNumber === 1) checkHeader(path, line, sessionId);
      else events.push(eventOf(path, line));
    }
    if (torn !== undefined) log.uncommit(torn.positionBytes);
    // A header alone says nothing: its event never came.
    if (events.length === 0) log.uncommit(0);
    await log.rollBack();
    return { events, sizeBytes: log.sizeBytes };
  } finally {
    await log.close();
  }
}

function checkHeader(path: string, { bytes }: LogLine, sessionId: string): void {
  const fault = headerFault(bytes, eventsFormat, sessionId);
  if (fault === undefined) return;
  throw corruptStore(path, fault);
}

function eventOf(path: string, { bytes, lineNumber }: LogLine): StoreEvent {
  const event = withoutChecksum(bytes);
  if (Object.hasOwn(isKnownType, event.type)) return event;
  const type = JSON.stringify(event.type);
  throw newerStore(`line ${lineNumber} of ${path} is an event of the type ${type}`);
}

/** So that what was added and what is read again are the same. */
function withoutChecksum(bytes: Buffer): StoreEvent {
  const { crc: _, ...event } = JSON.parse(bytes.toString()) as StoreEvent & {
    readonly crc: string;
  };
  return event;
}

function wrongLine(path: string, { lineNumber, ended }: LogLine): ProxyError {
  const what = ended
    ? 'has a wrong checksum'
    : 'its last, has no newline but another byte behind it';
  return corruptStore(path, `line ${lineNumber}${ended ? '' : ','} ${what}`);
}

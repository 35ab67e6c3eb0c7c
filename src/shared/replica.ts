import { setImmediate } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { LogTable } from './database/log-table.ts';
import type { StoredRow } from './database/database.ts';
import {
  decodeFacts,
  decodePiece,
  decodeText,
  hasOwnText,
  type LogOperation,
  type LogText,
  type RowFacts,
  textOf,
} from './log.ts';
import type { ReplicaFiles } from './replica-files.ts';
import type { Seal } from './seal.ts';
import { rowHash } from './witness.ts';
import { ProxyError } from '../errors.ts';
import { isForRoom } from '../store/session/forget.ts';
import type { TextAgain } from '../store/session/text-writer.ts';
import type { ChatRecord, Entry, NewEntry, Session, StoreEvent } from '../store/types.ts';
import type { ReplicaSessions } from '../store/sessions.ts';

/** Of the chat memory, where a replica notes how far it is. */
export const positionKey = 'replica:position';

/**
 * How far a replica is: the row, and what its files held behind it. They are written one after the
 * other, so a crash leaves files that are ahead of this, which are cut back.
 */
interface Position {
  readonly pos: number;
  /** Lines of the journal. */
  readonly records: number;
  /** The last row that has forgotten something. */
  readonly forgotAt?: number;
  /** What the row itself is; absent where an archive ends with it. */
  readonly last?: RowMark;
}

/** What tells a row from others. */
interface RowMark {
  readonly writer: string;
  readonly n: number;
  /** `rowHash`. */
  readonly hash: string;
}

/** What a replica notes that holds all up to a row. @param records Lines of its journal */
export function positionAt(pos: number, records: number): ChatRecord {
  const position: Position = { pos, records };
  return { key: positionKey, value: position };
}

/** A row that was read. */
export interface LogRow extends RowFacts {
  readonly pos: number;
  readonly timeMs: number;
  readonly writer: string;
  readonly n: number;
  /** The texts of its operations, one behind the other; absent where they lie in pieces. */
  readonly bytes: Uint8Array | undefined;
  /** Their hashes, as far as they are known; absent in a row that was read. */
  readonly hashes?: readonly (string | undefined)[] | undefined;
  readonly upload: string | undefined;
  /** `rowHash`. */
  readonly hash: string;
}

/** What a replay needs beside the rows. */
interface ReplayParts {
  readonly table: LogTable;
  readonly seal: Seal;
  readonly disk: Pick<ReplicaFiles, 'sync'>;
  /** The names of a store lead to another one. */
  readonly onRestored: (sessionId: string) => void;
}

/** Texts of rows that are stored together, bytes: what a replay holds in memory. */
const groupBytes = 8 * 1024 * 1024;
/** Rows that are stored together. */
const groupRows = 256;

/**
 * A store's rows in this machine's own files, as far as they have come. What reads them reads
 * ordinary files; nothing but this writes to them.
 */
export class Replica {
  readonly session: Session;
  readonly #sessions: ReplicaSessions;
  #at: Position;
  /** A position that is being written down, and a newer one that waits for it. */
  #noting: Promise<void> | undefined;
  #nextNote: Position | undefined;
  /** The position in the files is an older one: it could not be written. */
  #isNoteMissing = false;

  private constructor(sessions: ReplicaSessions, session: Session, at: Position) {
    this.#sessions = sessions;
    this.session = session;
    this.#at = at;
  }

  /**
   * The replica of a store on this machine; undefined where there is none. @throws ProxyError
   * `store_corrupt` where it cannot be used: then it may go, the log has everything
   */
  static async open(sessions: ReplicaSessions, id: string): Promise<Replica | undefined> {
    try {
      let session = await sessions.byId(id);
      const at = ((await session.memory.get(positionKey)) as Position | undefined) ?? emptyPosition;
      const records = await sessions.hold(id, ({ store }) => store.ownRecords);
      if (records > at.records) {
        if (!(await sessions.rewind(id, at.records))) throw lostReplica();
        session = await sessions.byId(id);
      }
      if (records < at.records) throw lostReplica();
      return new Replica(sessions, session, at);
    } catch (error) {
      if (error instanceof ProxyError && error.code === 'unknown_session') return undefined;
      throw error;
    }
  }

  /** The row up to which it has come. */
  get pos(): number {
    return this.#at.pos;
  }

  /** The row up to which it has come; undefined where that is not known. */
  get last(): RowMark | undefined {
    return this.#at.last;
  }

  /** The last row that has forgotten something, 0 for none. */
  get forgotAt(): number {
    return this.#at.forgotAt ?? 0;
  }

  /** What stands in the files is all that the log has up to this row. */
  async begin(pos: number): Promise<void> {
    await this.#note([], { pos });
  }

  /**
   * Resolves when the files say how far they are: until then they are at most taken for older than
   * they are. @throws ProxyError `store_full`, `internal` where that cannot be written
   */
  async noted(): Promise<void> {
    await this.#noting;
    if (this.#isNoteMissing) await this.#writeNote([], this.#at);
  }

  /**
   * Stores rows that follow on what is there, in their order. @returns The entries of each row's
   * texts
   * @throws ProxyError `store_full`, `store_corrupt`, `store_newer`; `store_away` where a text's
   *   pieces cannot be fetched
   */
  async apply(
    rows: readonly LogRow[],
    { table, seal, disk, onRestored }: ReplayParts,
  ): Promise<ReadonlyMap<LogRow, readonly Entry[]>> {
    const entries = new Map<LogRow, readonly Entry[]>();
    for (const group of groupsOf(rows)) {
      const isOnlyTexts = group.every(({ ops }) => ops.every(({ op }) => op === 'texts'));
      if (!isOnlyTexts) await this.#noting;
      const [first] = group;
      let own: number | undefined;
      if (first !== undefined && !hasOwnText(first)) {
        entries.set(first, [await this.#storePieces(first, { table, seal })]);
      } else {
        const { stored, records } = await this.#storeTexts(group);
        for (const [row, its] of stored) entries.set(row, its);
        own = records;
      }
      let forgotAt: number | undefined;
      const records: ChatRecord[] = [];
      for (const row of group) {
        for (const operation of row.ops) {
          if (operation.op === 'memory') {
            for (const record of operation.records) records.push({ ...record, timeMs: row.timeMs });
          } else if (operation.op !== 'texts') await this.#decide(operation, row);
          // What goes for want of room is no secret: rows may keep it for a while.
          if (operation.op === 'forget' && !isForRoom(operation.wanted)) {
            // No power cut is to bring the bytes back, or leave them in files that nobody opens.
            await disk.sync();
            forgotAt = row.pos;
          }
          if (operation.op === 'restored') onRestored(this.session.id);
        }
      }
      if (isOnlyTexts && own !== undefined && !this.#isNoteMissing)
        this.#noteSoon(group.at(-1)!, own);
      else await this.#note(records, group.at(-1)!, forgotAt);
    }
    return entries;
  }

  /** @returns The entries of the rows that hold texts, and how many lines the journal has then */
  async #storeTexts(group: readonly LogRow[]): Promise<{
    readonly stored: readonly (readonly [LogRow, readonly Entry[]])[];
    readonly records?: number;
  }> {
    const holding = group.filter(({ ops }) => ops.some(({ op }) => op === 'texts'));
    if (holding.length === 0) return { stored: [] };
    const batches = holding.map((row) => {
      const { timeMs, hashes } = row;
      return { timeMs, entries: newEntriesOf(row), hashes };
    });
    return this.#sessions.hold(this.session.id, async ({ store }) => {
      const entries = await store.replay(batches);
      const stored = holding.map((row, at) => [row, entries[at]!] as const);
      return { stored, records: store.ownRecords };
    });
  }

  /** The one text of a row, which is too large to stand in it. */
  async #storePieces(
    row: LogRow,
    { table, seal }: { readonly table: LogTable; readonly seal: Seal },
  ): Promise<Entry> {
    const { upload, pieces: count = 0, timeMs } = row;
    const [text] = textsOf(row);
    if (upload === undefined || text === undefined) {
      throw new ProxyError('store_corrupt', `Row ${row.pos} of the shared store names no text.`);
    }
    const pieces = openedPieces(table, seal, upload, count);
    if (text.encoding === undefined && text.bytes > groupBytes) {
      const { bytes: _, encoding: __, ...facts } = text;
      return this.#sessions.hold(this.session.id, ({ store }) =>
        store.appendStream({ ...facts, chunks: pieces }, timeMs),
      );
    }
    const held: Buffer[] = [];
    for await (const piece of pieces) held.push(piece);
    const entries = [textOf(text, Buffer.concat(held))];
    const [stored] = await this.#sessions.hold(this.session.id, ({ store }) =>
      store.replay([{ timeMs, entries }]),
    );
    return stored![0]!;
  }

  async #decide(
    operation: Exclude<LogOperation, { readonly op: 'texts' | 'memory' }>,
    { timeMs }: LogRow,
  ): Promise<void> {
    const { id } = this.session;
    switch (operation.op) {
      case 'event':
        await this.#addEvent({ ...operation.event, timeMs });
        break;
      case 'snapshot': {
        const ranges = await this.#sessions.hold(id, ({ store }) => store.ranges);
        await this.#addEvent({ type: 'snapshot', timeMs, name: operation.name, ranges });
        break;
      }
      case 'forget':
        // Carried out before a crash, and not noted.
        if (
          this.session.events.all.some(
            (event) => event.type === 'forget' && event.timeMs === timeMs,
          )
        )
          break;
        await this.#sessions.forget(id, { ...operation.wanted, timeMs });
        break;
      case 'allow':
        await this.#sessions.allowAgain(id, operation.seq);
        break;
      case 'base':
        // Of one that goes on from other texts the files were made with it.
        for (const event of operation.events) await this.#addEvent(event);
        break;
      case 'restored':
        break;
    }
  }

  async #addEvent(event: StoreEvent): Promise<void> {
    // Written before a crash, and not noted.
    if (this.session.events.all.some((known) => isDeepStrictEqual(known, event))) return;
    await this.session.events.add(event);
  }

  async #note(
    remembered: readonly ChatRecord[],
    row: Pick<LogRow, 'pos'> & Partial<RowMark>,
    forgotAt?: number,
  ): Promise<void> {
    const records = await this.#sessions.hold(this.session.id, ({ store }) => store.ownRecords);
    const position = this.#positionAt(row, records, forgotAt);
    // What waits is older.
    this.#nextNote = undefined;
    await this.#writeNote(remembered, position);
    this.#at = position;
  }

  /**
   * The same, and nobody waits for it: files that are ahead of what is noted are cut back, and what
   * is cut is replayed.
   */
  #noteSoon(row: LogRow, records: number): void {
    this.#at = this.#positionAt(row, records);
    this.#nextNote = this.#at;
    this.#noting ??= this.#writeNext();
  }

  async #writeNext(): Promise<void> {
    try {
      // Whoever has stored something goes on first.
      await setImmediate();
      for (let next = this.#nextNote; next !== undefined; next = this.#nextNote) {
        this.#nextNote = undefined;
        await this.#writeNote([], next);
      }
    } catch {
      // Whoever comes next writes it, or says why it cannot be written.
    } finally {
      this.#noting = undefined;
    }
  }

  async #writeNote(records: readonly ChatRecord[], position: Position): Promise<void> {
    try {
      await this.session.memory.put([...records, { key: positionKey, value: position }]);
      this.#isNoteMissing = false;
    } catch (error) {
      this.#isNoteMissing = true;
      throw error;
    }
  }

  #positionAt(
    { pos, writer, n, hash }: Pick<LogRow, 'pos'> & Partial<RowMark>,
    records: number,
    forgotten?: number,
  ): Position {
    const forgotAt = forgotten ?? this.#at.forgotAt;
    return {
      pos,
      records,
      ...(forgotAt !== undefined && { forgotAt }),
      ...(writer !== undefined &&
        n !== undefined &&
        hash !== undefined && { last: { writer, n, hash } }),
    };
  }
}

/**
 * The row up to which a replica has come, of which others may be using or deleting the files just
 * now; undefined where there is none, or where nobody knows.
 */
export async function notedPosition(
  sessions: ReplicaSessions,
  id: string,
): Promise<number | undefined> {
  try {
    const { memory } = await sessions.byId(id);
    return ((await memory.get(positionKey)) as Position | undefined)?.pos ?? 0;
  } catch (error) {
    if (error instanceof ProxyError) return undefined;
    throw error;
  }
}

/** A row as it was read from the database. @throws ProxyError `store_corrupt`, `store_newer` */
export async function readRow(row: StoredRow, seal: Seal): Promise<LogRow> {
  const { session, pos, timeMs, writer, n, upload } = row;
  const where = `row ${pos} of store ${session}`;
  const place = `${session}/${writer}/${n}`;
  const facts = await decodeFacts(seal.open(row.facts, `${place}/facts`), where);
  const column = row.text === undefined ? undefined : seal.open(row.text, `${place}/text`);
  const bytes = hasOwnText(facts) ? await decodeText(facts, column, where) : undefined;
  return { ...facts, pos, timeMs, writer, n, bytes, upload, hash: rowHash(row) };
}

/** A text's pieces as they were. @throws ProxyError `store_corrupt` where one is missing */
export async function* openedPieces(
  table: LogTable,
  seal: Seal,
  upload: string,
  count: number,
): AsyncGenerator<Buffer> {
  let at = 0;
  for await (const piece of table.pieces(upload)) {
    yield await decodePiece(seal.open(piece, `${upload}/${at}`));
    at += 1;
  }
  if (at !== count) {
    throw new ProxyError(
      'store_corrupt',
      `The shared store is damaged: of ${count} pieces of a text there are ${at}.`,
    );
  }
}

function textsOf({ ops }: RowFacts): readonly LogText[] {
  return ops.flatMap((operation) => (operation.op === 'texts' ? operation.texts : []));
}

function newEntriesOf(row: LogRow): readonly (NewEntry | TextAgain)[] {
  let at = 0;
  return textsOf(row).map((text) => textOf(text, row.bytes!.subarray(at, (at += text.bytes))));
}

/**
 * Rows that may be stored together: their texts first, then what they remember. Where something is
 * forgotten, or a text is large, a row stands for itself.
 */
function* groupsOf(rows: readonly LogRow[]): Generator<readonly LogRow[]> {
  let group: LogRow[] = [];
  let bytes = 0;
  for (const row of rows) {
    const isAlone = !hasOwnText(row) || row.ops.some(({ op }) => op !== 'texts' && op !== 'memory');
    const length = row.bytes?.length ?? 0;
    if (group.length > 0 && (isAlone || bytes + length > groupBytes || group.length >= groupRows)) {
      yield group;
      group = [];
      bytes = 0;
    }
    if (isAlone) yield [row];
    else {
      group.push(row);
      bytes += length;
    }
  }
  if (group.length > 0) yield group;
}

const emptyPosition: Position = { pos: 0, records: 0 };

function lostReplica(): ProxyError {
  return new ProxyError('store_corrupt', 'The files on this machine have lost what they had.');
}

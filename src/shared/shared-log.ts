import { hash } from 'node:crypto';
import { GroupCommit, type Waiting } from '../base/group-commit.ts';
import type { Clock, Ids } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { unknownSession } from '../store/disk/session-paths.ts';
import type { ReplicaSessions } from '../store/sessions.ts';
import { wholeCodePoints } from '../store/session/text-writer.ts';
import type { Entry, NewEntryFacts } from '../store/types.ts';
import type { Availability } from './database/availability.ts';
import type { StoredRow } from './database/database.ts';
import type { LogTable, News } from './database/log-table.ts';
import {
  encodeFacts,
  encodePiece,
  encodeRow,
  type LogOperation,
  type LogText,
  pieceBytes,
  piecesOf,
  rowTextMaxBytes,
} from './log.ts';
import { Pending } from './pending.ts';
import { type LogRow, readRow, type Replica } from './replica.ts';
import type { ReplicaFiles } from './replica-files.ts';
import type { Seal } from './seal.ts';
import type { Spool, SpooledRow } from './spool.ts';
import { isContradiction, rowHash, type SeenRow, wentBack, Witness } from './witness.ts';

/** Rows that are fetched are stored when there are so many, or so much text in them. */
const batchRows = 256;
const batchBytes = 8 * 1024 * 1024;

/** How far the files of a store are that are fetched: rows, of all that there are. */
export interface FetchProgress {
  readonly pos: number;
  readonly head: number;
}

/** What the logs of all stores of a process share. */
export interface LogParts {
  readonly table: LogTable;
  readonly availability: Availability;
  readonly spool: Spool;
  readonly seal: Seal;
  readonly sessions: ReplicaSessions;
  /** How the files of replicas are to the disk. */
  readonly disk: ReplicaFiles;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  /** The next number of a row of this process. */
  readonly nextN: () => number;
  /** Makes a UUID, for a text in pieces. */
  readonly uuid: () => string;
  /**
   * What stands in the log behind a row is not in the rows any more: begin anew, from the archive
   * that has taken their place.
   */
  readonly rebase: (id: string, behind: number) => Promise<Replica>;
  /** The replica as it was when a row was last stored whole. */
  readonly reopen: (id: string) => Promise<Replica>;
  /**
   * The log is not what the replica was made of, at a row: it is made anew. @returns False where
   * that was done for the same row, and does not help
   */
  readonly beginAnew: (id: string, pos: number) => boolean;
  /** The log of a store that has taken the place of one that was left. */
  readonly next: (id: string) => Promise<SharedLog>;
  /** Sends what waits on this machine. */
  readonly drain: () => void;
  /** The names of a store lead to another one. */
  readonly onRestored: (id: string) => void;
  /** A store was deleted by somebody else. */
  readonly onDeleted: (id: string) => void;
  /** Hears how far a replica is that has much to fetch. */
  readonly onProgress?: ((id: string, progress: FetchProgress) => void) | undefined;
}

/** Something for a row. */
interface Job {
  readonly operation: LogOperation;
  /** Its texts, one behind the other. */
  readonly text: Uint8Array;
  /** Their hashes, as far as they are known. */
  readonly hashes?: readonly (string | undefined)[];
  /** Where its one text lies in pieces already. */
  readonly upload?: { readonly id: string; readonly pieces: number } | undefined;
  /** Nothing else may be in its row. */
  readonly isAlone: boolean;
  /** Whether it may wait on this machine where the database is away. */
  readonly maySpool: boolean;
}

/** A text that is added, and its SHA-256 in hexadecimal where it is UTF-8 and that is known. */
interface AddedText {
  readonly facts: LogText;
  readonly bytes: Uint8Array;
  readonly sha256?: string | undefined;
}

type WaitingJob = Waiting<Job, readonly Entry[]>;

/** One store of the shared log: what this process adds to it, and what of it has come here. */
export class SharedLog {
  readonly id: string;
  readonly pending = new Pending();
  readonly #parts: LogParts;
  /**
   * The name of this process among the writers of this store, a UUID. Of each store another one:
   * who sees it in one could else take the numbers of rows that are to come in the others.
   */
  readonly #writer: string;
  #replica: Replica;
  #usedMs: number;
  readonly #jobs: GroupCommit<Job, readonly Entry[]>;
  /** Rows are stored one after the other, whoever has brought them. */
  #turn: Promise<unknown> = Promise.resolve();
  /**
   * Rows of this machine that are on their way, by writer and number, and what became of those that
   * came back first.
   */
  readonly #onTheirWay = new Map<string, readonly Entry[] | undefined>();
  readonly #witness = new Witness();
  /** Why the rows behind the replica cannot be replayed; absent while they can. */
  #stopped: ProxyError | undefined;
  /** The files may hold half a row. */
  #isTorn = false;
  /** Its files are going, or are another's by now. */
  #isLeft = false;
  /** The row up to which an archive has taken the place of rows that were not here; 0: none. */
  #archivedTo = 0;

  constructor(parts: LogParts, id: string, replica: Replica) {
    this.id = id;
    this.#parts = parts;
    this.#writer = parts.uuid();
    this.#replica = replica;
    if (replica.last !== undefined) this.#witness.note(replica.pos, replica.last.hash);
    this.#usedMs = parts.clock.now();
    this.#jobs = new GroupCommit(async (group) => this.#commit(group), countFitting);
  }

  /** What of the store is here; who asks for it uses the store. */
  get replica(): Replica {
    this.#usedMs = this.#parts.clock.now();
    return this.#replica;
  }

  /**
   * Its files go: what is added from now on goes to the log that takes its place, which has other
   * ones. What is under way comes to its end.
   */
  async leave(): Promise<void> {
    this.#isLeft = true;
    await this.idle();
  }

  /** The one that has its files: another, once it was left. @throws ProxyError as opening that */
  async current(): Promise<SharedLog> {
    return this.#isLeft ? this.#parts.next(this.id) : this;
  }

  /** Somebody has asked for the store, and is about to use it. */
  touch(): void {
    this.#usedMs = this.#parts.clock.now();
  }

  /** The row up to which the store is here. */
  get pos(): number {
    return this.#replica.pos;
  }

  /** When anything was last done with the store here, milliseconds since 1970. */
  get usedMs(): number {
    return this.#usedMs;
  }

  /**
   * Why the rows behind the replica cannot be replayed on this machine: what is here can be read,
   * and nothing is added, since nobody could say what it would be here.
   */
  get stopped(): ProxyError | undefined {
    return this.#stopped;
  }

  /**
   * Adds texts; each is its own where it is large.
   * @param options.maySpool Whether they wait here where the database is away; else `store_away`
   * @returns Their entries, in order: those with a
   * name instead of a number wait for the database
   * @throws ProxyError `store_full`, `unknown_session`, what storing them here throws
   */
  async addTexts(
    texts: readonly AddedText[],
    { maySpool }: { readonly maySpool: boolean } = { maySpool: true },
  ): Promise<readonly Entry[]> {
    const adding: Promise<readonly Entry[]>[] = [];
    let group: AddedText[] = [];
    let bytes = 0;
    const flush = (): void => {
      if (group.length === 0) return;
      adding.push(this.#addGroup(group, maySpool));
      group = [];
      bytes = 0;
    };
    for (const text of texts) {
      if (bytes + text.bytes.length > rowTextMaxBytes) flush();
      group.push(text);
      bytes += text.bytes.length;
    }
    flush();
    return (await Promise.all(adding)).flat();
  }

  /**
   * The entry of a text that is here, and whether it came so before: nothing is to be added then.
   */
  async known(
    sha256: string,
    facts: NewEntryFacts,
  ): Promise<{ readonly entry: Entry; readonly isNoted: boolean } | undefined> {
    return this.#parts.sessions.hold(this.id, ({ store }) => store.known(sha256, facts));
  }

  /**
   * Adds a text of any length in bounded memory. No turn waits for one that is too large to hold:
   * over a slow network each of its pieces has its time.
   * @throws ProxyError as {@link addTexts}, and `invalid_request` where it is not UTF-8;
   *   `store_away` for one of more than 1 MiB
   */
  async addStream(facts: NewEntryFacts, chunks: AsyncIterable<Uint8Array>): Promise<Entry> {
    const stream = wholeCodePoints(chunks);
    const held: Uint8Array[] = [];
    let bytes = 0;
    let isWhole = false;
    while (bytes <= rowTextMaxBytes) {
      const next = await stream.next();
      if (next.done === true) {
        isWhole = true;
        break;
      }
      held.push(Buffer.from(next.value));
      bytes += next.value.length;
    }
    if (isWhole) {
      const [entry] = await this.addTexts([
        { facts: { ...facts, bytes }, bytes: Buffer.concat(held) },
      ]);
      return entry!;
    }
    const { table, uuid, seal } = this.#parts;
    const id = uuid();
    const counted = async function* (): AsyncGenerator<Uint8Array> {
      yield* held.splice(0);
      for await (const chunk of stream) {
        bytes += chunk.length;
        yield chunk;
      }
    };
    const pieces = await table.putPieces(
      this.id,
      id,
      closedPieces(evenPieces(counted()), id, seal),
      { isPatient: true },
    );
    const operation: LogOperation = { op: 'texts', texts: [{ ...facts, bytes }] };
    const upload = { id, pieces };
    const [entry] = await this.#add({
      operation,
      text: nothing,
      upload,
      isAlone: true,
      maySpool: false,
    });
    return entry!;
  }

  /** Adds values of the chat memory. */
  async remember(
    records: readonly { readonly key: string; readonly value: unknown }[],
    { maySpool }: { readonly maySpool: boolean } = { maySpool: true },
  ): Promise<void> {
    const operation: LogOperation = { op: 'memory', records };
    await this.#add({ operation, text: nothing, isAlone: false, maySpool });
  }

  /** Adds a decision about the store. @throws ProxyError `store_away`: it is not made later */
  async decide(operation: LogOperation): Promise<void> {
    await this.#add({ operation, text: nothing, isAlone: true, maySpool: false });
  }

  /** Lines of its own journal that are here. */
  async records(): Promise<number> {
    return this.#parts.sessions.hold(this.id, ({ store }) => store.ownRecords);
  }

  /** All that others have added by now is here when it resolves. @throws ProxyError `store_away` */
  async catchUp(): Promise<void> {
    if (this.#isLeft) return (await this.current()).catchUp();
    await this.#alone(async () => this.#fetch());
  }

  /**
   * Takes in rows that were fetched for several stores; they begin behind what was here when they
   * were asked for.
   */
  async take({ head, rows, isShorter }: News): Promise<void> {
    if (this.#isLeft) return;
    await this.#alone(async () => {
      if (isShorter) throw this.#wentBack(this.#replica.pos);
      await this.#store(rows);
      if (this.#replica.pos < head) await this.#copy(head);
    });
  }

  /** Runs `work` while nothing is stored here. */
  async whileStill<T>(work: (replica: Replica) => Promise<T>): Promise<T> {
    return this.#alone(async () => work(this.#replica));
  }

  /** Sends a row that has waited. @throws ProxyError `store_away` */
  async send(row: SpooledRow): Promise<void> {
    const { writer, n, ops, text } = row;
    if (this.#stopped !== undefined) throw this.#stopped;
    await this.#append({ writer, n, ops, text, isPatient: true });
    // An attempt before the outage may have brought the same row without the names.
    const unnamed = withoutNames(ops, text, (name) => this.#replica.session.store.entry(name));
    if (unnamed.texts.length > 0) {
      const again: LogOperation = { op: 'texts', texts: unnamed.texts };
      await this.#append({
        writer: this.#writer,
        n: this.#parts.nextN(),
        ops: [again],
        text: unnamed.text,
        isPatient: true,
      });
    }
    this.pending.drop(ops);
  }

  /** A row that waits on this machine since before the process started. */
  recall({ ops, text }: SpooledRow): void {
    const { store } = this.#replica.session;
    this.pending.add(ops, text, this.#parts.clock.now(), store);
  }

  /** Resolves when nothing is being added or stored. */
  async idle(): Promise<void> {
    await this.#jobs.idle();
    await this.#turn;
    await this.#noted();
  }

  /** Nothing is being written of how far the replica is. */
  async #noted(): Promise<void> {
    try {
      await this.#replica.noted();
    } catch (error) {
      this.#parts.log.warn(
        { err: error, session: this.id },
        'how far a shared store is here could not be written down: what is not noted is fetched again',
      );
    }
  }

  async #add(job: Job): Promise<readonly Entry[]> {
    if (this.#isLeft) return (await this.current()).#add(job);
    return this.#jobs.add(job);
  }

  async #addGroup(group: readonly AddedText[], maySpool: boolean): Promise<readonly Entry[]> {
    const text =
      group.length === 1 ? group[0]!.bytes : Buffer.concat(group.map(({ bytes }) => bytes));
    const operation: LogOperation = { op: 'texts', texts: group.map(({ facts }) => facts) };
    const hashes = group.map(({ sha256 }) => sha256);
    const isAlone = text.length > rowTextMaxBytes;
    return this.#add({ operation, text, hashes, isAlone, maySpool });
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #commit(group: readonly WaitingJob[]): Promise<void> {
    const { availability, spool, nextN, clock } = this.#parts;
    const writer = this.#writer;
    this.#usedMs = clock.now();
    const ops = group.map(({ job }) => job.operation);
    const text = joined(group.map(({ job }) => job.text));
    const hashes = group.flatMap(({ job }) => job.hashes ?? []);
    const n = nextN();
    try {
      if (this.#stopped !== undefined) throw this.#stopped;
      if (availability.isAway || spool.has(this.id)) throw waiting();
      const [{ job }] = group as [WaitingJob];
      const { upload } = job;
      const entries = await this.#append({ writer, n, ops, text, hashes, upload });
      if (entries === undefined) throw this.#wentBack(this.#replica.pos);
      settle(group, entries === 'archived' ? await this.#entriesOf(ops, text, upload) : entries);
    } catch (error) {
      if (!(error instanceof ProxyError) || error.code !== 'store_away') {
        if (error instanceof ProxyError && error.code === 'unknown_session')
          this.#parts.onDeleted(this.id);
        for (const each of group) each.reject(error);
        return;
      }
      await this.#spool(group, n, error);
    }
  }

  /** What may wait is put away; the rest is refused. */
  async #spool(group: readonly WaitingJob[], n: number, why: ProxyError): Promise<void> {
    const patient = group.filter(({ job }) => job.maySpool);
    for (const { job, reject } of group) if (!job.maySpool) reject(why);
    if (patient.length === 0) return;
    const { spool, clock, availability, drain } = this.#parts;
    const writer = this.#writer;
    const { store } = this.#replica.session;
    const ops = patient.map(({ job }) => this.#named(job));
    const text = joined(patient.map(({ job }) => job.text));
    try {
      await spool.add({ session: this.id, writer, n, ops, text });
      settle(patient, this.pending.add(ops, text, clock.now(), store));
      // It may have come back while this was written down.
      if (!availability.isAway) drain();
    } catch (error) {
      for (const { reject } of patient) reject(error);
    }
  }

  /** An operation whose new texts have names that stand in for their numbers. */
  #named({ operation, text }: Job): LogOperation {
    if (operation.op !== 'texts') return operation;
    const { store } = this.#replica.session;
    let at = 0;
    const texts = operation.texts.map((each) => {
      if (each.seq !== undefined) return each;
      const bytes = text.subarray(at, (at += each.bytes));
      // A text that is no UTF-8 has another hash when it is stored: it gets a name in any case.
      const sha256 = hash('sha256', bytes);
      if (each.encoding === undefined && store.entryByHash(sha256) !== undefined) return each;
      const waits = this.pending.byHash(sha256);
      return { ...each, standIn: waits?.id ?? this.#parts.ids.next('p').slice(0, nameLength) };
    });
    return { ...operation, texts };
  }

  /**
   * The entries of texts that came here with an archive: whoever has forgotten something sent that
   * while their row was on its way. @throws ProxyError as {@link addTexts}; `too_busy`
   */
  async #entriesOf(
    all: readonly LogOperation[],
    text: Uint8Array,
    upload: Job['upload'],
  ): Promise<readonly Entry[]> {
    const ops = all.filter((operation) => operation.op === 'texts');
    if (ops.length === 0) return [];
    if (upload === undefined) {
      // What comes again is not stored again, and is found as what it is by now.
      const row = { writer: this.#writer, n: this.#parts.nextN(), ops, text };
      const entries = await this.#append(row);
      if (entries === 'archived') return this.#entriesOf(ops, text, upload);
      if (entries === undefined) throw this.#wentBack(this.#replica.pos);
      return entries;
    }
    const [wanted] = ops.flatMap(({ texts }) => texts);
    const found = this.#replica.session.store.entries.findLast(
      ({ kind, lengthBytes }) => kind === wanted?.kind && lengthBytes === wanted.bytes,
    );
    if (found !== undefined) return [found];
    throw new ProxyError('too_busy', 'A text was forgotten by somebody else while it was stored.');
  }

  /**
   * Adds a row and stores it here, with whatever stands before it. @returns Undefined where another
   * row, or this one before the process started, is here in its place; `archived` where what it
   * brought has come in another way
   */
  async #append(row: {
    readonly writer: string;
    readonly n: number;
    readonly ops: readonly LogOperation[];
    readonly text: Uint8Array;
    readonly hashes?: Job['hashes'];
    readonly upload?: Job['upload'];
    /** Nobody waits for it in a turn. */
    readonly isPatient?: boolean;
  }): Promise<readonly Entry[] | 'archived' | undefined> {
    const { table } = this.#parts;
    const { writer, n } = row;
    const key = `${writer}/${n}`;
    this.#onTheirWay.set(key, undefined);
    try {
      const { pos: behindPos, last } = this.#replica;
      const seen = last === undefined ? undefined : ([behindPos, last.hash] as const);
      const { columns, own } = await this.#encoded({ ...row, seen });
      const [first] = row.ops;
      const namesTo = first?.op === 'restored' ? first.to : undefined;
      const sent = { writer, n, ...columns, namesTo, behind: { pos: behindPos, row: last } };
      const place = await table.append(this.id, sent, row);
      if (place === undefined) throw this.#wentBack(behindPos);
      const { pos, timeMs, isEarlier } = place;
      return await this.#alone(async () => {
        await this.#mend();
        const wanted = isEarlier ? pos : pos - 1;
        if (this.#replica.pos < wanted) await this.#fetch(wanted);
        if (this.#replica.pos >= pos) {
          return this.#onTheirWay.get(key) ?? (pos <= this.#archivedTo ? 'archived' : undefined);
        }
        if (this.#replica.pos < wanted) throw this.#stop(missingRow(this.id, this.#replica.pos));
        const hashed = rowHash({ session: this.id, pos, timeMs, writer, n, ...columns });
        const { hashes } = row;
        const applied = { ...own, seen, pos, timeMs, hash: hashed, hashes };
        try {
          const entries = (await this.#apply([applied])).get(applied) ?? [];
          this.#witness.take(this.id, applied);
          return entries;
        } catch (error) {
          if (!(await this.#isFromArchive(error))) throw error;
          return 'archived';
        }
      });
    } finally {
      this.#onTheirWay.delete(key);
    }
  }

  /** A row's columns, and the row as whoever reads it will see it. */
  async #encoded({
    writer,
    n,
    ops,
    text,
    upload: uploaded,
    seen,
    isPatient = false,
  }: {
    readonly writer: string;
    readonly n: number;
    readonly ops: readonly LogOperation[];
    readonly text: Uint8Array;
    readonly upload?: Job['upload'];
    readonly seen: SeenRow | undefined;
    readonly isPatient?: boolean;
  }): Promise<{
    readonly columns: {
      readonly facts: Buffer;
      readonly text: Buffer | undefined;
      readonly upload: string | undefined;
    };
    readonly own: Omit<LogRow, 'pos' | 'timeMs' | 'hash'>;
  }> {
    const { table, seal, uuid } = this.#parts;
    const place = `${this.id}/${writer}/${n}`;
    const inPieces = async (pieces: number): Promise<Buffer> =>
      seal.close(await encodeFacts({ ops, text: 'pieces', pieces, seen }), `${place}/facts`);
    if (uploaded !== undefined) {
      const { id: upload, pieces } = uploaded;
      const columns = { facts: await inPieces(pieces), text: undefined, upload };
      const own = { ops, text: 'pieces' as const, pieces, writer, n, bytes: undefined, upload };
      return { columns, own };
    }
    if (text.length <= rowTextMaxBytes) {
      const encoded = await encodeRow(ops, [text], seen);
      const columns = {
        facts: seal.close(encoded.facts, `${place}/facts`),
        text: encoded.text === undefined ? undefined : seal.close(encoded.text, `${place}/text`),
        upload: undefined,
      };
      return { columns, own: { ops, writer, n, bytes: text, upload: undefined } };
    }
    const upload = uuid();
    const count = await table.putPieces(
      this.id,
      upload,
      closedPieces(piecesOf(text), upload, seal),
      { isPatient },
    );
    const columns = { facts: await inPieces(count), text: undefined, upload };
    // It need not come back over the net: it is here, in one piece.
    return { columns, own: { ops, writer, n, bytes: text, upload: undefined } };
  }

  /** Brings what has come behind this replica, at least up to a row where one is given. */
  async #fetch(to?: number): Promise<void> {
    const { table } = this.#parts;
    for (;;) {
      const { pos } = this.#replica;
      const news = (await table.pull([{ session: this.id, pos }])).get(this.id);
      if (news === undefined) return;
      if (news.isDeleted) throw unknownSession(this.id);
      if (news.isShorter) throw this.#wentBack(pos);
      await this.#store(news.rows);
      if (this.#replica.pos < news.head) await this.#copy(news.head);
      const isDone = to === undefined || this.#replica.pos >= to;
      // Where nothing has come there is nothing: the log has lost a row.
      if (isDone || this.#replica.pos === pos) return;
    }
  }

  /** The same for many rows, in bounded memory. */
  async #copy(head: number): Promise<void> {
    const { table, onProgress } = this.#parts;
    let rows: StoredRow[] = [];
    let bytes = 0;
    for await (const row of table.copy(this.id, this.#replica.pos)) {
      rows.push(row);
      // As long as it may be when it is unpacked.
      bytes += (row.text?.length ?? 0) * 4 + row.facts.length;
      if (rows.length < batchRows && bytes < batchBytes) continue;
      await this.#store(rows);
      onProgress?.(this.id, { pos: this.#replica.pos, head: Math.max(head, this.#replica.pos) });
      rows = [];
      bytes = 0;
    }
    await this.#store(rows);
    const { pos } = this.#replica;
    onProgress?.(this.id, { pos, head: pos });
  }

  /** Stores rows that have come, up to the first that cannot be understood. */
  async #store(stored: readonly StoredRow[]): Promise<void> {
    await this.#mend();
    const fresh = stored.filter(({ pos }) => pos > this.#replica.pos);
    const [first] = fresh;
    if (first === undefined) return;
    try {
      if (first.pos > this.#replica.pos + 1) {
        await this.#fromArchive();
        await this.#store(fresh);
        return;
      }
      await this.#replay(fresh);
    } catch (error) {
      if (await this.#isFromArchive(error)) {
        await this.#store(fresh);
        return;
      }
      const isOurs = isContradiction(error) && this.#parts.beginAnew(this.id, this.#replica.pos);
      throw isStop(error) && !isOurs ? this.#stop(error) : error;
    }
    this.#stopped = undefined;
  }

  async #fromArchive(): Promise<void> {
    await this.#noted();
    this.#replica = await this.#parts.rebase(this.id, this.#replica.pos);
    this.#archivedTo = this.#replica.pos;
  }

  /**
   * Pieces of a text go with its row when an archive takes their place, also while they are read.
   * @returns Whether that was why, and the store was made of the archive
   */
  async #isFromArchive(error: unknown): Promise<boolean> {
    if (!(error instanceof ProxyError) || error.code !== 'store_corrupt') return false;
    await this.#mend();
    const base = (await this.#parts.table.head(this.id))?.base;
    if (base === undefined || base.pos <= this.#replica.pos) return false;
    await this.#fromArchive();
    return true;
  }

  async #replay(stored: readonly StoredRow[]): Promise<void> {
    const read = await Promise.allSettled(
      stored.map(async (row) => readRow(row, this.#parts.seal)),
    );
    const rows: LogRow[] = [];
    let failure: { readonly reason: unknown } | undefined;
    for (const each of read) {
      const expected = this.#replica.pos + rows.length + 1;
      if (each.status === 'rejected') failure = each;
      else if (each.value.pos !== expected) failure = { reason: missingRow(this.id, expected - 1) };
      else {
        try {
          this.#witness.take(this.id, each.value);
          rows.push(each.value);
        } catch (reason) {
          failure = { reason };
        }
      }
      if (failure !== undefined) break;
    }
    const entries = await this.#apply(rows);
    for (const row of rows) {
      const key = `${row.writer}/${row.n}`;
      if (this.#onTheirWay.has(key)) this.#onTheirWay.set(key, entries.get(row) ?? []);
    }
    if (failure !== undefined) throw failure.reason;
  }

  async #apply(rows: readonly LogRow[]): ReturnType<Replica['apply']> {
    this.#isTorn = true;
    const entries = await this.#replica.apply(rows, this.#parts);
    this.#isTorn = false;
    return entries;
  }

  /** Takes back what a replay has left half done: done again, it would stand there twice. */
  async #mend(): Promise<void> {
    if (!this.#isTorn) return;
    await this.#noted();
    this.#replica = await this.#parts.reopen(this.id);
    this.#isTorn = false;
  }

  /** The log has not what it had confirmed up to a row. @returns What to throw */
  #wentBack(pos: number): ProxyError {
    const why = wentBack(this.id);
    return this.#parts.beginAnew(this.id, pos) ? why : this.#stop(why);
  }

  #stop(why: ProxyError): ProxyError {
    if (this.#stopped === undefined) {
      this.#parts.log.error(
        { session: this.id, row: this.#replica.pos + 1, code: why.code, reason: why.message },
        'a shared store is replayed no further: what is here stays readable, nothing is added',
      );
    }
    this.#stopped = why;
    return why;
  }
}

/** Whether the rows themselves are why a replay cannot go on. */
function isStop(error: unknown): error is ProxyError {
  return (
    error instanceof ProxyError && (error.code === 'store_newer' || error.code === 'store_corrupt')
  );
}

/** `p` and so many hexadecimal digits less one. */
const nameLength = 9;

const nothing = new Uint8Array();

function joined(texts: readonly Uint8Array[]): Uint8Array {
  const full = texts.filter(({ length }) => length > 0);
  return full.length === 1 ? full[0]! : Buffer.concat(full);
}

async function* closedPieces(
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  upload: string,
  seal: Seal,
): AsyncGenerator<Buffer> {
  let at = 0;
  for await (const piece of pieces) {
    yield seal.close(await encodePiece(piece), `${upload}/${at}`);
    at += 1;
  }
}

/** The same bytes in pieces of `pieceBytes`, the last one but for the rest. */
export async function* evenPieces(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    held.push(chunk);
    bytes += chunk.length;
    if (bytes < pieceBytes) continue;
    const whole = Buffer.concat(held);
    let at = 0;
    for (; bytes - at >= pieceBytes; at += pieceBytes) yield whole.subarray(at, at + pieceBytes);
    held = [whole.subarray(at)];
    bytes -= at;
  }
  if (bytes > 0) yield Buffer.concat(held);
}

/** The texts whose names lead nowhere. */
function withoutNames(
  ops: readonly LogOperation[],
  text: Uint8Array,
  find: (name: string) => Entry | undefined,
): { readonly texts: readonly LogText[]; readonly text: Uint8Array } {
  const texts: LogText[] = [];
  const bytes: Uint8Array[] = [];
  let at = 0;
  for (const operation of ops) {
    if (operation.op !== 'texts') continue;
    for (const each of operation.texts) {
      const own = text.subarray(at, (at += each.bytes));
      if (each.standIn === undefined || find(each.standIn) !== undefined) continue;
      texts.push(each);
      bytes.push(own);
    }
  }
  return { texts, text: joined(bytes) };
}

/** Hands each job the entries of its texts. */
function settle(group: readonly WaitingJob[], entries: readonly Entry[]): void {
  let at = 0;
  for (const { job, resolve } of group) {
    const count = job.operation.op === 'texts' ? job.operation.texts.length : 0;
    resolve(entries.slice(at, (at += count)));
  }
}

/** @param behind The last row before the gap */
export function missingRow(id: string, behind: number): ProxyError {
  return new ProxyError(
    'store_corrupt',
    `The shared store is damaged: row ${behind + 1} of ${id} is missing.`,
    { hint: 'Nothing behind it is replayed; what is on this machine stays readable.' },
  );
}

function waiting(): ProxyError {
  return new ProxyError('store_away', 'The shared store cannot be reached.');
}

/** How many of the jobs that wait go into one row. */
function countFitting([first, ...others]: readonly WaitingJob[]): number {
  let bytes = first?.job.text.length ?? 0;
  let count = 1;
  if (first?.job.isAlone === true) return count;
  for (const { job } of others) {
    bytes += job.text.length;
    if (job.isAlone || bytes > rowTextMaxBytes || count >= batchRows) break;
    count += 1;
  }
  return count;
}

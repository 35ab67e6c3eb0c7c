import type { Availability, Coming, Patience } from './availability.ts';
import type { Database, StoredRow } from './database.ts';
import { columnName, nameColumn } from './name-column.ts';
import { isSessionId, unknownSession } from '../../store/disk/session-paths.ts';
import type { SharedProject, SharedWriter } from '../../store/shared-side.ts';

/**
 * Rows that one look brings of a store at most, and how much in all, bytes: more than that is
 * copied, several times as fast, and may take its time.
 */
const maxRows = 16;
const maxPullBytes = 131_072;
/** Longest that a `vacuum` may take, milliseconds. */
const vacuumMs = 600_000;
/** So many pieces are sent at once. */
const piecesAtOnce = 4;

/** A row that is to be appended. */
export interface NewRow {
  /**
   * The process that writes it, and its number there: a row is there once, however often it is
   * sent.
   */
  readonly writer: string;
  readonly n: number;
  readonly facts: Buffer;
  readonly text: Buffer | undefined;
  /** Where its text lies in pieces. */
  readonly upload: string | undefined;
  /** The store to which the names of this one lead from then on. */
  readonly namesTo?: string | undefined;
  /** How far its writer is, and which row that is, where it knows. */
  readonly behind: {
    readonly pos: number;
    readonly row?: { readonly writer: string; readonly n: number } | undefined;
  };
}

/** A row's place. */
export interface RowPlace {
  readonly pos: number;
  /** By the database's clock, and never before the row before it; milliseconds since 1970. */
  readonly timeMs: number;
  /**
   * It was there already, from an attempt whose answer was lost: what that attempt had sent may
   * have been something else.
   */
  readonly isEarlier: boolean;
}

/** A store as the database knows it. */
export interface LogHead {
  readonly id: string;
  readonly project: string;
  readonly createdMs: number;
  /** The number of its last row. */
  readonly head: number;
  /** The stores whose texts it reads. */
  readonly bases: readonly string[];
  /** An archive from which a replica begins, and up to which row it reaches. */
  readonly base?: { readonly pos: number; readonly upload: string; readonly pieces: number };
}

/**
 * The statements on the tables of `schema.ts`, each one round trip; waits as `Availability` does.
 *
 * So that none of them waits for another that waits for it, all lock rows in one order: of
 * rlm_session, several by their id, before those of rlm_log and rlm_piece, and those of rlm_name
 * last. A store that nobody knows yet may come at any time. Sweeps that delete many rows at once
 * may still meet; the database ends one, and it is tried again.
 */
export class LogTable {
  readonly #database: Database;
  readonly #availability: Availability;
  readonly #machine: string;

  /** @param machine Whose rows these are, for people */
  constructor(database: Database, availability: Availability, machine: string) {
    this.#database = database;
    this.#availability = availability;
    this.#machine = machine;
  }

  /**
   * @returns Undefined where the log is not what the writer has seen of it: nothing was added
   * @throws ProxyError `store_away`; `unknown_session` where the store was deleted
   */
  async append(
    session: string,
    row: NewRow,
    patience: Patience = {},
  ): Promise<RowPlace | undefined> {
    const { writer, n, facts, text, upload, namesTo, behind } = row;
    const { pos: behindPos, row: last } = behind;
    const values = [
      session,
      writer,
      n,
      this.#machine,
      facts,
      text ?? null,
      upload ?? null,
      behindPos,
      last?.writer ?? null,
      last?.n ?? null,
    ];
    let isEarlier = false;
    const rows = await this.#availability.ask(
      async (signal) =>
        namesTo === undefined
          ? this.#database.query<PlaceRow>('append', appendSql, values, signal)
          : this.#database.query<PlaceRow>('restore', restoreSql, [...values, namesTo], signal),
      async (signal) => {
        isEarlier = true;
        return this.#database.query<PlaceRow>('row-of', rowOfSql, [writer, n], signal);
      },
      patience,
    );
    const [place] = rows;
    if (place === undefined) {
      if ((await this.head(session)) === undefined) throw unknownSession(session);
      return undefined;
    }
    return { pos: Number(place.pos), timeMs: Number(place.time_ms), isEarlier };
  }

  /**
   * What has come behind a row in each of some stores, as far as it is little: who is behind `head`
   * with it copies the rest. Stores without anything new are left out.
   */
  async pull(
    behind: readonly { readonly session: string; readonly pos: number }[],
  ): Promise<ReadonlyMap<string, News>> {
    const values = [behind.map(({ session }) => session), behind.map(({ pos }) => pos)];
    const rows = await this.#availability.ask(async (signal) =>
      this.#database.query<LogRowColumns>('pull', pullSql, values, signal),
    );
    const news = new Map<string, News & { readonly rows: StoredRow[] }>();
    for (const row of rows) {
      const { session } = row;
      const { is_deleted: isDeleted, is_shorter: isShorter } = row;
      const known = news.get(session) ?? {
        head: Number(row.head),
        isDeleted,
        isShorter,
        rows: [],
      };
      news.set(session, known);
      if (row.pos === null) continue;
      known.rows.push({
        session,
        pos: Number(row.pos),
        timeMs: Number(row.time_ms),
        writer: row.writer,
        n: Number(row.n),
        facts: row.facts,
        text: row.text ?? undefined,
        upload: row.upload ?? undefined,
      });
    }
    return news;
  }

  /**
   * The rows of a store behind `from`, up to `to` where that is given, in bounded memory.
   * @throws ProxyError `store_away`
   */
  async *copy(session: string, from: number, to?: number): AsyncGenerator<StoredRow> {
    if (!isSessionId(session)) throw unknownSession(session);
    const until = to === undefined ? '' : ` and pos <= ${to}`;
    let last = from;
    const rest = (coming: Coming): ReturnType<Database['copy']> => {
      const select = `select pos, time_ms, writer::text, n, facts, text, upload::text from rlm_log where session = '${session}' and pos > ${last}${until} order by pos`;
      return this.#database.copy(select, coming);
    };
    for await (const columns of this.#availability.each(rest)) {
      const [pos, timeMs, writer, n, facts, text, upload] = columns;
      last = Number(pos!.readBigInt64BE());
      yield {
        session,
        pos: last,
        timeMs: Number(timeMs!.readBigInt64BE()),
        writer: writer!.toString(),
        n: Number(n!.readBigInt64BE()),
        facts: facts!,
        text,
        upload: upload?.toString(),
      };
    }
  }

  /** Puts a text away in pieces, a few at once; each is there once. */
  async putPieces(
    session: string,
    upload: string,
    pieces: AsyncIterable<Buffer> | Iterable<Buffer>,
    patience: Patience = {},
  ): Promise<number> {
    let count = 0;
    const sending = new Set<Promise<unknown>>();
    // Those for whom nobody waits leave room for those for whom somebody does.
    const atOnce = patience.isPatient === true ? 1 : piecesAtOnce;
    for await (const data of pieces) {
      if (sending.size >= atOnce) await Promise.race(sending);
      const piece = { session, upload, n: count, data };
      const sent: Promise<unknown> = this.#putPiece(piece, patience).finally(() =>
        sending.delete(sent),
      );
      sending.add(sent);
      // Whoever fails first is told of below.
      sent.catch(() => undefined);
      count += 1;
    }
    await Promise.all(sending);
    return count;
  }

  async #putPiece(
    piece: {
      readonly session: string;
      readonly upload: string;
      readonly n: number;
      readonly data: Buffer;
    },
    patience: Patience,
  ): Promise<void> {
    const { session, upload, n, data } = piece;
    const values = [upload, n, session, data];
    await this.#availability.ask(
      async (signal) => this.#database.query('put-piece', putPieceSql, values, signal),
      async () => [],
      patience,
    );
  }

  /** A text's pieces, in their order, in bounded memory. */
  async *pieces(upload: string): AsyncGenerator<Buffer> {
    if (!/^[0-9a-f-]{36}$/.test(upload)) return;
    let count = 0;
    const rest = (coming: Coming): ReturnType<Database['copy']> =>
      this.#database.copy(
        `select data from rlm_piece where upload = '${upload}' and n >= ${count} order by n`,
        coming,
      );
    for await (const [data] of this.#availability.each(rest)) {
      count += 1;
      yield data!;
    }
  }

  /** The store of a project; made with this id where there is none and one is given. */
  async sessionOf(name: string, freshId?: string): Promise<string | undefined> {
    const known = await this.#named(name);
    if (known !== undefined || freshId === undefined) return known;
    await this.#availability.ask(
      async (signal) =>
        this.#database.query('new-session', newSessionSql, [freshId, nameColumn(name)], signal),
      async () => [],
    );
    return this.#named(name);
  }

  async #named(name: string): Promise<string | undefined> {
    const rows = await this.#availability.ask(async (signal) =>
      this.#database.query<{ readonly session: string }>(
        'named',
        namedSql,
        [nameColumn(name)],
        signal,
      ),
    );
    return rows[0]?.session;
  }

  /** Another name for a store, unless that name has one. */
  async alias(name: string, session: string): Promise<void> {
    await this.#availability.ask(async (signal) =>
      this.#database.query('alias', aliasSql, [nameColumn(name), session], signal),
    );
  }

  /**
   * Makes a store that begins with a row, without a name; of the project of another. @throws
   * ProxyError `store_away`; `unknown_session` where the other was deleted, or one that it reads
   */
  async newBranch(
    id: string,
    of: { readonly session: string; readonly bases: readonly string[] },
    { writer, n, facts }: Pick<NewRow, 'writer' | 'n' | 'facts'>,
  ): Promise<void> {
    const values = [id, of.session, of.bases, writer, n, this.#machine, facts];
    const rows = await this.#availability.ask(
      async (signal) => this.#database.query<PlaceRow>('branch', branchSql, values, signal),
      async (signal) => this.#database.query<PlaceRow>('row-of', rowOfSql, [writer, n], signal),
    );
    if (rows.length === 0) throw unknownSession(of.session);
  }

  /** The stores that read texts of one. */
  async branchesOf(session: string): Promise<readonly string[]> {
    const rows = await this.#availability.ask(async (signal) =>
      this.#database.query<{ readonly id: string }>('branches', branchesSql, [session], signal),
    );
    return rows.map(({ id }) => id);
  }

  /**
   * Of some stores those of which nobody has looked within a time for texts that are too old or too
   * many: from now on that is the caller's.
   */
  async claimTidying(sessions: readonly string[], withinMs: number): Promise<ReadonlySet<string>> {
    const rows = await this.#availability.ask(async (signal) =>
      this.#database.query<{ readonly id: string }>(
        'claim-tidying',
        claimTidyingSql,
        [sessions, withinMs],
        signal,
      ),
    );
    return new Set(rows.map(({ id }) => id));
  }

  /** Of some stores those that were deleted. */
  async deletedOf(sessions: readonly string[]): Promise<readonly string[]> {
    const rows = await this.#availability.ask(async (signal) =>
      this.#database.query<{ readonly id: string }>('deleted', deletedSql, [sessions], signal),
    );
    return rows.map(({ id }) => id);
  }

  /** When the archive with which a store begins was put there; 0 where there is none. */
  async sealedMs(session: string): Promise<number> {
    const rows = await this.#availability.ask(async (signal) =>
      this.#database.query<{ readonly ms: string | null }>('sealed', sealedSql, [session], signal),
    );
    return Number(rows[0]?.ms ?? 0);
  }

  /** Pieces older than a day that no row names go; of each store at most once a day. */
  async sweep(): Promise<void> {
    const due = await this.#availability.ask(async (signal) =>
      this.#database.query<{ readonly id: string }>('to-sweep', toSweepSql, [], signal),
    );
    for (const { id } of due) {
      // What a process has left that was stopped in between.
      await this.#drop(id, null);
      await this.#availability.work(async (signal) =>
        this.#database.query('sweep-pieces', sweepPiecesSql, [id], signal),
      );
    }
  }

  /** @returns Undefined where there is none, or none any more */
  async head(session: string): Promise<LogHead | undefined> {
    // What is no id need not be asked for, and might be what no column can hold.
    return isSessionId(session) ? (await this.heads(session))[0] : undefined;
  }

  /** Of all stores that this role may see, or of one. */
  async heads(session?: string): Promise<readonly LogHead[]> {
    const rows = await this.#availability.ask(async (signal) =>
      this.#database.query<HeadRow>('heads', headsSql, [session ?? null], signal),
    );
    return rows.map(headOf);
  }

  /** Who has written to which store, and when last; the last one first. Reads the whole log. */
  async writers(): Promise<readonly (SharedWriter & { readonly session: string })[]> {
    const rows = await this.#availability.ask(async (signal) =>
      this.#database.query<{ session: string; machine: string; rows: string; last_ms: string }>(
        'writers',
        writersSql,
        [],
        signal,
      ),
    );
    return rows.map(({ session, machine, rows: count, last_ms }) => ({
      session,
      machine,
      rows: Number(count),
      lastMs: Number(last_ms),
    }));
  }

  /** The project of each of some stores, and who has written to it last. */
  async lastWriters(
    sessions: readonly string[],
  ): Promise<readonly (SharedProject & { readonly session: string })[]> {
    const rows = await this.#availability.ask(async (signal) =>
      this.#database.query<{
        session: string;
        project: string;
        machine: string | null;
        time_ms: string | null;
      }>('last-writers', lastWritersSql, [sessions], signal),
    );
    return rows.map(({ session, project: column, machine, time_ms }) => {
      const project = columnName(column);
      return machine === null
        ? { session, project }
        : { session, project, last: { machine, lastMs: Number(time_ms) } };
    });
  }

  /**
   * Deletes a store with its names, unless another reads its texts, and then its rows: what of them
   * is left where that is stopped is swept.
   * @returns The stores that read its texts: then it is as it was
   */
  async remove(session: string): Promise<readonly string[]> {
    if (!isSessionId(session)) throw unknownSession(session);
    const readers = await this.#availability.work(async (signal) =>
      this.#database.run<{ readonly id: string }>(markDeletedSql(session), signal),
    );
    if (readers.length > 0) return readers.map(({ id }) => id);
    for (const [name, sql] of removeSql) {
      await this.#availability.work(async (signal) =>
        this.#database.query(name, sql, [session], signal),
      );
    }
    return [];
  }

  /**
   * Writes down what this process has used of a day, and reads what all others have, as the JSON
   * that they wrote.
   */
  async use(day: string, writer: string, used: string): Promise<readonly string[]> {
    const rows = await this.#availability.ask(async (signal) =>
      this.#database.query<{ readonly used: string }>('use', useSql, [day, writer, used], signal),
    );
    return rows.map((row) => row.used);
  }

  /**
   * An archive of a store up to a row takes the place of the rows of up to there, but for the last:
   * whoever is behind it begins from the archive.
   */
  async seal(
    session: string,
    base: { readonly pos: number; readonly upload: string; readonly pieces: number },
  ): Promise<boolean> {
    const rows = await this.#availability.ask(async (signal) =>
      this.#database.query<{ readonly before: string | null }>(
        'seal',
        sealSql,
        [session, base.pos, base.upload, base.pieces],
        signal,
      ),
    );
    const [sealed] = rows;
    if (sealed === undefined) return false;
    await this.#drop(session, sealed.before);
    return true;
  }

  /**
   * Has the database give the room of deleted rows to others, so that they are overwritten sooner;
   * where the role may. Nobody waits for it.
   */
  async vacuum(): Promise<void> {
    for (const table of ['rlm_log', 'rlm_piece']) {
      try {
        const sql = `vacuum ${table}`;
        await this.#database.query(sql, sql, [], AbortSignal.timeout(vacuumMs));
      } catch {
        // Other engines, and a database that is away: it does it by itself sooner or later.
      }
    }
  }

  /** What an archive has taken the place of goes, with the archive before it. */
  async #drop(session: string, archive: string | null): Promise<void> {
    for (const [name, sql] of sweepSealedSql) {
      await this.#availability.work(async (signal) =>
        this.#database.query(name, sql, [session], signal),
      );
    }
    if (archive === null) return;
    await this.#availability.work(async (signal) =>
      this.#database.query('drop-archive', dropArchiveSql, [session, archive], signal),
    );
  }

  /** What the database says of itself and of the tables. */
  async meta(): Promise<
    | { readonly version: number; readonly hashKey: Buffer; readonly keyCheck: string | undefined }
    | undefined
  > {
    const rows = await this.#availability.ask(async (signal) =>
      this.#database.query<{ version: number; hash_key: Buffer; key_check: string | null }>(
        'meta',
        'select version, hash_key, key_check from rlm_meta',
        [],
        signal,
      ),
    );
    const [row] = rows;
    if (row === undefined) return undefined;
    return { version: row.version, hashKey: row.hash_key, keyCheck: row.key_check ?? undefined };
  }

  /** The role that asks. */
  async role(): Promise<string> {
    const rows = await this.#availability.ask(async (signal) =>
      this.#database.query<{ readonly role: string }>(
        'role',
        'select current_user::text as role',
        [],
        signal,
      ),
    );
    return rows[0]!.role;
  }
}

interface PlaceRow {
  readonly pos: string;
  readonly time_ms: string;
}

/** What there is new of a store. */
export interface News {
  /** The number of its last row. */
  readonly head: number;
  /** There is no such store any more. */
  readonly isDeleted: boolean;
  /** It does not come as far as what was asked for. */
  readonly isShorter: boolean;
  readonly rows: readonly StoredRow[];
}

interface LogRowColumns {
  readonly session: string;
  readonly head: string;
  readonly is_deleted: boolean;
  readonly is_shorter: boolean;
  /** Null where not even the first row is small. */
  readonly pos: string | null;
  readonly time_ms: string;
  readonly writer: string;
  readonly n: string;
  readonly facts: Buffer;
  readonly text: Buffer | null;
  readonly upload: string | null;
}

interface HeadRow {
  readonly id: string;
  readonly project: string;
  readonly created_ms: string;
  readonly head: string;
  readonly base_pos: string;
  readonly base_upload: string | null;
  readonly base_pieces: number | null;
  readonly bases: readonly string[];
}

function headOf(row: HeadRow): LogHead {
  const { id, base_upload: upload, base_pieces: pieces, bases } = row;
  const project = columnName(row.project);
  const head = { id, project, createdMs: Number(row.created_ms), head: Number(row.head), bases };
  if (upload === null) return head;
  return { ...head, base: { pos: Number(row.base_pos), upload, pieces: pieces ?? 0 } };
}

const nowMsSql = '(extract(epoch from clock_timestamp()) * 1000)::bigint';

/**
 * Only where the row is there that its writer saw last: a server that has lost rows is not written
 * to by who has them. Below an archive there are no rows to look for.
 */
const appendSql = `with s as (
  update rlm_session set head = head + 1, time_ms = greatest(time_ms, ${nowMsSql})
  where id = $1 and deleted_ms is null and head >= $8::bigint
    and ($9::uuid is null or base_pos >= $8::bigint or exists (select 1 from rlm_log
      where session = $1 and pos = $8::bigint and writer = $9::uuid and n = $10::bigint))
  returning head, time_ms)
insert into rlm_log (session, pos, time_ms, writer, n, machine, facts, text, upload)
select $1, head, time_ms, $2::uuid, $3::bigint, $4, $5::bytea, $6::bytea, $7::uuid from s
returning pos, time_ms`;

const rowOfSql = 'select pos, time_ms from rlm_log where writer = $1::uuid and n = $2::bigint';

const pullSql = `select w.id as session, s.head, s.deleted_ms is not null as is_deleted, s.head < w.pos as is_shorter, l.pos, l.time_ms, l.writer::text, l.n, l.facts, l.text, l.upload::text
from unnest($1::text[], $2::bigint[]) as w(id, pos)
join rlm_session s on s.id = w.id and (s.head <> w.pos or s.deleted_ms is not null)
left join lateral (
  select * from (
    select few.*, sum(octet_length(few.facts) + coalesce(octet_length(few.text), 0)) over (order by few.pos) as bytes
    from (select * from rlm_log l where l.session = w.id and l.pos > w.pos order by l.pos limit ${maxRows}) few
  ) sized where sized.bytes <= ${maxPullBytes}
) l on true
order by w.id, l.pos`;

const putPieceSql = `insert into rlm_piece (upload, n, session, created_ms, data)
values ($1::uuid, $2::int, $3, ${nowMsSql}, $4::bytea)`;

const namedSql = `select n.session from rlm_name n join rlm_session s on s.id = n.session
where n.name = $1 and s.deleted_ms is null`;

const newSessionSql = `with n as (
  insert into rlm_name (name, session) values ($2, $1) on conflict do nothing returning session)
insert into rlm_session (id, project, created_ms) select $1, $2, ${nowMsSql} from n`;

const aliasSql = 'insert into rlm_name (name, session) values ($1, $2) on conflict do nothing';

/** Nobody deletes what it reads before it is there, and an append to that goes on meanwhile. */
const branchSql = `with b as (
  select id, project from rlm_session
  where id = any($3::text[] || $2::text) and deleted_ms is null order by id for key share),
s as (
  insert into rlm_session (id, project, created_ms, head, time_ms, bases)
  select $1, project, ${nowMsSql}, 1, ${nowMsSql}, $3::text[]
  from b where id = $2 and (select count(*) from b)
    = (select count(distinct id) from unnest($3::text[] || $2::text) as wanted(id))
  returning time_ms)
insert into rlm_log (session, pos, time_ms, writer, n, machine, facts)
select $1, 1, time_ms, $4::uuid, $5::bigint, $6, $7::bytea from s
returning pos, time_ms`;

const branchesSql = `select id from rlm_session where deleted_ms is null and $1 = any(bases)
order by created_ms`;

/** In one statement with the row that tells of it, so that nobody has the one without the other. */
const restoreSql = `with r as (update rlm_name set session = $11 where session = $1), ${appendSql.slice(5)}`;

const headsSql = `select id, project, created_ms, head, base_pos, base_upload::text, base_pieces, bases
from rlm_session where deleted_ms is null and ($1::text is null or id = $1)`;

const writersSql = `select session, machine, count(*)::text as rows, max(time_ms)::text as last_ms
from rlm_log group by session, machine order by max(time_ms) desc`;

const lastWritersSql = `select s.id as session, s.project, l.machine, l.time_ms
from rlm_session s left join rlm_log l on l.session = s.id and l.pos = s.head
where s.id = any($1::text[]) and s.deleted_ms is null`;

/**
 * The second looks when the first has the lock: at what was committed until then, which one
 * statement alone would not see. A branch that comes later waits, and finds it deleted.
 */
function markDeletedSql(session: string): readonly string[] {
  return [
    `select id from rlm_session where id = '${session}' for update`,
    `with reading as (
      select id, created_ms from rlm_session
      where deleted_ms is null and '${session}' = any(bases)),
    gone as (
      update rlm_session set deleted_ms = ${nowMsSql}
      where id = '${session}' and deleted_ms is null and not exists (select 1 from reading)
      returning id),
    names as (delete from rlm_name n using gone where n.session = gone.id)
    select id from reading order by created_ms`,
  ];
}

const removeSql: readonly (readonly [string, string])[] = [
  ['remove-pieces', 'delete from rlm_piece where session = $1'],
  ['remove-rows', 'delete from rlm_log where session = $1'],
];

/** Longest that is read of what another has written, characters; a proxy writes some 120. */
const maxUsedChars = 1_000;

const useSql = `with mine as (
  insert into rlm_use (day, role, writer, used) values ($1, current_user::text, $2::uuid, $3)
  on conflict (day, role, writer) do update set used = excluded.used)
select used from rlm_use where day = $1 and (role, writer) <> (current_user::text, $2::uuid)
and length(used) <= ${maxUsedChars}`;

const sealSql = `with old as (
  select base_upload from rlm_session where id = $1 for update)
update rlm_session set base_pos = $2::bigint, base_upload = $3::uuid, base_pieces = $4::int
where id = $1 and base_pos < $2::bigint and deleted_ms is null
returning (select base_upload::text from old) as before`;

const dropArchiveSql = 'delete from rlm_piece where session = $1 and upload = $2::uuid';

/**
 * The rows that go, whose place an archive has taken or whose store was deleted, and their pieces:
 * who is reading begins again from the archive.
 */
const sweepSealedSql: readonly (readonly [string, string])[] = [
  [
    'sweep-sealed-pieces',
    `delete from rlm_piece p using rlm_session s, rlm_log l
    where s.id = $1 and l.session = s.id and l.pos < s.base_pos
    and p.session = s.id and p.upload = l.upload`,
  ],
  [
    'sweep-rows',
    `delete from rlm_log l using rlm_session s
    where s.id = $1 and l.session = s.id and (l.pos < s.base_pos or s.deleted_ms is not null)`,
  ],
];

/** Somebody may be uploading a text, or an archive, whose row is still to come: a day is enough. */
const dayMs = 86_400_000;

const claimTidyingSql = `with due as (
  select id from rlm_session where id = any($1::text[]) and deleted_ms is null
  and tidied_ms <= ${nowMsSql} - $2::bigint order by id for no key update)
update rlm_session s set tidied_ms = ${nowMsSql} from due where s.id = due.id returning s.id`;

const deletedSql = `select id from rlm_session
where id = any($1::text[]) and deleted_ms is not null`;

const sealedSql = `select p.created_ms as ms from rlm_session s join rlm_piece p
on p.upload = s.base_upload and p.n = 0 where s.id = $1`;

const toSweepSql = `with due as (
  select id from rlm_session where swept_ms < ${nowMsSql} - ${dayMs}
  order by id for no key update)
update rlm_session s set swept_ms = ${nowMsSql} from due where s.id = due.id returning s.id`;

const sweepPiecesSql = `delete from rlm_piece p using rlm_session s
where s.id = $1 and p.session = s.id
and (s.deleted_ms is not null or (p.upload is distinct from s.base_upload
  and p.created_ms < ${nowMsSql} - ${dayMs}
  and not exists (select 1 from rlm_log l where l.session = s.id and l.upload = p.upload)))`;

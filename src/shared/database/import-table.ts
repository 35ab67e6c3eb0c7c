import type { Availability } from './availability.ts';
import type { Database } from './database.ts';
import { nameColumn } from './name-column.ts';

/** A store that begins with an archive. */
export interface ImportedStore {
  readonly id: string;
  readonly project: string;
  readonly createdMs: number;
  /** The archive, and how many pieces there are of it. */
  readonly upload: string;
  readonly pieces: number;
  /** The stores whose texts it reads. */
  readonly bases: readonly string[];
  /** Absent for one that is only read through others. */
  readonly name?: string;
}

/**
 * The statements by which stores of an archive come into the tables of `schema.ts`; rows are locked
 * in the order of `LogTable`.
 */
export class ImportTable {
  readonly #database: Database;
  readonly #availability: Availability;

  constructor(database: Database, availability: Availability) {
    this.#database = database;
    this.#availability = availability;
  }

  /**
   * Takes an id, as that of a store that is deleted: nobody sees it until {@link publish}.
   * @param project One that this role may have
   * @returns Whether nobody had it, seen by this role or not
   */
  async claim(id: string, project: string): Promise<boolean> {
    const rows = await this.#availability.ask(async (signal) =>
      this.#database.query('claim-id', claimSql, [id, nameColumn(project)], signal),
    );
    return rows.length > 0;
  }

  /**
   * Stores whose archives were put away are there, all at once.
   * @returns False where one of the names has a store by now: then none is
   */
  async publish(stores: readonly ImportedStore[]): Promise<boolean> {
    const named = stores.filter(({ name }) => name !== undefined);
    const values = [
      stores.map(({ id }) => id),
      stores.map(({ project }) => nameColumn(project)),
      stores.map(({ createdMs }) => createdMs),
      stores.map(({ upload }) => upload),
      stores.map(({ pieces }) => pieces),
      stores.map(({ bases }) => bases.join(',')),
      named.map(({ name }) => nameColumn(name!)),
      named.map(({ id }) => id),
    ];
    const rows = await this.#availability.ask(
      async (signal) =>
        this.#database.query<{ readonly id: string }>('publish', publishSql, values, signal),
      // By an attempt of this whose answer was lost; else somebody has taken a name.
      async (signal) =>
        this.#database.query<{ readonly id: string }>(
          'published',
          'select id from rlm_session where id = any($1::text[]) and deleted_ms is null',
          [values[0]],
          signal,
        ),
    );
    return rows.length === stores.length;
  }

  /** What was claimed and not published goes. @throws ProxyError `store_away` */
  async abandon(ids: readonly string[]): Promise<void> {
    await this.#availability.ask(async (signal) =>
      this.#database.query('abandon', abandonSql, [ids], signal),
    );
  }
}

const nowMsSql = '(extract(epoch from clock_timestamp()) * 1000)::bigint';

/** Swept now: what belongs to it is not to be swept for a day, deleted though it is. */
const claimSql = `insert into rlm_session (id, project, created_ms, deleted_ms, swept_ms)
values ($1, $2, ${nowMsSql}, ${nowMsSql}, ${nowMsSql}) on conflict do nothing returning id`;

/** An archive stands for row 1; the names are inserted in the same statement, or nothing is. */
const publishSql = `with w as (
  select * from unnest($1::text[], $2::text[], $3::bigint[], $4::uuid[], $5::int[], $6::text[])
    as w(id, project, created_ms, upload, pieces, bases)),
held as (select id from rlm_session where id = any($1::text[]) order by id for no key update),
n as (insert into rlm_name (name, session)
  select * from unnest($7::text[], $8::text[]) as named(name, session) order by name)
update rlm_session s set project = w.project, created_ms = w.created_ms, deleted_ms = null,
  head = 1, time_ms = ${nowMsSql}, base_pos = 1, base_upload = w.upload, base_pieces = w.pieces,
  bases = string_to_array(w.bases, ',')
from w, held where s.id = w.id and s.id = held.id and s.deleted_ms is not null returning s.id`;

const abandonSql = `with held as (
  select id from rlm_session where id = any($1::text[]) and deleted_ms is not null
  order by id for update),
p as (delete from rlm_piece p using held where p.session = held.id)
delete from rlm_session s using held where s.id = held.id`;

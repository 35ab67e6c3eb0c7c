/**
 * The newest version of the tables that this program reads and writes. 2: rows of rlm_use belong to
 * their role ({@link upgradeSql}).
 */
export const schemaVersion = 2;

/**
 * The tables, plain SQL without functions, sequences and triggers, so that every engine that speaks
 * PostgreSQL's protocol has them. `store init` runs it; running it again changes nothing.
 *
 * rlm_meta     one row: the version of the tables, the key of the hashes of forgotten texts, and by
 *              what a team key is known (null: none)
 * rlm_session  a store: `head` is the number of its last row, `time_ms` the time of that, which
 *              never goes back whatever the clocks do. `base_pos`, `base_upload`, `base_pieces`: an
 *              archive of all up to that row, from which a replica begins. `bases`: the stores
 *              whose texts a branch reads. `swept_ms`, `tidied_ms`: when somebody last looked for
 *              pieces without a row, and for texts that are too old or too many
 * rlm_name     the names of projects (`name-column.ts`)
 * rlm_log      the rows (`log.ts`). The lock on the row of rlm_session is held from its update to
 *              the commit of the same statement, so numbers are committed in order and without gaps
 * rlm_piece    texts of more than 1 MiB, and archives, in pieces
 * rlm_use      what each proxy has used of a day's budget; everybody reads all of it, and nobody
 *              else writes what a role has written
 * rlm_access   which database role may see which projects; only looked at where `--roles` was given
 */
export const schemaSql: readonly string[] = [
  `create table if not exists rlm_meta (
    version int not null, hash_key bytea not null, key_check text)`,
  `create table if not exists rlm_session (
    id text primary key, project text not null, created_ms bigint not null,
    head bigint not null default 0, time_ms bigint not null default 0, deleted_ms bigint,
    base_pos bigint not null default 0, base_upload uuid, base_pieces int,
    bases text[] not null default '{}', swept_ms bigint not null default 0,
    tidied_ms bigint not null default 0)`,
  `create table if not exists rlm_name (name text primary key, session text not null)`,
  `create table if not exists rlm_log (
    session text not null, pos bigint not null, time_ms bigint not null,
    writer uuid not null, n bigint not null, machine text not null,
    facts bytea not null, text bytea, upload uuid,
    primary key (session, pos), unique (writer, n))`,
  `create table if not exists rlm_piece (
    upload uuid not null, n int not null, session text not null, created_ms bigint not null,
    data bytea not null, primary key (upload, n))`,
  `create table if not exists rlm_use (
    day text not null, role text not null default current_user::text, writer uuid not null,
    used text not null, primary key (day, role, writer))`,
  `create table if not exists rlm_access (
    role text not null, project text not null, primary key (role, project))`,
];

/**
 * What brings tables of an earlier version to the next, by that version. What was used of today is
 * written anew by each proxy at its next turn.
 */
export const upgradeSql: Readonly<Record<number, readonly string[]>> = {
  1: [
    'delete from rlm_use',
    'alter table rlm_use add column role text not null default current_user::text',
    'alter table rlm_use drop constraint rlm_use_pkey',
    'alter table rlm_use add primary key (day, role, writer)',
  ],
};

/**
 * Packed already: another packing costs time and gains nothing. Engines without the clause do
 * without.
 */
export const storageSql: readonly string[] = [
  'alter table rlm_log alter column text set storage external',
  'alter table rlm_piece alter column data set storage external',
];

/**
 * Row-level security: a role sees the projects that `rlm_access` grants it (`*`: all), what belongs
 * to them, and nothing else; who owns the tables sees everything.
 */
export const isolationSql: readonly string[] = [
  'alter table rlm_session enable row level security',
  'alter table rlm_name enable row level security',
  'alter table rlm_log enable row level security',
  'alter table rlm_piece enable row level security',
  'alter table rlm_use enable row level security',
  'alter table rlm_access enable row level security',
  ...policy('rlm_session', granted('rlm_session.project')),
  ...policy('rlm_name', granted('rlm_name.name')),
  ...policy('rlm_log', ofVisibleSession('rlm_log')),
  ...policy('rlm_piece', ofVisibleSession('rlm_piece')),
  ...policy('rlm_use', 'role = current_user'),
  'drop policy if exists rlm_reading on rlm_use',
  'create policy rlm_reading on rlm_use for select using (true)',
  // Which projects there are for others is theirs to know.
  ...policy('rlm_access', 'role = current_user'),
];

/** Lets a role use the tables. `role` is an identifier that was quoted. */
export function grantSql(role: string): readonly string[] {
  return [
    `grant select on rlm_meta, rlm_access to ${role}`,
    `grant select, insert, update, delete on rlm_session, rlm_name, rlm_log, rlm_piece, rlm_use to ${role}`,
  ];
}

/**
 * Its own names (`_<role>:...`), what it was granted, and folders within that (`...#folder`).
 * @param column With its table: `rlm_access` has a `project`, too
 */
function granted(column: string): string {
  const own = `'_' || replace(replace(current_user::text, '%', '%25'), ':', '%3A') || ':'`;
  return `left(${column}, length(${own})) = ${own}
    or exists (select 1 from rlm_access a where a.role = current_user
      and (a.project in ('*', ${column}, split_part(${column}, '#', 1))))`;
}

function ofVisibleSession(table: string): string {
  // The look at rlm_session is itself under that table's policy.
  return `exists (select 1 from rlm_session s where s.id = ${table}.session)`;
}

function policy(table: string, condition: string): readonly string[] {
  return [
    `drop policy if exists rlm_projects on ${table}`,
    `create policy rlm_projects on ${table} using (${condition}) with check (${condition})`,
  ];
}

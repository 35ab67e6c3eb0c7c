import { DatabaseError } from 'pg';
import { ProxyError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { readAddress } from './address.ts';
import { Database, refusal } from './database.ts';
import { schemaVersion } from './schema.ts';
import { noSeal, sealWith } from '../seal.ts';

/** Round trips that are timed; the middle one counts. */
const timedRounds = 5;

/** What a database says when it is looked at. */
export interface StoreProbe {
  /** Its address, without password. */
  readonly store: string;
  /** Of the server, as it names it: `15.18 (Debian ...)`. */
  readonly serverVersion: string;
  /** The version of the tables; absent where there are none. */
  readonly tables?: number;
  /** What this program reads and writes. */
  readonly knownTables: number;
  /** The database role that asked. */
  readonly role: string;
  /** The middle of five, on a connection that is there, milliseconds. */
  readonly roundTripMs: number;
  /** Whether the connection is encrypted; absent where the server does not say. */
  readonly isEncrypted?: boolean;
  /** Whether it may only be read: a standby that has not been promoted. */
  readonly isReadOnly: boolean;
  /** Whether this machine has the team key that the store was made with; absent without tables. */
  readonly hasRightKey?: boolean;
  /** What becomes of acknowledged texts when the server is lost; absent where it does not say. */
  readonly standby?: StandbyFacts;
  /** Of all tables with their indexes, bytes; absent where the server does not say. */
  readonly bytes?: number;
}

/** What there is beside the one server. */
interface StandbyFacts {
  /** Standbys that follow it now. */
  readonly count: number;
  /**
   * Whether a commit waits until a standby has it. False: one that takes over may lack texts that
   * were acknowledged.
   */
  readonly isSynchronous: boolean;
  /** Whether a commit waits for the server's own disk (`synchronous_commit` is not `off`). */
  readonly waitsForDisk: boolean;
}

/**
 * Looks at a shared store once, without opening it: for commands that say what is wrong.
 * @param options.connectMs How long a connection may take to be made, milliseconds
 * @throws ProxyError `store_away` that says why and what to do; `config_invalid`
 */
export async function probeStore(
  url: string,
  options: {
    readonly log: Logger;
    readonly connectMs: number;
    readonly teamKey?: string | undefined;
  },
): Promise<StoreProbe> {
  const { log, connectMs, teamKey } = options;
  const address = readAddress(url);
  await using database = new Database(address, { log, connectMs });
  for (let host = 1; ; host += 1) {
    try {
      return await probe(database, teamKey, AbortSignal.timeout(connectMs * 3));
    } catch (error) {
      if (host >= address.urls.length) throw unreachable(error, address.shown);
      database.useNextHost();
    }
  }
}

async function probe(
  database: Database,
  teamKey: string | undefined,
  signal: AbortSignal,
): Promise<StoreProbe> {
  const [about] = await database.query<{ version: string; role: string; standby: boolean }>(
    'about',
    `select current_setting('server_version') as version, current_user::text as role,
    pg_is_in_recovery() or current_setting('transaction_read_only') = 'on' as standby`,
    [],
    signal,
  );
  const roundTripMs = await timedRoundTrip(database, signal);
  const meta = await metaOf(database, signal);
  const encrypted = await ifSaid(async () =>
    database.query<{ ssl: boolean }>(
      'ssl',
      'select ssl from pg_stat_ssl where pid = pg_backend_pid()',
      [],
      signal,
    ),
  );
  const sized =
    meta === undefined
      ? undefined
      : await ifSaid(async () => database.query<{ bytes: string }>('size', sizeSql, [], signal));
  const { check } = teamKey === undefined ? noSeal : sealWith(teamKey);
  const standby = await standbyOf(database, signal);
  return {
    store: database.shown,
    serverVersion: about!.version,
    ...(meta && { tables: meta.version, hasRightKey: (meta.key_check ?? undefined) === check }),
    knownTables: schemaVersion,
    role: about!.role,
    roundTripMs,
    ...(encrypted?.[0] && { isEncrypted: encrypted[0].ssl }),
    isReadOnly: about!.standby,
    ...(standby && { standby }),
    ...(sized?.[0] && { bytes: Number(sized[0].bytes) }),
  };
}

async function timedRoundTrip(database: Database, signal: AbortSignal): Promise<number> {
  const taken: number[] = [];
  for (let round = 0; round < timedRounds; round += 1) {
    const from = performance.now();
    await database.query('round', 'select 1 as one', [], signal);
    taken.push(performance.now() - from);
  }
  return taken.sort((a, b) => a - b)[(timedRounds - 1) / 2]!;
}

interface MetaRow {
  readonly version: number;
  readonly key_check: string | null;
}

/** Undefined where there are no tables yet. */
async function metaOf(database: Database, signal: AbortSignal): Promise<MetaRow | undefined> {
  try {
    const rows = await database.query<MetaRow>(
      'probe-meta',
      'select version, key_check from rlm_meta',
      [],
      signal,
    );
    return rows[0];
  } catch (error) {
    if (error instanceof DatabaseError && error.code === '42P01') return undefined;
    throw error;
  }
}

async function standbyOf(
  database: Database,
  signal: AbortSignal,
): Promise<StandbyFacts | undefined> {
  const rows = await ifSaid(async () =>
    database.query<{ commit: string; names: string; standbys: string }>(
      'standby',
      `select current_setting('synchronous_commit') as commit,
      current_setting('synchronous_standby_names') as names,
      (select count(*) from pg_stat_replication) as standbys`,
      [],
      signal,
    ),
  );
  const row = rows?.[0];
  if (row === undefined) return undefined;
  const waits =
    row.commit === 'on' || row.commit === 'remote_apply' || row.commit === 'remote_write';
  return {
    count: Number(row.standbys),
    isSynchronous: row.names !== '' && waits,
    waitsForDisk: row.commit !== 'off',
  };
}

const sizeSql = `select sum(pg_total_relation_size(t::regclass))::text as bytes
from unnest(array['rlm_meta', 'rlm_session', 'rlm_name', 'rlm_log', 'rlm_piece', 'rlm_use']) as t`;

/** What an engine of the same protocol need not know of. */
async function ifSaid<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof DatabaseError) return undefined;
    throw error;
  }
}

/** Why a database cannot be used, with what to do. */
function unreachable(error: unknown, shown: string): ProxyError {
  if (error instanceof ProxyError) return error;
  if (error instanceof DatabaseError) return refusal(error, shown);
  const { code = '', message = String(error) } = (error ?? {}) as {
    readonly code?: string;
    readonly message?: string;
  };
  const [why, hint] = causes.find(([words]) => words.test(`${code} ${message}`))?.slice(1) ?? [
    message,
    'Is the address in RLM_STORE_URL right, and may this machine reach it?',
  ];
  return new ProxyError('store_away', `The shared store ${shown} cannot be reached: ${why}.`, {
    cause: error,
    hint: hint as string,
  });
}

const tlsHint =
  'Add sslrootcert=FILE with the certificate of its authority to RLM_STORE_URL (docs/team.md).';

/** By code or words of what the system, the TLS library or the driver throws. */
const causes: readonly (readonly [words: RegExp, why: string, hint: string])[] = [
  [/ECONNREFUSED/, 'nothing listens there', 'Is the database running, and is its port right?'],
  [/ENOTFOUND|EAI_AGAIN/, 'there is no such host', 'Compare the host in RLM_STORE_URL.'],
  [
    /ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|timeout|in time/i,
    'it does not answer',
    'Is this machine in the right network, and is a firewall between?',
  ],
  [
    /does not support SSL/i,
    'it offers no encryption, which is required beyond this machine',
    'Turn on ssl in the database (docs/team.md).',
  ],
  [/ALTNAME|does not match certificate/i, 'its certificate is of another host', tlsHint],
  [/SELF_SIGNED|UNABLE_TO|CERT_|certificate/i, 'its certificate cannot be verified', tlsHint],
  [/ENOENT/, 'the file that sslrootcert names is not there', 'Compare RLM_STORE_URL.'],
];

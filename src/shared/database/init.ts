import { randomBytes } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import { ProxyError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { readAddress } from './address.ts';
import { Database, refusal } from './database.ts';
import { nameColumn } from './name-column.ts';
import {
  grantSql,
  isolationSql,
  schemaSql,
  schemaVersion,
  storageSql,
  upgradeSql,
} from './schema.ts';
import { noSeal, sealWith } from '../seal.ts';

/** Longest a statement of a set-up may take, milliseconds. */
const setUpMs = 30_000;

/** A database role and the projects that it may see. */
export interface RoleGrant {
  readonly role: string;
  /** Names as `git:github.com/owner/project`, `*` for all. */
  readonly projects: readonly string[];
}

/** What a set-up has found or made. */
export interface InitReport {
  readonly store: string;
  /** False where the tables were there before: what they held stays. */
  readonly isNew: boolean;
  readonly hasTeamKey: boolean;
  readonly roles: readonly string[];
}

/**
 * Makes the tables of a shared store, once; what is there stays, and is brought to the newest
 * version. With `roles` each sees only its
 * projects from then on. Run as the owner of the database.
 * @throws ProxyError `store_away`, `store_newer`, `config_invalid`; `invalid_request` for a store
 *   that was made with another team key
 */
export async function initSharedStore(
  url: string,
  options: {
    readonly log: Logger;
    readonly clock: Clock;
    readonly teamKey?: string | undefined;
    readonly roles?: readonly RoleGrant[];
  },
): Promise<InitReport> {
  const address = readAddress(url);
  await using database = new Database(address, { log: options.log, connectMs: setUpMs });
  const signal = AbortSignal.timeout(setUpMs);
  const { roles = [], teamKey } = options;
  const { check } = teamKey === undefined ? noSeal : sealWith(teamKey);
  try {
    await database.run(schemaSql, signal);
    for (const sql of storageSql) {
      // Engines of the same protocol keep their values in other ways.
      await database.run([sql], signal).catch((error: unknown) => {
        options.log.debug({ err: error }, 'values are kept as the database thinks best');
      });
    }
    const made = await database.query<{ readonly version: number }>(
      'init',
      `insert into rlm_meta (version, hash_key, key_check)
      select $1::int, $2::bytea, $3 where not exists (select 1 from rlm_meta) returning version`,
      [schemaVersion, randomBytes(32), check ?? null],
      signal,
    );
    const [meta] = await database.query<{ version: number; key_check: string | null }>(
      'meta',
      'select version, key_check from rlm_meta',
      [],
      signal,
    );
    if ((meta?.version ?? 0) > schemaVersion) {
      throw new ProxyError(
        'store_newer',
        `The shared store has tables of version ${meta!.version}, this program knows version ${schemaVersion}.`,
        { hint: 'Install the newer version of rlm-opencode.' },
      );
    }
    if ((meta?.key_check ?? undefined) !== check) throw otherKey(meta?.key_check === null);
    for (let from = meta?.version ?? schemaVersion; from < schemaVersion; from += 1) {
      const upgraded = `update rlm_meta set version = ${from + 1}`;
      await database.run([...(upgradeSql[from] ?? []), upgraded], signal);
    }
    const [isolated] = await database.query<{ readonly is: boolean }>(
      'isolated',
      'select exists (select 1 from rlm_access) as is',
      [],
      signal,
    );
    // Also where no role comes: what isolates them may be of an earlier version.
    if (roles.length > 0 || isolated?.is === true) {
      await database.run(isolationSql, signal);
      for (const { role, projects } of roles) {
        await database.run(grantSql(identifier(role)), signal);
        await database.query('ungrant', 'delete from rlm_access where role = $1', [role], signal);
        for (const project of projects) {
          await database.query(
            'grant',
            'insert into rlm_access (role, project) values ($1, $2) on conflict do nothing',
            [role, nameColumn(project)],
            signal,
          );
        }
      }
    }
    return {
      store: address.shown,
      isNew: made.length > 0,
      hasTeamKey: check !== undefined,
      roles: roles.map(({ role }) => role),
    };
  } catch (error) {
    throw error instanceof ProxyError ? error : refusal(error, address.shown, initHints);
  }
}

/** What helps against refusals that mean something else to whoever sets up a store. */
const initHints = {
  '42501': 'Set it up as the owner of the database: its URL in RLM_STORE_URL, this once.',
  '42704': 'Create the role first: create role NAME login password ...;',
};

/** A role's name as SQL has it. */
function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function otherKey(hasNone: boolean): ProxyError {
  return new ProxyError(
    'invalid_request',
    hasNone
      ? 'The shared store was set up without a team key: what is in it is readable for the database.'
      : 'The shared store was set up with another team key, or with one where none was given now.',
    {
      hint: 'A team key is chosen once, at the first `store init`; make another database for another.',
    },
  );
}

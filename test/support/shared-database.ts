import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { initSharedStore } from '../../src/shared/database/init.ts';
import { startPostgres, type TestPostgres } from './postgres.ts';

/** What machines of a team share, and where they lie. To be read within tests. */
interface SharedPlace {
  readonly postgres: TestPostgres;
  /** For the data directories of machines. */
  readonly folder: string;
}

/** Makes the tables of a team without a key. */
export async function withTables(postgres: TestPostgres): Promise<void> {
  await initSharedStore(postgres.url(), { log: silentLogger(), clock: systemClock });
}

/**
 * A PostgreSQL server and a folder, which are there while the tests of the block around this call
 * run.
 * @param prepare What is done in the database before the first test; absent: nothing
 */
export function sharedDatabase(prepare?: (postgres: TestPostgres) => Promise<void>): SharedPlace {
  let place: SharedPlace | undefined;
  const there = (): SharedPlace => {
    if (place === undefined) throw new Error('There is no database before the first test.');
    return place;
  };
  beforeAll(async () => {
    const postgres = await startPostgres();
    place = { postgres, folder: await mkdtemp(join(tmpdir(), 'rlm-shared-')) };
    await prepare?.(postgres);
  });
  afterAll(async () => {
    await place?.postgres[Symbol.asyncDispose]();
    if (place !== undefined) await rm(place.folder, { recursive: true, force: true });
  });
  return {
    get postgres() {
      return there().postgres;
    },
    get folder() {
      return there().folder;
    },
  };
}

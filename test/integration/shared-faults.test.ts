import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { initSharedStore } from '../../src/shared/init.ts';
import { noPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts';
import { type HaltedWork, SharedHalts } from '../support/shared-halts.ts';

describe.skipIf(noPostgres !== undefined)(
  `a shared store when something fails (${noPostgres ?? 'PostgreSQL'})`,
  () => {
    let postgres: TestPostgres;
    let folder: string;

    beforeAll(async () => {
      postgres = await startPostgres();
      folder = await mkdtemp(join(tmpdir(), 'rlm-shared-'));
      await initSharedStore(postgres.url(), { log: silentLogger(), clock: systemClock });
    });

    afterAll(async () => {
      await postgres[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    });

    // `test/long/team-faults.ts` halts at every step.
    test.each<HaltedWork>(['append', 'away', 'drain', 'replay'])(
      'a process that ends in the middle (%s): what it said that it keeps is there, once',
      async (work) => {
        const halts = new SharedHalts(postgres, folder);
        const whole = await halts.run(work, Infinity);
        expect(whole).toBeGreaterThan(8);
        for (const share of [0.4, 0.8]) await halts.run(work, Math.floor(whole * share));
      },
      60_000,
    );
  },
);

import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import type { EntriesPage, SearchPage, SessionView } from '../../src/page/page-protocol.ts';
import { initSharedStore } from '../../src/shared/database/init.ts';
import { enterPage } from '../support/page-visitor.ts';
import { noPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts';
import { startProxy } from '../support/proxy.ts';

describe.skipIf(noPostgres !== undefined)(
  `the page over a shared store (${noPostgres ?? 'PostgreSQL'})`,
  () => {
    let postgres: TestPostgres;

    beforeAll(async () => {
      postgres = await startPostgres();
      await initSharedStore(postgres.url(), { log: silentLogger(), clock: systemClock });
    });

    afterAll(async () => postgres[Symbol.asyncDispose]());

    test('shows what is on this machine, also while the database is away, and fetches nothing', async () => {
      const env = { RLM_STORE_URL: postgres.url() };
      await using ours = await startProxy({ env });
      await using other = await startProxy({ env });
      const session = await ours.app.sessions.forDirectory('/work/shop', {
        create: true,
        project: 'shop',
      });
      await session?.store.append([{ kind: 'file', path: '/a.txt', text: 'the needle\n' }]);
      const id = session?.id ?? '';
      const { ask } = await enterPage(ours);
      const stranger = await enterPage(other);
      const read = async (): Promise<readonly unknown[]> => {
        const sessions = await ask<SessionView[]>('/page/sessions');
        const entries = `/page/sessions/${id}/entries?from=0&count=9`;
        const search = `/page/sessions/${id}/search?query=needle&from=0&count=9`;
        return [
          sessions.map(({ project, entries: count, bytes }) => [project, count, bytes > 300]),
          (await ask<EntriesPage>(entries)).entries.map(({ title }) => title),
          (await ask<SearchPage>(search)).total,
        ];
      };
      expect(await read()).toEqual([[['shop', 1, true]], ['/a.txt'], 1]);
      // Of the other machine it is no business until somebody works there.
      expect(await stranger.ask('/page/sessions')).toEqual([]);
      const { status } = await stranger.get(`/page/sessions/${id}/entries?from=0&count=9`);
      expect(status).toBe(404);
      const filesOf = ({ dataDir }: typeof other): readonly string[] =>
        readdirSync(dataDir, { recursive: true }).filter((name) =>
          String(name).includes(id),
        ) as string[];
      expect([filesOf(ours).length > 0, filesOf(other)]).toEqual([true, []]);
      await postgres.crash();
      expect(await read()).toEqual([[['shop', 1, true]], ['/a.txt'], 1]);
    });
  },
);

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Clock, systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { initSharedStore } from '../../src/shared/database/init.ts';
import { noPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts';
import { startProxy, type TestProxy } from '../support/proxy.ts';
import {
  answer,
  type ScriptedUpstream,
  startScriptedUpstream,
} from '../support/scripted-upstream.ts';

describe.skipIf(noPostgres !== undefined)(
  `proxies of a team (${noPostgres ?? 'PostgreSQL'})`,
  () => {
    let postgres: TestPostgres;
    let upstream: ScriptedUpstream;

    beforeAll(async () => {
      postgres = await startPostgres();
      upstream = await startScriptedUpstream();
    });

    afterAll(async () => {
      await upstream[Symbol.asyncDispose]();
      await postgres[Symbol.asyncDispose]();
    });

    const start = async (
      env: Readonly<Record<string, string>> = {},
      options: { readonly clock?: Clock; readonly onLog?: (line: string) => void } = {},
    ): Promise<TestProxy> =>
      startProxy({
        upstream,
        env: { RLM_STORE_URL: postgres.url(), ...env },
        ...options,
      });

    const headers = {
      'x-session-id': 'ses_1',
      'x-rlm-directory': '/work/shop',
      'x-rlm-project': 'p',
    };

    /** What a turn is answered with, and how often the upstream was asked for it. */
    async function ask(proxy: TestProxy, content: string): Promise<[text: string, asked: number]> {
      upstream.script(answer('answered'));
      const before = upstream.requests.length;
      const { message } = await proxy.ask({ messages: [{ role: 'user', content }] }, headers);
      return [String(message.content), upstream.requests.length - before];
    }

    test('a server that starts while the store was never reached goes on without, and then uses it', async () => {
      await postgres.crash();
      let skippedMs = 0;
      const clock = { ...systemClock, elapsedMs: () => systemClock.elapsedMs() + skippedMs };
      const lines: string[] = [];
      await using proxy = await start(
        { RLM_STORE_WAIT_MS: '2000' },
        { clock, onLog: (line) => lines.push(line) },
      );
      const long = 'a line of what was said\n'.repeat(2_000);
      expect(await ask(proxy, long)).toEqual(['answered', 1]);
      expect(lines.join('\n')).toContain('the server starts without a store');
      expect(await proxy.health()).toMatchObject({
        status: 'degraded',
        lastStoreFault: 'store_away',
      });
      await postgres.start();
      await initSharedStore(postgres.url(), { log: silentLogger(), clock: systemClock });
      // A busy machine may need more than one attempt.
      await vi.waitFor(
        async () => {
          skippedMs += 60_000;
          expect(await ask(proxy, `${long}and more\n`)).toEqual(['answered', 1]);
          expect(lines.join('\n')).toContain('the shared store can be reached: texts are stored');
        },
        { timeout: 40_000 },
      );
      const rows = async (): Promise<number> =>
        Number(await postgres.sql('select count(*) from rlm_log'));
      await vi.waitFor(async () => expect(await rows()).toBeGreaterThan(0), { timeout: 40_000 });
      expect(await proxy.health()).toMatchObject({
        sharedStore: { isAway: false, waitingRows: 0 },
      });
    });

    test('the limits of a day hold for all proxies together', async () => {
      // An answer of the script uses some tokens; one of them is enough.
      const limits = { RLM_MAX_DAY_TOKENS: '5', RLM_STORE_WAIT_MS: '5000' };
      const lines: string[] = [];
      const one = await start(limits);
      await using two = await start(limits, { onLog: (line) => lines.push(line) });
      expect(await ask(one, 'first')).toEqual(['answered', 1]);
      await vi.waitFor(
        async () =>
          expect(await postgres.sql('select used from rlm_use')).toMatch(/"tokens":[1-9]/),
        { timeout: 40_000 },
      );
      const refused = await two.post(
        { model: 'rlm', messages: [{ role: 'user', content: 'x' }] },
        headers,
      );
      expect(await refused.text()).toContain('day.tokens');
      // What one has used counts once for it after a restart, not as that of another.
      const again = await one.restart();
      const asked = { model: 'rlm', messages: [{ role: 'user', content: 'y' }] };
      expect(await (await again.post(asked, headers)).text()).toContain('day.tokens');
      expect((await postgres.sql('select count(*) from rlm_use')).trim()).toBe('2');
      await postgres.crash();
      expect(await (await two.post(asked, headers)).text()).toContain('day.tokens');
      expect(lines.join('\n')).toContain('what other proxies use of the day is not known');
      await postgres.start();
      await again[Symbol.asyncDispose]();
    });
  },
);

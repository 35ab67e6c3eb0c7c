import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { initSharedStore } from '../../src/shared/database/init.ts';
import type { Session } from '../../src/store/types.ts';
import type { Message } from '../../src/wire/types.ts';
import { noPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts';
import { startProxy, type TestProxy } from '../support/proxy.ts';
import {
  answer,
  finish,
  reply,
  type ScriptedUpstream,
  startScriptedUpstream,
  toolCall,
} from '../support/scripted-upstream.ts';

import {
  addTexts,
  filesOf,
  loseRows,
  openMachine,
  sharedStore,
} from '../support/shared-machines.ts';

/** What a turn's client sends beside its history. */
const headersOf = (project: string): Readonly<Record<string, string>> => ({
  'x-session-id': 'ses_1',
  'x-rlm-directory': '/work/shop',
  'x-rlm-project': project,
});

/** The output of a command, so long that a stub stands for it. */
function outputOf(turn: number, lines = 900): string {
  return Array.from(
    { length: lines },
    (_, i) => `turn ${turn} line ${i} value ${(i * 7919) % 997}\n`,
  ).join('');
}

describe.skipIf(noPostgres !== undefined)(
  `chats over a shared store (${noPostgres ?? 'PostgreSQL'})`,
  () => {
    let postgres: TestPostgres;
    let upstream: ScriptedUpstream;
    let history: Message[] = [];

    beforeAll(async () => {
      postgres = await startPostgres();
      await initSharedStore(postgres.url(), { log: silentLogger(), clock: systemClock });
      upstream = await startScriptedUpstream();
    });

    afterAll(async () => {
      await upstream[Symbol.asyncDispose]();
      await postgres[Symbol.asyncDispose]();
    });

    beforeEach(() => {
      history = [{ role: 'user', content: 'look at the outputs' }];
    });

    const start = async (env: Readonly<Record<string, string>> = {}): Promise<TestProxy> =>
      startProxy({ upstream, env: { RLM_STORE_URL: postgres.url(), ...env } });

    /** One turn: a call and its output come, the model asks us something, then answers. */
    async function turn(proxy: TestProxy, number: number, project: string): Promise<void> {
      const call = { id: `call_${number}`, type: 'function' as const };
      history.push(
        {
          role: 'assistant',
          content: null,
          tool_calls: [
            { ...call, function: { name: 'bash', arguments: `{"command":"make ${number}"}` } },
          ],
        },
        { role: 'tool', tool_call_id: call.id, content: outputOf(number) },
      );
      upstream.script(
        reply(toolCall('rlm_search', { pattern: `turn ${number} line 77` }), finish('tool_calls')),
        answer(`seen ${number}`),
      );
      const { message } = await proxy.ask({ messages: history }, headersOf(project));
      expect(message.content).toBe(`seen ${number}`);
      history.push(
        { role: 'assistant', content: `seen ${number}` },
        { role: 'user', content: `next ${number}` },
      );
    }

    const promptsSince = (from: number): readonly string[] =>
      upstream.requests.slice(from).map(({ body }) => JSON.stringify([body.messages, body.tools]));

    test('a chat whose turns come to three proxies sends what it would over one', async () => {
      const turns = 9;
      await using one = await start();
      let from = upstream.requests.length;
      for (let number = 1; number <= turns; number += 1) await turn(one, number, 'one');
      const expected = promptsSince(from);
      history = [{ role: 'user', content: 'look at the outputs' }];
      const three = [await start(), await start(), await start()];
      from = upstream.requests.length;
      for (let number = 1; number <= turns; number += 1) {
        await turn(three[number % 3]!, number, 'three');
      }
      expect(promptsSince(from)).toEqual(expected);
      for (const proxy of three) await proxy[Symbol.asyncDispose]();
    });

    test('a chat whose store goes on from one that is had anew sends what it would without that', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'rlm-chats-'));
      const play = async (isLost: boolean): Promise<readonly string[]> => {
        const project = randomUUID();
        history = [{ role: 'user', content: 'look at the outputs' }];
        const proxy = await start();
        const from = upstream.requests.length;
        await turn(proxy, 1, project);
        await using other = await openMachine(join(folder, project), postgres.url());
        const base = await sharedStore(other, project);
        const branch = await other.branch(base.id);
        await other.restore(base.id, branch.id);
        await addTexts(base, 'not for long');
        await turn(proxy, 2, project);
        const head = await postgres.sql(`select head from rlm_session where id = '${base.id}'`);
        if (isLost) await loseRows(postgres, base.id, Number(head) - 1);
        await turn(proxy, 3, project);
        const again = await proxy.restart();
        await turn(again, 4, project);
        const { status } = await again.health();
        expect(status).toBe('ok');
        await again[Symbol.asyncDispose]();
        expect((await sharedStore(other, project)).id).toBe(branch.id);
        for (const session of [branch, base])
          expect(await filesOf(await other.byId(session.id))).toBe(
            await filesOf(await fresh(session.id)),
          );
        return promptsSince(from);
      };
      await using machine = await openMachine(join(folder, 'fresh'), postgres.url());
      const fresh = async (id: string): Promise<Session> => machine.byId(id);
      const expected = await play(false);
      expect(await play(true)).toEqual(expected);
      await rm(folder, { recursive: true });
    });

    test('in an outage a chat goes on; what came meanwhile is shown as it was for ever, and found later', async () => {
      const project = randomUUID();
      const proxy = await start({ RLM_STORE_WAIT_MS: '3000' });
      await turn(proxy, 1, project);
      await postgres.crash();
      const call = { id: 'call_out', type: 'function' as const };
      history.push(
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ ...call, function: { name: 'bash', arguments: '{"command":"cat big"}' } }],
        },
        { role: 'tool', tool_call_id: call.id, content: outputOf(2, 60_000) },
      );
      upstream.script(answer('gone on'));
      await proxy.ask({ messages: history }, headersOf(project));
      const shown = lastPrompt().find(({ tool_call_id }) => tool_call_id === 'call_out')!
        .content as string;
      expect(shown).toContain('when the shared store is back');
      expect(shown.length).toBeLessThan(3_000);
      const name = /entry (p[0-9a-f]{8}):/.exec(shown)![1]!;
      history.push(
        { role: 'assistant', content: 'gone on' },
        { role: 'user', content: 'and now?' },
      );
      const before = JSON.stringify(lastPrompt());
      const again = await proxy.restart();
      upstream.script(answer('still on'));
      await again.ask({ messages: history }, headersOf(project));
      expect(JSON.stringify(lastPrompt()).startsWith(before.slice(0, -1))).toBe(true);
      history.push(
        { role: 'assistant', content: 'still on' },
        { role: 'user', content: 'open it' },
      );
      const beginning = JSON.stringify(lastPrompt()).slice(0, -1);
      await postgres.start();
      const back = await again.restart();
      await using other = await start();
      for (const each of [back, other]) {
        upstream.script(
          reply(
            toolCall('rlm_search', { pattern: 'turn 2 line 59999 ', entry: name }),
            finish('tool_calls'),
          ),
          answer('found'),
        );
        await each.ask({ messages: history }, headersOf(project));
        const [request] = upstream.requests.slice(-2);
        expect(JSON.stringify(request!.body.messages).startsWith(beginning)).toBe(true);
        expect(JSON.stringify(lastPrompt().at(-1))).toContain('turn 2 line 59999');
      }
      await back[Symbol.asyncDispose]();
    });

    const lastPrompt = (): readonly Message[] => upstream.requests.at(-1)!.body.messages;
  },
);

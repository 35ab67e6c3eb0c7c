import { readdirSync, renameSync, copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Message } from '../../src/wire/types.ts';
import {
  calling,
  clientTools,
  longText,
  resultOf,
  systemFor,
  user,
} from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import { answer, callTools, startScriptedUpstream } from '../support/scripted-upstream.ts';
import { toolResult } from '../support/tool-results.ts';

function turn(number: number): readonly Message[] {
  return [
    user(`Question ${number}`),
    calling(`call_${number}`, 'bash', { command: `run ${number}` }),
    resultOf(`call_${number}`, longText(60_000, `output-${number}-of`)),
  ];
}

const first: readonly Message[] = [systemFor('/work/deleted'), ...turn(1)];
const second: readonly Message[] = [...first, { role: 'assistant', content: 'ok' }, ...turn(2)];
const third: readonly Message[] = [...second, { role: 'assistant', content: 'ok' }, ...turn(3)];

test('a store whose files are deleted under the server is named, the chat goes on, and the next turn stores anew', async () => {
  const lines: string[] = [];
  await using upstream = await startScriptedUpstream();
  upstream.otherwise(answer('ok'));
  await using proxy = await startProxy({ upstream, onLog: (line) => lines.push(line) });
  await proxy.ask({ messages: first, tools: clientTools });
  const before = await proxy.app.sessions.forDirectory('/work/deleted', { create: false });
  expect(before?.store.totals.entries).toBe(1);

  const folder = join(proxy.dataDir, 'sessions');
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
  expect((await proxy.ask({ messages: second, tools: clientTools })).message.content).toBe('ok');
  // What could not be stored stands in the prompt.
  expect(JSON.stringify(upstream.requests.at(-1)?.body.messages)).toContain('output-2-of 7:');
  expect(await proxy.health()).toMatchObject({
    status: 'degraded',
    lastStoreFault: 'store_corrupt',
  });
  expect(lines.join('')).toMatch(/_entries\.jsonl was deleted, or another file put in its place/);

  upstream.script(
    callTools({ name: 'rlm_search', args: { pattern: 'output-[123]-of 7:' } }),
    answer('found'),
  );
  expect((await proxy.ask({ messages: third, tools: clientTools })).message.content).toBe('found');
  const result = upstream.requests.at(-1)?.body.messages.findLast(({ role }) => role === 'tool');
  expect(toolResult(result?.content)).toMatchObject({ total: 3 });
  expect(await proxy.health()).toMatchObject({ status: 'ok' });
  const after = await proxy.app.sessions.forDirectory('/work/deleted', { create: false });
  expect(after?.id).not.toBe(before?.id);
  expect(after?.store.totals.entries).toBe(3);
  expect(readdirSync(folder).every((name) => name.startsWith(after!.id))).toBe(true);
});

test('a file that another one took the place of is no longer written to', async () => {
  await using upstream = await startScriptedUpstream();
  upstream.otherwise(answer('ok'));
  await using proxy = await startProxy({ upstream });
  await proxy.ask({ messages: first, tools: clientTools });
  const before = await proxy.app.sessions.forDirectory('/work/deleted', { create: false });
  const journal = join(proxy.dataDir, 'sessions', `${before!.id}_entries.jsonl`);
  copyFileSync(journal, `${journal}.copy`);
  renameSync(`${journal}.copy`, journal);

  await proxy.ask({ messages: second, tools: clientTools });
  expect(await proxy.health()).toMatchObject({ lastStoreFault: 'store_corrupt' });
  await proxy.ask({ messages: third, tools: clientTools });
  const after = await proxy.app.sessions.forDirectory('/work/deleted', { create: false });
  expect(after?.id).toBe(before?.id);
  expect(after).not.toBe(before);
  expect(await proxy.health()).toMatchObject({ status: 'ok' });
  await using later = await proxy.restart();
  const again = await later.app.sessions.forDirectory('/work/deleted', { create: false });
  expect(again?.store.totals.entries).toBe(3);
});

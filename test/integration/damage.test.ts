import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import {
  calling,
  clientTools,
  longText,
  resultOf,
  systemFor,
  user,
} from '../support/conversation.ts';
import { startProxy, type TestProxy } from '../support/proxy.ts';
import { answer, callTools, startScriptedUpstream } from '../support/scripted-upstream.ts';

const request = {
  messages: [
    systemFor('/work/project'),
    user('What went wrong?'),
    calling('call_1', 'bash', { command: 'npm test' }),
    resultOf('call_1', longText(40_000)),
  ],
  tools: clientTools,
};

/** Overwrites bytes of a session's file. */
async function damage(proxy: TestProxy, ending: string, offsetBytes: number): Promise<void> {
  const folder = join(proxy.dataDir, 'sessions');
  const name = (await readdir(folder)).find((each) => each.endsWith(ending)) ?? '';
  await using file = await open(join(folder, name), 'r+');
  await file.write('XXXXXXXX', offsetBytes);
}

it('a journal that is damaged does not take the chat down; health says so', async () => {
  await using upstream = await startScriptedUpstream();
  upstream.otherwise(answer('still here'));
  const first = await startProxy({ upstream });
  await first.ask(request);
  await damage(first, '_entries.jsonl', 120);
  await using proxy = await first.restart();
  const { message } = await proxy.ask(request);
  expect(message.content).toBe('still here');
  expect(upstream.requests.at(-1)?.body.messages.at(-1)?.content).toBe(longText(40_000));
  const health = (await (await fetch(`${proxy.origin}/health`)).json()) as { status: string };
  expect(health).toMatchObject({ status: 'degraded', lastStoreFault: 'store_corrupt' });
});

it('a hit in text that is damaged is an error for the model, not a changed line', async () => {
  await using upstream = await startScriptedUpstream();
  upstream.script(
    answer('ok'),
    callTools({ name: 'rlm_search', args: { pattern: 'line 3:' } }),
    answer('ok'),
  );
  await using proxy = await startProxy({ upstream });
  await proxy.ask(request);
  await damage(proxy, '_context.txt', 130);
  await proxy.ask({
    ...request,
    messages: [...request.messages, { role: 'assistant', content: 'ok' }, user('and line 3?')],
  });
  const told = String(upstream.requests.at(-1)?.body.messages.at(-1)?.content);
  expect(told).not.toContain('XXXXXXXX');
  expect(told).toContain('could not be run');
});

import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { calling, longText, resultOf, user, outputRequest } from '../support/conversation.ts';
import { startProxy, type TestProxy } from '../support/proxy.ts';
import { toolResult } from '../support/tool-results.ts';
import { answer, callTools, startScriptedUpstream } from '../support/scripted-upstream.ts';

const request = outputRequest(longText(40_000));

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
  expect(await proxy.health()).toMatchObject({
    status: 'degraded',
    lastStoreFault: 'store_corrupt',
  });
});

it('damaged text is never shown; an answer that it could have touched says so, also a zero, and the sound hits come', async () => {
  await using upstream = await startScriptedUpstream();
  const other = resultOf('call_2', 'line 3: of another file\n'.repeat(30));
  const asked = {
    ...request,
    messages: [
      ...request.messages,
      calling('call_2', 'bash', { command: 'cat other' }),
      other,
      { role: 'assistant', content: 'ok' },
      user('and line 3?'),
    ],
  };
  upstream.script(
    answer('ok'),
    callTools({ name: 'rlm_search', args: { pattern: 'line 3:' } }),
    callTools({ name: 'rlm_search', args: { pattern: 'XXXXXXXX' } }),
    callTools({
      name: 'rlm_search',
      args: { pattern: 'line \\d+', aggregate: 'count_by', max_results: 5 },
    }),
    callTools({ name: 'rlm_search', args: { pattern: 'line 3:', entry: 'e2' } }),
    answer('ok'),
  );
  await using proxy = await startProxy({ upstream });
  await proxy.ask({ ...asked, messages: asked.messages.slice(0, -2) });
  await damage(proxy, '_context.txt', 130);
  await proxy.ask(asked);
  const results = upstream.requests
    .at(-1)!
    .body.messages.slice(-8)
    .filter(({ role }) => role === 'tool')
    .map(({ content }) => toolResult(String(content)));
  expect(results).toHaveLength(4);
  const [hits, zero, groups, sound] = results;
  const says = expect.stringMatching(/damaged and was left out: \d+ bytes of e1\./);
  expect(hits).toMatchObject({ total: 30, note: says });
  expect(hits!['matches']).toHaveLength(30);
  expect(zero).toMatchObject({ total: 0, note: says });
  expect(groups).toMatchObject({ note: says });
  // The damage lies in another entry than was asked for.
  expect(sound).toMatchObject({ total: 30 });
  expect(sound).not.toHaveProperty('note');
});

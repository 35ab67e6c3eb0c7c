import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CliHome } from '../support/cli.ts';
import { answer, startScriptedUpstream } from '../support/scripted-upstream.ts';

/** Three files each: several times as many as there are descriptors. */
const directories = Number(process.env['TEST_DIRECTORIES'] ?? 150);
const chats = 64;

/**
 * A request of a chat in directory number `index`, with an output that is large enough to be
 * stored.
 */
function requestOf(index: number): object {
  const output = `output of project ${index};\n${'a line of it, like all the others\n'.repeat(60)}`;
  const call = {
    id: `call_of_${index}`,
    type: 'function',
    function: { name: 'cat', arguments: '{}' },
  };
  return {
    model: 'rlm-internal.rlm-core-v1',
    messages: [
      { role: 'user', content: `What is in project ${index}?` },
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', tool_call_id: call.id, content: output },
    ],
  };
}

test('64 chats at a time over more directories than there are descriptors: every output is stored', async () => {
  await using upstream = await startScriptedUpstream();
  upstream.otherwise(answer('ok'));
  using home = new CliHome();
  const { url, child, result } = await home.serve(
    {
      RLM_UPSTREAM_BASE_URL: upstream.baseURL,
      RLM_UPSTREAM_MODEL: 'scripted-model',
      RLM_UPSTREAM_API_KEY: 'test-key',
      RLM_LOG_LEVEL: 'warn',
    },
    'ulimit -n 256; exec "$@"',
  );
  let next = 0;
  const refused: string[] = [];
  await Promise.all(
    Array.from({ length: chats }, async () => {
      for (let index = (next += 1); index <= directories; index = next += 1) {
        const response = await fetch(`${url}/v1/chat/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'x-rlm-directory': `/project/${index}` },
          body: JSON.stringify(requestOf(index)),
        });
        const text = await response.text();
        if (!response.ok) refused.push(`${index}: ${response.status} ${text}`);
      }
    }),
  );
  const open = readdirSync(`/proc/${child.pid}/fd`).length;
  const health = (await (await fetch(`${url}/health`)).json()) as { readonly status: string };
  child.kill('SIGTERM');
  const { stderr } = await result;
  expect([refused, health.status, stderr]).toEqual([[], 'ok', '']);
  expect(open).toBeLessThan(200);
  const folder = join(home.dataDir, 'sessions');
  const stored = new Set<string>();
  for (const name of readdirSync(folder).filter((own) => own.endsWith('_context.txt'))) {
    stored.add(
      /^output of project (\d+);/.exec(readFileSync(join(folder, name), 'utf8'))?.[1] ?? name,
    );
  }
  expect(stored).toEqual(new Set(Array.from({ length: directories }, (_, i) => String(i + 1))));
}, 120_000);

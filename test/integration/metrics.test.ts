import parse from 'parse-prometheus-text-format';
import { expect, test } from 'vitest';
import { startProxy } from '../support/proxy.ts';

interface Family {
  readonly name: string;
  readonly metrics: readonly {
    readonly value: string;
    readonly labels?: Readonly<Record<string, string>>;
  }[];
}

test('after turns the numbers are those of /health, and no name or text of anybody is in them', async () => {
  await using proxy = await startProxy();
  const hostile = 'evil"} 1\nrlm_turns_total 99';
  await proxy.ask({ messages: [{ role: 'user', content: `What does "${hostile}" say?` }] });
  await proxy.post({ model: hostile, messages: [{ role: 'user', content: 'zebra' }] });
  const response = await fetch(`${proxy.origin}/metrics`);
  expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4');
  const text = await response.text();
  const families = parse(text) as readonly Family[];
  const health = (await proxy.health()) as unknown as Readonly<Record<string, number>>;
  const valueOf = (name: string, kind?: string): number => {
    const found = families.find((family) => family.name === name)?.metrics ?? [];
    return Number(found.find(({ labels }) => labels?.['kind'] === kind)?.value);
  };
  expect(valueOf('rlm_turns_total')).toBeGreaterThan(0);
  for (const [name, member] of [
    ['rlm_turns_total', 'turns'],
    ['rlm_steps_total', 'steps'],
    ['rlm_tool_calls_total', 'toolCalls'],
    ['rlm_stored_texts_total', 'storedTexts'],
    ['rlm_upstream_sent_bytes_total', 'upstreamBytes'],
  ] as const)
    expect([name, valueOf(name)]).toEqual([name, health[member]]);
  expect(valueOf('rlm_upstream_tokens_total', 'prompt')).toBe(health['promptTokens']);
  expect(valueOf('rlm_store_up')).toBe(1);
  expect(text).not.toMatch(/evil|zebra|rlm-core|tmp/);
});

test('where a token is set it is wanted, and a web page gets nothing', async () => {
  await using proxy = await startProxy({ env: { RLM_API_TOKEN: 'of-the-clients' } });
  const statusWith = async (headers: Record<string, string>): Promise<number> =>
    (await fetch(`${proxy.origin}/metrics`, { headers })).status;
  expect(await statusWith({})).toBe(401);
  expect(await statusWith({ authorization: 'Bearer of-the-clients' })).toBe(200);
  expect(await statusWith({ origin: 'https://evil.example' })).toBe(403);
});

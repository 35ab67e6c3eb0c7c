import parse from 'parse-prometheus-text-format';
import { expect, test } from 'vitest';
import { allTools } from '../../src/tools/registry.ts';
import { startPair, startProxy, type TestProxy } from '../support/proxy.ts';
import { answer, callTools, status } from '../support/scripted-upstream.ts';

interface Metric {
  readonly value?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly buckets?: Readonly<Record<string, string>>;
  readonly count?: string;
  readonly sum?: string;
}

interface Family {
  readonly name: string;
  readonly type: string;
  readonly metrics: readonly Metric[];
}

/** What `/metrics` says, by a parser of others. */
async function measured(proxy: TestProxy): Promise<{
  readonly text: string;
  /** By name, then by the one label, `''` where there is none. */
  readonly values: ReadonlyMap<string, Readonly<Record<string, number>>>;
  readonly family: (name: string) => Family | undefined;
}> {
  const text = await (await fetch(`${proxy.origin}/metrics`)).text();
  const families = parse(text) as readonly Family[];
  const values = families.map(({ name, metrics }) => {
    const each = metrics.map(
      ({ labels = {}, value }) => [Object.values(labels).join(), Number(value)] as const,
    );
    return [name, Object.fromEntries(each)] as const;
  });
  return {
    text,
    values: new Map(values),
    family: (wanted) => families.find(({ name }) => name === wanted),
  };
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

test('calls by tool, searches, retries, faults, the day and the stores are told, under our own names only', async () => {
  const hostile = 'evil"} 1\nrlm_turns_total 99';
  await using pair = await startPair({ RLM_MAX_DAY_TOKENS: '1000000', RLM_INJECT: 'always' });
  const { proxy, upstream } = pair;
  const before = await measured(proxy);
  expect(before.values.get('rlm_tool_calls_total')).toEqual(
    Object.fromEntries([...allTools.map(({ name }) => [name, 0]), ['other', 0]]),
  );
  expect(before.values.get('rlm_stores')).toEqual({ '': 0 });
  upstream.script(
    status(503, 'not now', { 'retry-after-ms': '1' }),
    callTools(
      { name: 'rlm_search', args: { pattern: 'zebra' } },
      { name: 'functions.rlm_find', args: { text: 'zebra' } },
      { name: `rlm_${hostile}`, args: { pattern: hostile } },
    ),
    answer('There it is.'),
  );
  const history = [
    { role: 'user', content: 'read it' },
    {
      role: 'assistant',
      content: null,
      tool_calls: [
        {
          id: 'c1',
          type: 'function',
          function: { name: hostile, arguments: `{"path":"/${hostile}"}` },
        },
      ],
    },
    { role: 'tool', tool_call_id: 'c1', content: 'a zebra\n'.repeat(5_000) },
    { role: 'user', content: 'where is the zebra?' },
  ] as const;
  const asked = { messages: history as never };
  await proxy.ask(asked, { 'x-rlm-directory': encodeURIComponent(`/tmp/${hostile}`) });
  upstream.otherwise(answer('Whatever.'));
  await proxy.post([]);
  await proxy.post({ model: `no/${hostile}`, messages: [{ role: 'user', content: 'x' }] });
  const { text, values, family } = await measured(proxy);
  expect(values.get('rlm_tool_calls_total')).toMatchObject({
    rlm_search: 1,
    rlm_find: 1,
    rlm_exec: 0,
    other: 1,
  });
  expect(values.get('rlm_upstream_retries_total')).toEqual({ upstream_failed: 1 });
  expect(values.get('rlm_faults_total')).toMatchObject({ invalid_request: 1 });
  expect(values.get('rlm_day_used')?.['tokens']).toBeGreaterThan(0);
  expect(values.get('rlm_day_limit')).toEqual({ tokens: 1_000_000 });
  expect(values.get('rlm_open_stores')).toEqual({ '': 2 });
  const searches = family('rlm_search_seconds');
  expect(searches?.type).toBe('HISTOGRAM');
  const [times] = searches!.metrics;
  expect(Number(times?.count)).toBeGreaterThanOrEqual(2);
  expect(Number(times?.buckets?.['+Inf'])).toBe(Number(times?.count));
  const counts = Object.entries(times!.buckets!)
    .map(([end, count]) => [Number(end.replace('+Inf', 'Infinity')), Number(count)] as const)
    .toSorted(([one], [other]) => one - other)
    .map(([, count]) => count);
  expect(counts).toEqual(counts.toSorted((one, other) => one - other));
  expect(Number(times?.sum)).toBeGreaterThan(0);
  expect(text).not.toMatch(/evil|zebra|\/tmp|_total 99$/m);
  expect(values.get('rlm_turns_total')).toEqual({ '': 2 });
});

test('the sums over all stores are those of the stores, looked at once a minute', async () => {
  await using first = await startProxy();
  const output = [
    { role: 'user', content: 'go' },
    {
      role: 'assistant',
      content: null,
      tool_calls: [{ id: 'c1', type: 'function', function: { name: 'bash', arguments: '{}' } }],
    },
    { role: 'tool', tool_call_id: 'c1', content: 'x'.repeat(20_000) },
    { role: 'user', content: 'well?' },
  ] as never;
  for (const directory of ['/p1', '/p2'])
    await first.ask({ messages: output }, { 'x-rlm-directory': directory });
  const stores = await first.app.sessions.list();
  const { values } = await measured(first);
  expect(values.get('rlm_stores')).toEqual({ '': 2 });
  const sum = (read: (totals: { entries: number; bytes: number }) => number): number =>
    stores.reduce((all, { totals }) => all + read(totals), 0);
  expect(values.get('rlm_store_entries')).toEqual({ '': sum(({ entries }) => entries) });
  expect(values.get('rlm_store_text_bytes')).toEqual({ '': sum(({ bytes }) => bytes) });
  await first.ask({ messages: output }, { 'x-rlm-directory': '/p3' });
  expect((await measured(first)).values.get('rlm_stores')).toEqual({ '': 2 });
});

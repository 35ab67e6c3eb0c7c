import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, test, vi } from 'vitest';
import {
  linkedBench,
  type LinkedBench,
  type StoreText,
} from '../../../test/support/linked-stores.ts';
import { openTestSandboxes, programsIn } from '../../../test/support/test-programs.ts';
import { flipByte } from '../../../test/faults/store-harness.ts';
import type { SearchEngine, SearchResult } from '../../search/types.ts';
import { allTools, ToolRegistry } from '../registry.ts';
import { linkedStoresOf, type LinkedStores } from './linked-stores.ts';

const texts: Readonly<Record<string, readonly StoreText[]>> = {
  shop: [
    { text: 'one error=1 ms=5\ntwo\n', path: 'src/a.ts' },
    { text: 'x error=2 ms=7\n', kind: 'tool_result', tool: 'bash' },
  ],
  api: [
    { text: 'other error=2 ms=8\nerror=9 here ms=1\n', path: 'src/a.ts' },
    { text: `${'a'.repeat(900)} error=5 ${'b'.repeat(900)}\n`, path: 'long.txt' },
  ],
  web: [{ text: 'nothing of the kind\n', path: 'w.ts' }],
};

interface Hit {
  readonly entry: string;
  readonly line: number;
  readonly text: string;
  readonly store?: string;
  readonly offset?: number;
}

async function hitsOf(bench: LinkedBench, args: object): Promise<readonly Hit[]> {
  return (await bench.fields('shop', 'rlm_search', args))['matches'] as readonly Hit[];
}

test('a search reaches linked stores only when asked to, and says that there are some', async () => {
  await using bench = await linkedBench(texts);
  const own = await bench.call('shop', 'rlm_search', { pattern: 'error=9' });
  expect(own).toMatch(/^0 matching lines: all 36 characters were searched\.\nnote: Only this/);
  expect(own).toContain('2 stores of other projects are linked (api, web)');
  expect(own).toContain('"scope": "linked"');
  const all = await bench.call('shop', 'rlm_search', { pattern: 'error=9', scope: 'linked' });
  expect(all).toBe(
    '1 matching line in 3 stores (this one 0, api 1, web 0):\n\n--- in the linked store api:\napi:e1 src/a.ts\n2: error=9 here ms=1',
  );
  // What is found here is told without a word about others.
  expect(await bench.call('shop', 'rlm_search', { pattern: 'error=1' })).not.toContain('linked');
});

test('totals are those of all stores, the own hits come first, each says whose it is', async () => {
  await using bench = await linkedBench(texts);
  const found = await bench.fields('shop', 'rlm_search', { pattern: 'error=', scope: 'linked' });
  expect(found['total']).toBe(5);
  expect(found['stores']).toEqual([
    { total: 2 },
    { store: 'api', total: 3 },
    { store: 'web', total: 0 },
  ]);
  const hits = found['matches'] as readonly Hit[];
  expect(hits.map(({ entry, line, store }) => [entry, line, store])).toEqual([
    ['e2', 1, undefined],
    ['e1', 1, undefined],
    ['api:e2', 1, 'api'],
    ['api:e1', 1, 'api'],
    ['api:e1', 2, 'api'],
  ]);
  // An offset names no store, so those of other stores have none.
  expect(hits.map(({ offset }) => offset !== undefined)).toEqual([true, true, false, false, false]);
});

test('what is shown of another store reads back as shown', async () => {
  await using bench = await linkedBench(texts);
  const read = async (args: object): Promise<string> => bench.call('shop', 'rlm_get_context', args);
  for (const { entry, line, text } of await hitsOf(bench, { pattern: 'ms=', scope: 'linked' })) {
    const shown = await read({ entry, line, lines: 1 });
    expect(shown).toContain(`[${entry} `);
    expect(shown.split(']\n')[1]?.trimEnd()).toBe(text);
  }
  const clipped = await bench.call('shop', 'rlm_search', { pattern: 'error=5', scope: 'api' });
  const [, offset, entry] = /@(\d+) of (api:e\d+)/.exec(clipped) ?? [];
  expect(await read({ entry, offset: Number(offset), length: 7 })).toMatch(/\]\nerror=5$/);
  const whole = await read({ entry: 'api:e2', length: 100 });
  expect(whole).toContain('go on with {"entry":"api:e2","offset":100}');
  for (const name of ['api:e1', 'API:1', 'entry api: e1', 'api:src/a.ts'])
    expect(await read({ entry: name })).toMatch(/^\[api:e1 src\/a\.ts: all 2 lines/);
  expect(await read({ entry: 'e1', against: 'api:e1' })).toContain('--- e1 src/a.ts\n+++ api:e1');
});

test('ids and names that are not there are answered with those that are', async () => {
  await using bench = await linkedBench(texts);
  const read = async (entry: string): Promise<string> =>
    bench.call('shop', 'rlm_get_context', { entry });
  expect(await read('api:e9')).toContain(
    'There is no entry "api:e9"; entries are named "api:e1" to "api:e2"',
  );
  expect(await read('foo:e1')).toContain('no linked store "foo" here; there are api, web.');
  expect(await bench.call('web', 'rlm_get_context', { entry: 'api:e1' })).toContain(
    'There is no linked store "api" here (any more).',
  );
  expect(await bench.call('web', 'rlm_search', { pattern: 'x', scope: 'linked' })).toContain(
    'No stores are linked to this one',
  );
  expect(await bench.call('shop', 'rlm_search', { pattern: 'x', scope: 'ape' })).toBe(
    'error: There is no linked store "ape" here; there are api, web.',
  );
  expect(await read('e12:340')).toContain('There is no entry "e12:340"');
});

test('cursors go on from store to store, and every hit comes once', async () => {
  await using bench = await linkedBench(texts);
  const all = await hitsOf(bench, { pattern: 'error=', scope: 'linked' });
  for (const size of [1, 2, 3]) {
    const seen: Hit[] = [];
    let cursor: unknown;
    for (let page = 0; page < 10; page += 1) {
      const found = await bench.fields('shop', 'rlm_search', {
        pattern: 'error=',
        scope: 'linked',
        max_results: size,
        ...(cursor === undefined ? {} : { cursor }),
      });
      expect(found['total']).toBe(5);
      seen.push(...(found['matches'] as readonly Hit[]));
      cursor = found['next_cursor'];
      if (cursor === undefined) break;
    }
    expect(seen).toEqual(all);
  }
});

test('results that are too long for one answer go on where they were cut', async () => {
  const many = Array.from({ length: 40 }, (_, n) => ({ text: `hit ${n} ${'x'.repeat(80)}\n` }));
  await using bench = await linkedBench({ own: many.slice(0, 15), api: many, web: many.slice(20) });
  const seen: string[] = [];
  let cursor: string | undefined;
  let pages = 0;
  for (; pages < 50; pages += 1) {
    const text = await bench.call(
      'own',
      'rlm_search',
      { pattern: '^hit', scope: 'linked', ...(cursor === undefined ? {} : { cursor }) },
      { maxResultChars: 1_000 },
    );
    expect(text.length).toBeLessThan(1_600);
    seen.push(...[...text.matchAll(/^((?:\w+:)?e\d+) .*\n1: hit/gm)].map(([, entry]) => entry!));
    cursor = /"cursor":"([^"]+)"/.exec(text)?.[1];
    if (cursor === undefined) break;
  }
  expect(pages).toBeGreaterThan(5);
  expect(seen).toHaveLength(15 + 40 + 20);
  expect(new Set(seen).size).toBe(seen.length);
});

test('groups count over all stores as if they were one', async () => {
  const line = (n: number): string => `user=u${n % 7} took ${(n * 37) % 101}.${n % 10} ms\n`;
  const lines = Array.from({ length: 300 }, (_, n) => line(n));
  const cut = (from: number, to: number): StoreText => ({
    text: lines.slice(from, to).join(''),
    kind: 'tool_result',
    tool: 'bash',
  });
  await using parts = await linkedBench({
    own: [cut(0, 50), cut(50, 90)],
    api: [cut(90, 170)],
    web: [cut(170, 171), cut(171, 300)],
  });
  await using whole = await linkedBench({ own: [cut(0, 300)] });
  const question = {
    pattern: String.raw`user=(\w+) took (\S+)`,
    group: 1,
    measures: { sum: 2, min: 2, max: 2, avg: 2, distinct: 2 },
    max_groups: 5,
  };
  const groups = async (bench: LinkedBench, args: object): Promise<unknown> => {
    const found = await bench.fields('own', 'rlm_search', args);
    const all = found['groups'] as readonly { readonly first: unknown; readonly last: unknown }[];
    expect(found['total']).toBe(300);
    return [
      found['group_count'],
      found['occurrences'],
      all.map(({ first: _first, last: _last, ...computed }) => computed),
    ];
  };
  const expected = await groups(whole, question);
  expect(await groups(parts, { ...question, scope: 'linked' })).toEqual(expected);
  for (const aggregate of ['unique', 'count_by', 'first_last'])
    expect(
      await groups(parts, { pattern: 'u(\\d)', group: [1], aggregate, scope: 'linked' }),
    ).toEqual(await groups(whole, { pattern: 'u(\\d)', group: [1], aggregate }));
  const count = { pattern: 'u[0-3]', aggregate: 'count' };
  const of = async (bench: LinkedBench, args: object): Promise<unknown> =>
    (await bench.fields('own', 'rlm_search', args))['occurrences'];
  expect(await of(parts, { ...count, scope: 'linked' })).toBe(await of(whole, count));
  // Each first and last place is where that value stands.
  const placed = await parts.fields('own', 'rlm_search', {
    pattern: 'u(\\d) took (\\S+)',
    group: 2,
    aggregate: 'first_last',
    scope: 'linked',
    max_groups: 1_000,
  });
  const shown = placed['groups'] as readonly {
    readonly value: string;
    readonly first: { readonly entry: string; readonly line: number };
    readonly last: { readonly entry: string; readonly line: number };
  }[];
  expect(shown.length).toBeGreaterThan(100);
  for (const { value, first, last } of shown.slice(0, 40))
    for (const { entry, line: at } of [first, last])
      expect(await parts.call('own', 'rlm_get_context', { entry, line: at, lines: 1 })).toContain(
        ` took ${value} ms`,
      );
});

test('groups by path tell the stores apart, groups by tool do not', async () => {
  await using bench = await linkedBench(texts);
  const values = async (group: string): Promise<unknown> =>
    (
      (
        await bench.fields('shop', 'rlm_search', {
          pattern: 'error=',
          aggregate: 'count_by',
          group,
          scope: 'linked',
        })
      )['groups'] as readonly { readonly value: string; readonly count: number }[]
    ).map(({ value, count }) => [value, count]);
  expect(await values('path')).toEqual([
    ['api:src/a.ts', 2],
    ['src/a.ts', 1],
    ['e2', 1],
    ['api:long.txt', 1],
  ]);
  expect(await values('tool')).toEqual([
    ['file', 4],
    ['bash', 1],
  ]);
  expect(await values('entry')).toContainEqual(['api:e1', 2]);
});

test('a text that was grouped by its id has its path in groups once it has come under one', async () => {
  await using bench = await linkedBench({ shop: [{ text: 'needle\n', kind: 'user_text' }] });
  const asked = { pattern: 'needle', aggregate: 'count_by', group: 'path' };
  const grouped = async (): Promise<unknown> =>
    (await bench.fields('shop', 'rlm_search', asked))['groups'];
  expect(await grouped()).toMatchObject([{ value: 'e1', count: 1 }]);
  const later = { text: 'needle\n', kind: 'user_text', path: 'a.ts' } as const;
  await bench.session('shop').store.append([later]);
  expect(await grouped()).toMatchObject([{ value: 'a.ts', count: 1 }]);
});

test('a filter counts where it fits; one that fits nowhere is an error', async () => {
  await using bench = await linkedBench(texts);
  const found = await bench.call('shop', 'rlm_find', {
    text: 'error',
    path: 'a.ts',
    scope: 'linked',
  });
  expect(found).toContain('3 matching lines in 3 stores (this one 1, api 2, web 0)');
  expect(found).toContain('note: Nothing fits the filter in web.');
  expect(
    await bench.call('shop', 'rlm_find', { text: 'error', path: 'zzz', scope: 'linked' }),
  ).toMatch(
    /^error: No entry has a path that fits "zzz".* Nor is there any in the linked stores\.$/,
  );
  // An entry says of which store it is; one without a name is of this one.
  for (const [entry, total] of [
    ['api:e1', 2],
    ['e1', 1],
  ] as const)
    expect(
      (await bench.fields('shop', 'rlm_search', { pattern: 'error', entry, scope: 'linked' }))[
        'total'
      ],
    ).toBe(total);
  expect(await hitsOf(bench, { pattern: 'error', path: 'api:*.ts' })).toHaveLength(2);
});

test('a linked store that was deleted is named, and the others are searched', async () => {
  await using bench = await linkedBench(texts);
  await bench.sessions.remove(bench.session('web').id);
  const found = await bench.call('shop', 'rlm_search', { pattern: 'error=9', scope: 'linked' });
  expect(found).toContain('1 matching line in 2 stores (this one 0, api 1)');
  expect(found).toContain(
    'note: The linked store web (/p/web) was deleted: nothing of it can be read any more. A person can end the link with `rlm-opencode sessions unlink /p/shop web`.',
  );
  expect(await bench.call('shop', 'rlm_get_context', { entry: 'web:e1' })).toMatch(
    /^error: The linked store web \(\/p\/web\) was deleted/,
  );
  expect(await bench.call('shop', 'rlm_stats', {})).toContain(
    'The linked store web (/p/web) was deleted',
  );
});

test('damage in one store is said with its name and hides nothing of the others', async () => {
  await using bench = await linkedBench(texts);
  const { store } = bench.session('api');
  await flipByte(store.textPath, 5);
  const found = await bench.call('shop', 'rlm_search', { pattern: 'error=', scope: 'linked' });
  expect(found).toMatch(/note: api: .*api:?e?1|note: api: .*damaged/);
  expect(found).toContain('e2 bash');
  expect(found).not.toContain('other error=2');
});

test('links are one level deep, and two stores may read each other', async () => {
  await using bench = await linkedBench(texts);
  const [shop, api] = [bench.session('shop'), bench.session('api')];
  await api.events.add({ type: 'link', timeMs: 2, sessionId: shop.id, as: 'shop' });
  const back = await bench.call('api', 'rlm_search', { pattern: 'error=1', scope: 'linked' });
  expect(back).toContain('1 matching line in 2 stores (this one 0, shop 1)');
  expect(back).toContain('shop:e1 src/a.ts');
  // web is linked to shop, not to api.
  expect(await bench.call('api', 'rlm_get_context', { entry: 'web:e1' })).toContain(
    'no linked store "web"',
  );
  expect(await bench.call('shop', 'rlm_search', { pattern: 'x', scope: 'linked' })).toContain(
    'in 3 stores',
  );
});

test('reading changes nothing in a linked store', async () => {
  await using bench = await linkedBench(texts);
  const { id } = bench.session('api');
  const folder = join(bench.data.dataDir, 'sessions');
  const state = async (): Promise<unknown> => {
    const names = (await readdir(folder)).filter(
      (name) => name.startsWith(id) && !name.endsWith('_index'),
    );
    return Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))]));
  };
  const before = await state();
  await bench.call('shop', 'rlm_search', { pattern: 'error', scope: 'linked' });
  await bench.call('shop', 'rlm_get_context', { entry: 'api:e1' });
  await bench.call('shop', 'rlm_stats', { scope: 'linked' });
  expect(await state()).toEqual(before);
  const linked = linkedStoresOf(bench.sessions, bench.session('shop'));
  const opened = await linked!.open('api');
  if (!opened.ok) throw new Error(opened.fault);
  await expect(opened.session.store.append([{ text: 'x', kind: 'file' }])).rejects.toThrow(
    'only read',
  );
});

test('the time of a search is shared by the stores, and what is missing is said by name', async () => {
  await using bench = await linkedBench(texts);
  const limits: number[] = [];
  const { search } = bench;
  const slow: typeof search = {
    ...search,
    // There is so much in each that none of them is done at once.
    searchSmall: async () => undefined,
    search: async (corpus, query, options) => {
      limits.push(options.deadlineMs);
      const result = await search.search(corpus, query, options);
      const isApi = corpus.sessionId === bench.session('api').id;
      return isApi ? { ...result, partial: true, note: 'ran out of time' } : result;
    },
  };
  const found = await bench.call(
    'shop',
    'rlm_search',
    { pattern: 'error=', scope: 'linked' },
    // A clock that stands: no store takes any time.
    { search: slow, searchDeadlineMs: 60_000, isExplained: false, clock: bench.data.clock },
  );
  expect(found).toContain(
    'at least 5 matching lines in 3 stores (this one 2, api at least 3, web 0)',
  );
  expect(found).toContain('note: api: ran out of time');
  expect(limits.map((ms) => Math.round(ms / 100))).toEqual([200, 300, 600]);
});

test('a search over stores reads the blocks that searches of each alone read', async () => {
  const filler = Array.from(
    { length: 3_000 },
    (_, n) => `line ${n} ${n % 500 === 7 ? 'needle' : 'hay'}`,
  );
  const text = `${filler.join('\n')}\n`;
  await using bench = await linkedBench({
    own: [{ text }],
    ...Object.fromEntries(
      Array.from({ length: 9 }, (_, n) => [`other-${n}`, [{ text: `${n}\n${text}` }]]),
    ),
  });
  const { search: counted, counts } = countedSearch(bench.search);
  const context = { search: counted, isExplained: false };
  for (const asked of [
    { pattern: 'needle$' },
    { pattern: '(needle)$', aggregate: 'count_by', group: 1 },
  ]) {
    counts.length = 0;
    const found = await bench.call('own', 'rlm_search', { ...asked, scope: 'linked' }, context);
    expect(found).toContain('60 ');
    const together = counts.reduce((sum, count) => sum + count, 0);
    counts.length = 0;
    for (const name of ['session', ...Array.from({ length: 9 }, (_, n) => `other-${n}`)])
      await bench.call('own', 'rlm_search', { ...asked, scope: name }, context);
    // The store in which a page ends is asked again for what fits.
    const alone = counts.reduce((sum, count) => sum + count, 0);
    expect(together).toBeGreaterThanOrEqual(alone);
    expect(together).toBeLessThanOrEqual(alone + Math.max(...counts));
    expect(together).toBeGreaterThan(10);
  }
});

/** A search that notes the blocks that each has read. */
function countedSearch(search: SearchEngine): {
  readonly search: SearchEngine;
  readonly counts: number[];
} {
  const counts: number[] = [];
  const note = <Result extends SearchResult | undefined>(result: Result): Result => {
    if (result !== undefined) counts.push(result.work.blocksRead);
    return result;
  };
  return {
    counts,
    search: {
      search: async (...asked) => note(await search.search(...asked)),
      searchSmall: async (...asked) => note(await search.searchSmall(...asked)),
      index: async (...asked) => search.index(...asked),
      [Symbol.asyncDispose]: async () => search[Symbol.asyncDispose](),
    },
  };
}

test('of ten stores at rest a question that the indexes answer reads what it reads of one, and little of each', async () => {
  const part = (n: number): string =>
    Array.from(
      { length: 25_000 },
      (_, i) => `${n} line ${(i * 7_919) % 100_003} of what was said and done that day`,
    ).join('\n');
  const parts = Array.from({ length: 10 }, (_, n) => ({ text: `${part(n)}\n` }));
  await using bench = await linkedBench({
    own: [parts[0]!],
    ...Object.fromEntries(parts.slice(1).map((text, n) => [`other-${n}`, [text]])),
    whole: parts,
  });
  const { search, counts } = countedSearch(bench.search);
  const blocksFor = async (asked: object): Promise<{ one: number; ten: number }> => {
    const read = async (name: string, scope: string): Promise<number> => {
      counts.length = 0;
      const stores = scope === 'linked' ? { linked: tenOf(bench) } : {};
      const change = { search, isExplained: false, ...stores };
      const found = await bench.call(name, 'rlm_search', { ...asked, scope }, change);
      expect(found).toContain('0 ');
      return counts.reduce((sum, count) => sum + count, 0);
    };
    return { one: await read('whole', 'session'), ten: await read('own', 'linked') };
  };
  const asked = { pattern: 'nowhere to be found' };
  expect((await blocksFor(asked)).ten).toBeGreaterThan(300);
  for (const name of ['whole', 'own', ...parts.slice(1).map((_, n) => `other-${n}`)]) {
    const corpus = await bench.session(name).store.snapshot();
    await bench.search.index(corpus, new AbortController().signal, true);
  }
  for (const question of [asked, { pattern: 'zzqx(\\w+)', aggregate: 'count_by', group: 1 }]) {
    const { one, ten } = await blocksFor(question);
    expect({ one, ten }).toEqual({ one: 0, ten: 0 });
  }
  // Each store is asked once, and once more what was counted is put together.
  expect(counts.length).toBeLessThanOrEqual(parts.length + 1);
});

test('messages do not grow with the stores: one order and one answer for all small questions of a worker', async () => {
  const text = (n: number): string => `${n} needle\n${'hay and more of it\n'.repeat(200)}`;
  const stores = Array.from({ length: 25 }, (_, n) => [`s${n}`, [{ text: text(n) }]] as const);
  await using bench = await linkedBench(Object.fromEntries(stores));
  const orders = vi.spyOn(Worker.prototype, 'postMessage');
  const events = vi.spyOn(Worker.prototype, 'emit');
  try {
    for (const question of [
      { pattern: 'needle' },
      { pattern: 'nowhere' },
      { pattern: '(need)le', aggregate: 'count_by', group: 1 },
    ]) {
      for (const scope of ['s1', 'linked']) {
        orders.mockClear();
        events.mockClear();
        const change = { isExplained: false };
        await bench.call('s0', 'rlm_search', { ...question, scope, max_results: 100 }, change);
        const answers = events.mock.calls.filter(([name]) => String(name) === 'message');
        // Groups are made of what was counted in one order more.
        const most = scope === 'linked' && 'aggregate' in question ? 2 : 1;
        expect(orders.mock.calls.length).toBe(most);
        expect(answers.length).toBeLessThanOrEqual(most + 1);
      }
    }
  } finally {
    orders.mockRestore();
    events.mockRestore();
  }
});

/** The linked stores of the first one, without the one that holds all of their texts. */
function tenOf(bench: LinkedBench): LinkedStores {
  const linked = linkedStoresOf(bench.sessions, bench.session('own'))!;
  return { ...linked, names: linked.names.filter((name) => name !== 'whole') };
}

describe('definitions', () => {
  const plain = new ToolRegistry(allTools);

  test('without links they say nothing of stores; with links the argument is explained once', () => {
    expect(JSON.stringify(plain.definitions)).not.toMatch(/scope|linked/);
    const linked = JSON.stringify(plain.linked.definitions);
    expect(linked.length - JSON.stringify(plain.definitions).length).toBeLessThan(500);
    const taking = plain.linked.definitions.filter(({ function: made }) =>
      JSON.stringify(made?.parameters).includes('"scope"'),
    );
    expect(taking.map(({ function: made }) => made?.name)).toEqual([
      'rlm_search',
      'rlm_find',
      'rlm_stats',
    ]);
    expect(linked.match(/all linked stores\. Or/g)).toHaveLength(1);
    expect(plain.linked.unlinked.definitions).toEqual(plain.definitions);
  });
});

describe('programs', () => {
  const sandboxes = openTestSandboxes();
  afterAll(async () => sandboxes[Symbol.asyncDispose]());

  test('reach a linked store by its name, and all of them together', async () => {
    await using bench = await linkedBench(texts);
    const programs = programsIn(sandboxes);
    const run = async (code: string, name = 'shop'): Promise<string> =>
      bench.call(name, 'rlm_exec', { code }, { programs });
    expect(await run('context.linked()')).toBe(
      '=> [{"name": "api", "directory": "/p/api"}, {"name": "web", "directory": "/p/web"}]',
    );
    const api = 'context.of("api")';
    expect(await run(`${api}.entries().map((e) => [e.id, e.text.slice(0, 5)])`)).toBe(
      '=> [["api:e1", "other"], ["api:e2", "aaaaa"]]',
    );
    expect(await run(`[${api}.length, ${api}.read(0, 5), ${api}.text("e1").length]`)).toBe(
      '=> [1847, "other", 37]',
    );
    expect(await run(`${api}.lines("api:e1", 2, 2)`)).toBe('=> ["error=9 here ms=1"]');
    // What a search there tells of places is read there.
    expect(await run(`${api}.search(/error=9/).matches.map((m) => ${api}.read(m.offset, 7))`)).toBe(
      '=> ["error=9"]',
    );
    expect(await run(`${api}.records(/error=(\\d)/)`)).toBe('=> [["2"], ["9"], ["5"]]');
    expect(await run(`${api}.group(/error=(\\d)/, [])`)).toBe('=> [{"count": 3}]');
    const linked = "{scope: 'linked'}";
    expect(await run(`context.records(/error=(\\d)/, {scope: 'linked', with: 'entry'})`)).toBe(
      '=> [["1", "e1"], ["2", "e2"], ["2", "api:e1"], ["9", "api:e1"], ["5", "api:e2"]]',
    );
    expect(await run(`context.group(/error=(\\d)/, 1, ${linked})[0]`)).toBe(
      '=> {"value": "2", "count": 2}',
    );
    expect(await run(`context.search(/error=9/, ${linked}).matches[0].entry`)).toBe('=> api:e1');
    expect(
      await run('context.text("api:e1").length + context.lines("api:e1", 1, 1)[0].length'),
    ).toBe(`=> ${37 + 'other error=2 ms=8'.length}`);
    expect(await run('context.of("ape")')).toContain(
      'no store is linked as "ape"; there are api, web',
    );
    expect(await run('context.of("api").of("shop")')).toContain('context has no of');
    expect(await run('help()')).toContain('context.of(name)');
    expect(await run('help()', 'web')).not.toContain('context.of(name)');
    expect(await run('context.of("api")', 'web')).toContain('no stores are linked');
    expect(await run('context.linked()', 'web')).toBe('=> []');
    await bench.sessions.remove(bench.session('web').id);
    // A part would be taken for all.
    expect(await run(`context.group(/error/, [], ${linked})`)).toContain('was deleted');
  });
});

import { expect, test } from 'vitest';
import type { HitView, SearchPage } from '../../src/page/page-protocol.ts';
import { enterPage, type PageVisitor } from '../support/page-visitor.ts';
import { startProxy, type TestProxy } from '../support/proxy.ts';

const hostile = '<img src=x onerror=alert(1)>';

async function storeWith(proxy: TestProxy, ...texts: readonly string[]) {
  const session = await proxy.app.sessions.forDirectory('/work/search', { create: true });
  if (session === undefined) throw new Error('no session was made');
  await session.store.append(
    texts.map((text, index) => ({ kind: 'file' as const, path: `/${index + 1}.txt`, text })),
  );
  return session;
}

/** Asks for a page of hits. */
function searcher({ get }: PageVisitor, session: string) {
  return async (wish: Readonly<Record<string, string | number>>) => {
    const values = Object.entries({ from: 0, count: 50, ...wish }).map(
      ([name, value]): [string, string] => [name, String(value)],
    );
    const path = `/page/sessions/${session}/search?${new URLSearchParams(values).toString()}`;
    const { status, body } = await get(path);
    return { status, page: JSON.parse(body) as SearchPage };
  };
}

function drawn({ text, marks }: HitView): string {
  return marks.reduceRight(
    (shown, [start, end]) =>
      `${shown.slice(0, start)}[${shown.slice(start, end)}]${shown.slice(end)}`,
    text,
  );
}

test('hits of the newest text first, with what is around them and where in them they are', async () => {
  await using proxy = await startProxy();
  const { id } = await storeWith(
    proxy,
    'one\ntwo needle\nthree\n',
    `${hostile}\nNeedle and needle\nend\n`,
    'nothing\n',
  );
  const search = searcher(await enterPage(proxy), id);
  const { page } = await search({ query: 'needle' });
  expect(page).toMatchObject({ total: 2, isExact: true, from: 0, notes: [] });
  expect(page.tookMs).toBeGreaterThanOrEqual(0);
  expect(page.hits.map((hit) => [hit.entry.id, hit.line, drawn(hit)])).toEqual([
    ['e2', 2, '[Needle] and [needle]'],
    ['e1', 2, 'two [needle]'],
  ]);
  expect(page.hits[0]).toMatchObject({
    entry: { id: 'e2', title: '/2.txt', lines: 3 },
    before: [hostile],
    after: ['end'],
  });
  const exact = await search({ query: 'needle', caseSensitive: 'true' });
  expect(exact.page.hits.map(drawn)).toEqual(['Needle and [needle]', 'two [needle]']);
  const pattern = await search({ query: 't(wo|hree)', regex: 'true' });
  expect(pattern.page.hits.map(drawn)).toEqual(['[two] needle', '[three]']);
  // Plain text is plain: nothing in it is special.
  expect((await search({ query: 't(wo|hree)' })).page.total).toBe(0);
  expect((await search({ query: hostile })).page.hits.map(drawn)).toEqual([`[${hostile}]`]);
});

test('a zero says what else there is, and an expression that is none is taken as text', async () => {
  await using proxy = await startProxy();
  const { id } = await storeWith(proxy, 'Needle a(b\n');
  const search = searcher(await enterPage(proxy), id);
  const zero = await search({ query: 'needle', caseSensitive: 'true' });
  expect(zero.page.total).toBe(0);
  expect(zero.page.notes).toEqual(['1 line where the case does not count.']);
  const broken = await search({ query: 'a(b', regex: 'true' });
  expect(broken.page.total).toBe(1);
  expect(broken.page.notes.join(' ')).toContain('is not a regular expression');
});

test('pages go on where the last one ended, whatever comes meanwhile; a new search sees it', async () => {
  await using proxy = await startProxy();
  const line = (number: number): string => `needle ${number}`;
  const text = Array.from({ length: 2_500 }, (_, index) => line(index + 1)).join('\n');
  const session = await storeWith(proxy, text);
  const search = searcher(await enterPage(proxy), session.id);
  const numbers = (page: SearchPage) => page.hits.map(({ line: at }) => at);
  const first = await search({ query: 'needle', count: 200 });
  expect([first.page.total, numbers(first.page).at(-1)]).toEqual([2_500, 200]);
  await session.store.append([{ kind: 'file', path: '/new.txt', text: 'a new needle\n' }]);
  const second = await search({ query: 'needle', from: 200, count: 200 });
  expect([second.page.total, second.page.from]).toEqual([2_500, 200]);
  expect(numbers(second.page)).toEqual(Array.from({ length: 200 }, (_, at) => 201 + at));
  // A page that nobody has come to in turn.
  const far = await search({ query: 'needle', from: 2_300, count: 200 });
  expect(numbers(far.page)).toEqual(Array.from({ length: 200 }, (_, at) => 2_301 + at));
  const last = await search({ query: 'needle', from: 2_495, count: 200 });
  expect(numbers(last.page)).toEqual([2_496, 2_497, 2_498, 2_499, 2_500]);
  expect((await search({ query: 'needle', from: 2_500, count: 9 })).page.hits).toEqual([]);
  expect((await search({ query: 'needle', from: 9_999, count: 9 })).page.hits).toEqual([]);
  expect((await search({ query: 'needle', from: 99_999, count: 9 })).status).toBe(400);
  const again = await search({ query: 'needle' });
  expect([again.page.total, again.page.hits[0]?.entry.id]).toEqual([2_501, 'e2']);
});

test('of a line of megabytes the part around the hit is shown, and that it is a part', async () => {
  await using proxy = await startProxy();
  const { id } = await storeWith(proxy, `${'x'.repeat(3_000_000)}needle${'y'.repeat(3_000_000)}`);
  const search = searcher(await enterPage(proxy), id);
  const { page } = await search({ query: 'needle' });
  const [hit] = page.hits;
  expect(hit?.text.length).toBeLessThan(1_000);
  expect(hit && drawn(hit)).toMatch(/^…x+\[needle\]y+…$/);
});

test('forgotten text is not found', async () => {
  await using proxy = await startProxy();
  const { id } = await storeWith(proxy, 'the needle\n', 'another needle\n');
  await proxy.app.sessions.forget(id, { whole: [1], why: 'asked', mayComeAgain: true });
  const search = searcher(await enterPage(proxy), id);
  const { page } = await search({ query: 'needle' });
  expect(page.hits.map(({ entry }) => entry.id)).toEqual(['e2']);
});

test.each([
  [{ query: '' }, 400],
  [{ query: 'x', count: 0 }, 400],
  [{ query: 'x', count: 201 }, 400],
  [{ query: 'x', from: -1 }, 400],
  [{ query: 'x', regex: 'yes' }, 400],
  [{ query: 'x', caseSensitive: '1' }, 400],
  [{ query: '%00\u0000\ud83d' }, 200],
  [{ query: '(a+)+$'.repeat(50), regex: 'true' }, 200],
])('a search with %j is answered with %i', async (wish, expected) => {
  await using proxy = await startProxy();
  const { id } = await storeWith(proxy, `${'a'.repeat(5_000)}!\n`);
  const search = searcher(await enterPage(proxy), id);
  expect((await search(wish)).status).toBe(expected);
});

test('a page that leaves ends its search', async () => {
  const aborted = Promise.withResolvers<void>();
  await using proxy = await startProxy();
  const { id } = await storeWith(proxy, 'needle\n');
  const { cookie, ask } = await enterPage(proxy);
  const { search } = proxy.app;
  const began = Promise.withResolvers<void>();
  const whole = search.search.bind(search);
  search.search = async (corpus, query, options) => {
    if (query.pattern !== 'never') return whole(corpus, query, options);
    began.resolve();
    await new Promise<void>((resolve) => {
      options.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    aborted.resolve();
    throw options.signal.reason as Error;
  };
  try {
    const leaving = new AbortController();
    const asked = fetch(`${proxy.origin}/page/sessions/${id}/search?query=never&from=0&count=1`, {
      headers: { cookie },
      signal: leaving.signal,
    });
    await began.promise;
    leaving.abort();
    await expect(asked).rejects.toThrow('aborted');
    await aborted.promise;
    expect(await ask(`/page/sessions/${id}/search?query=needle&from=0&count=1`)).toMatchObject({
      total: 1,
    });
  } finally {
    search.search = whole;
  }
});

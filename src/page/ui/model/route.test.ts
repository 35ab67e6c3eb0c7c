import { expect, test } from 'vitest';
import { codeIn, fragmentOf, type PageRoute, routeAbove, routeOf } from './route.ts';

const search = { query: 'a b&c=ü#/?%', isRegex: true, isCaseSensitive: false };

const routes: readonly PageRoute[] = [
  { at: 'overview' },
  { at: 'session', session: 's1' },
  { at: 'session', session: 'ü/?#% x', search },
  { at: 'entry', session: 's1', entry: 'e42' },
  { at: 'entry', session: 's1', entry: 'e42', line: 120 },
  { at: 'entry', session: 's1', entry: 'e42', line: 1, search },
];

test.each(routes.map((route) => [fragmentOf(route), route] as const))(
  'what is shown is what the address says: %s',
  (fragment, route) => {
    expect(routeOf(fragment)).toEqual(route);
  },
);

test.each(['', '#', '#/', '#code=abc', '#/session', '#/session/', '#/what/else', '#//', '%'])(
  'an address that says nothing is the overview: %s',
  (fragment) => {
    expect(routeOf(fragment)).toEqual({ at: 'overview' });
  },
);

test('what an address says wrongly is left out', () => {
  expect(routeOf('#/session/%ZZ')).toEqual({ at: 'session', session: '%ZZ' });
  for (const line of ['0', '-1', '1.5', 'x', '1e99'])
    expect(routeOf(`#/session/s/entry/e1?line=${line}`)).not.toHaveProperty('line');
  expect(routeOf('#/session/s?query=')).toEqual({ at: 'session', session: 's' });
});

test('back goes from a hit to the hits, to the entries, to the overview', () => {
  const way: PageRoute[] = [{ at: 'entry', session: 's', entry: 'e1', line: 3, search }];
  for (let above = routeAbove(way[0] as PageRoute); above !== undefined; above = routeAbove(above))
    way.push(above);
  expect(way.slice(1)).toEqual([
    { at: 'session', session: 's', search },
    { at: 'session', session: 's' },
    { at: 'overview' },
  ]);
});

test('only a link of the owner holds a code', () => {
  expect(codeIn('#code=Ab-1_2')).toBe('Ab-1_2');
  for (const fragment of ['', '#', '#code=', '#/session/code=x', '#code=a/b', '#code=<script>'])
    expect(codeIn(fragment)).toBeUndefined();
});

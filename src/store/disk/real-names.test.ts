import { expect, it } from 'vitest';
import { RealNames } from './real-names.ts';

const links = new Map([
  ['/p/link', '/p/real'],
  ['/p/real', '/p/real'],
  ['/p/old-link', '/p/old'],
  ['/p/old', '/p/old'],
]);

/** A map of names, and a file system that counts how often it is asked. */
function setUp(known: readonly string[]): {
  names: RealNames;
  map: Map<string, string>;
  asked: string[];
} {
  const map = new Map(known.map((name, index) => [name, `sess_${index}`]));
  const asked: string[] = [];
  const names = new RealNames(
    { get: (name) => map.get(name), names: () => map.keys() },
    async (path) => {
      asked.push(path);
      return links.get(path);
    },
  );
  return { names, map, asked };
}

it('both spellings have one name, and it is the real one', async () => {
  const { names } = setUp([]);
  expect(await Promise.all(['/p/link', '/p/real'].map(async (name) => names.of(name)))).toEqual([
    '/p/real',
    '/p/real',
  ]);
});

it('a store that has the name of a link is found by both', async () => {
  const { names } = setUp(['/p/old-link']);
  expect(await names.of('/p/old-link')).toBe('/p/old-link');
  expect(await names.of('/p/old')).toBe('/p/old-link');
  expect(await names.of('/p/link')).toBe('/p/real');
});

it('what is not on this machine is taken as it is written', async () => {
  const { names } = setUp([]);
  expect(await names.of('/elsewhere/project')).toBe('/elsewhere/project');
});

it('a name that is known costs no look at the disk, and links are looked for once', async () => {
  const many = Array.from({ length: 100 }, (_, at) => `/many/${at}`);
  const { names, map, asked } = setUp(many);
  await names.of('/many/7');
  expect(asked).toEqual([]);
  await names.of('/p/link');
  expect(asked.length).toBe(101);
  await names.of('/p/link');
  expect(asked.length).toBe(102);
  map.set('/p/real', 'sess_new');
  await names.of('/p/link');
  expect(asked.length).toBe(103);
});

import { appendFile, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DirectoryMap } from './directory-map.ts';
import { realFiles, type Files } from './files.ts';

let folder = '';
let writtenBytes = 0;
let isFull = false;
const lines: string[] = [];

/** The real files, what is written counted. */
const files: Files = {
  ...realFiles,
  open: async (path, options) => {
    const file = await realFiles.open(path, options);
    return {
      ...file,
      write: async (bytes, position) => {
        writtenBytes += bytes.length;
        return file.write(bytes, position);
      },
    };
  },
  createExclusive: async (path, bytes) => {
    if (isFull) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
    writtenBytes += bytes.length;
    return realFiles.createExclusive(path, bytes);
  },
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rlm-map-'));
  lines.length = 0;
  isFull = false;
});
afterEach(async () => rm(folder, { recursive: true }));

const open = async (name = 'map.json', metadata: readonly (readonly [string, string])[] = []) =>
  DirectoryMap.open(files, join(folder, name), {
    fromMetadata: async () => new Map(metadata),
    log: pino({ level: 'info' }, { write: (line: string) => void lines.push(line) }),
  });

const idOf = (name: string | number) => `sess_${Buffer.from(`id-${name}`).toString('hex')}`;
const nameOf = (index: number) => `/home/user/projects/number-${index}`;

/** A map of so many names, just written. */
async function filled(names: number): Promise<DirectoryMap> {
  const ids = Array.from({ length: names }, (_, i) => [nameOf(i), idOf(i)]);
  await writeFile(join(folder, 'map.json'), JSON.stringify(Object.fromEntries(ids)));
  return open();
}

test.each([100, 400])('with %i names, a few more cost a line each', async (names) => {
  await using map = await filled(names);
  writtenBytes = 0;
  for (let i = 0; i < 20; i += 1) await map.set(nameOf(names + i), idOf('new'));
  expect(writtenBytes).toBeLessThan(20 * 120);
  expect(map.get(nameOf(names + 19))).toBe(idOf('new'));
  expect(map.namesOf(idOf('new'))).toHaveLength(20);
});

test('killed at any time, the map says what it said; the file that users know has it all after an ordinary end', async () => {
  const map = await filled(80);
  await map.set('/another', idOf('a'));
  await map.forget(idOf(7));
  await map.set(nameOf(8), idOf('other'));
  // A torn tail, and the old file back beside lines that are in it already.
  await cp(join(folder, 'map.json'), join(folder, 'killed.json'));
  await cp(join(folder, 'map.jsonl'), join(folder, 'killed.jsonl'));
  await appendFile(join(folder, 'killed.jsonl'), '{"name":"/half');
  const check = (found: DirectoryMap) => {
    expect(found.get('/another')).toBe(idOf('a'));
    expect(found.get(nameOf(7))).toBeUndefined();
    expect(found.get(nameOf(8))).toBe(idOf('other'));
    expect([found.namesOf(idOf(8)), found.namesOf(idOf('other'))]).toEqual([[], [nameOf(8)]]);
  };
  check(map);
  await using killed = await open('killed.json');
  check(killed);
  await map[Symbol.asyncDispose]();
  const shown = JSON.parse(await readFile(join(folder, 'map.json'), 'utf8')) as object;
  expect(shown).toMatchObject({ '/another': idOf('a'), [nameOf(8)]: idOf('other') });
  // 80 names, and the checksum.
  expect(Object.keys(shown)).toHaveLength(81);
  expect(await readFile(join(folder, 'map.jsonl'), 'utf8')).toBe('');
});

test('a map of a few names is in its file at once, and has no other', async () => {
  await using map = await filled(5);
  await map.set('/another', idOf('a'));
  expect(await readFile(join(folder, 'map.json'), 'utf8')).toContain(`"/another": "${idOf('a')}"`);
  expect(await realFiles.list(folder)).toEqual(['map.json']);
});

test('where a line is damaged, what the sessions say themselves fills the gap', async () => {
  const map = await filled(80);
  await map.set('/another', idOf('a'));
  await map.set('/third', idOf('t'));
  const log = await readFile(join(folder, 'map.jsonl'));
  log[12]! ^= 1;
  await appendFile(join(folder, 'broken.jsonl'), log);
  await cp(join(folder, 'map.json'), join(folder, 'broken.json'));
  await using found = await open('broken.json', [['/another', idOf('a')]]);
  expect(lines.join('')).toContain('a line of the map of directories is damaged');
  expect([found.get('/another'), found.get('/third')]).toEqual([idOf('a'), idOf('t')]);
  await map[Symbol.asyncDispose]();
});

test('whatever bit of the file is wrong, no project gets the store of another, and it is said', async () => {
  const path = join(folder, 'map.json');
  const metadata = [
    ['/work/a', idOf('a')],
    ['/work/b', idOf('b')],
    ['/work/c', idOf('c')],
  ] as const;
  {
    await using map = await open();
    for (const [name, id] of metadata) await map.set(name, id);
  }
  const sound = await readFile(path);
  const byName = new Map<string, string>(metadata);
  for (let bit = 0; bit < sound.length * 8; bit += 11) {
    const damaged = Buffer.from(sound);
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    await writeFile(path, damaged);
    lines.length = 0;
    await using map = await open('map.json', metadata);
    for (const name of map.names()) expect(map.get(name)).toBe(byName.get(name));
    expect([...map.names()]).toHaveLength(3);
    // White space that is another white space changes nothing.
    const isChanged = JSON.stringify(parsedOr(damaged)) !== JSON.stringify(parsedOr(sound));
    expect(lines.join('').includes('the map of directories is damaged')).toBe(isChanged);
  }
});

function parsedOr(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}

test('a file of an earlier version has no checksum, and gets one', async () => {
  {
    await using map = await filled(3);
    expect(map.get(nameOf(1))).toBe(idOf(1));
    await map.set('/another', idOf('a'));
  }
  expect(lines).toEqual([]);
  expect(await readFile(join(folder, 'map.json'), 'utf8')).toMatch(/"checksum": "[0-9a-f]{8}"/);
});

test('on a full disk a map with changes that wait is opened all the same, and says what it said', async () => {
  const map = await filled(80);
  await map.set('/another', idOf('a'));
  await cp(join(folder, 'map.json'), join(folder, 'killed.json'));
  await cp(join(folder, 'map.jsonl'), join(folder, 'killed.jsonl'));
  await map[Symbol.asyncDispose]();
  isFull = true;
  const killed = await open('killed.json');
  expect([killed.get('/another'), killed.get(nameOf(7))]).toEqual([idOf('a'), idOf(7)]);
  isFull = false;
  await killed[Symbol.asyncDispose]();
  expect(await readFile(join(folder, 'killed.json'), 'utf8')).toContain('/another');
});

import { appendFile, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DirectoryMap } from './directory-map.ts';
import { realFiles, type Files } from './files.ts';

let folder = '';
let writtenBytes = 0;

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
    writtenBytes += bytes.length;
    return realFiles.createExclusive(path, bytes);
  },
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rlm-map-'));
});
afterEach(async () => rm(folder, { recursive: true }));

const open = async (name = 'map.json', metadata: readonly (readonly [string, string])[] = []) =>
  DirectoryMap.open(files, join(folder, name), async () => new Map(metadata));

const nameOf = (index: number) => `/home/user/projects/number-${index}`;

/** A map of so many names, just written. */
async function filled(names: number): Promise<DirectoryMap> {
  const ids = Array.from({ length: names }, (_, i) => [nameOf(i), `sess_${i}`]);
  await writeFile(join(folder, 'map.json'), JSON.stringify(Object.fromEntries(ids)));
  return open();
}

test.each([100, 400])('with %i names, a few more cost a line each', async (names) => {
  await using map = await filled(names);
  writtenBytes = 0;
  for (let i = 0; i < 20; i += 1) await map.set(nameOf(names + i), 'sess_new');
  expect(writtenBytes).toBeLessThan(20 * 120);
  expect(map.get(nameOf(names + 19))).toBe('sess_new');
  expect(map.namesOf('sess_new')).toHaveLength(20);
});

test('killed at any time, the map says what it said; the file that users know has it all after an ordinary end', async () => {
  const map = await filled(80);
  await map.set('/another', 'sess_a');
  await map.forget('sess_7');
  await map.set(nameOf(8), 'sess_other');
  // A torn tail, and the old file back beside lines that are in it already.
  await cp(join(folder, 'map.json'), join(folder, 'killed.json'));
  await cp(join(folder, 'map.jsonl'), join(folder, 'killed.jsonl'));
  await appendFile(join(folder, 'killed.jsonl'), '{"name":"/half');
  const check = (found: DirectoryMap) => {
    expect(found.get('/another')).toBe('sess_a');
    expect(found.get(nameOf(7))).toBeUndefined();
    expect(found.get(nameOf(8))).toBe('sess_other');
    expect([found.namesOf('sess_8'), found.namesOf('sess_other')]).toEqual([[], [nameOf(8)]]);
  };
  check(map);
  await using killed = await open('killed.json');
  check(killed);
  await map[Symbol.asyncDispose]();
  const shown = JSON.parse(await readFile(join(folder, 'map.json'), 'utf8')) as object;
  expect(shown).toMatchObject({ '/another': 'sess_a', [nameOf(8)]: 'sess_other' });
  expect(Object.keys(shown)).toHaveLength(80);
  expect(await readFile(join(folder, 'map.jsonl'), 'utf8')).toBe('');
});

test('a map of a few names is in its file at once, and has no other', async () => {
  await using map = await filled(5);
  await map.set('/another', 'sess_a');
  expect(await readFile(join(folder, 'map.json'), 'utf8')).toContain('"/another": "sess_a"');
  expect(await realFiles.list(folder)).toEqual(['map.json']);
});

test('where a line is damaged, what the sessions say themselves fills the gap', async () => {
  const map = await filled(80);
  await map.set('/another', 'sess_a');
  await map.set('/third', 'sess_t');
  const log = await readFile(join(folder, 'map.jsonl'));
  log[12]! ^= 1;
  await appendFile(join(folder, 'broken.jsonl'), log);
  await cp(join(folder, 'map.json'), join(folder, 'broken.json'));
  await using found = await open('broken.json', [['/another', 'sess_a']]);
  expect([found.get('/another'), found.get('/third')]).toEqual(['sess_a', 'sess_t']);
  await map[Symbol.asyncDispose]();
});

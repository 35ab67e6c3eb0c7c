import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, vi } from 'vitest';
import { realFiles } from '../../../src/store/disk/files.ts';
import { CliHome } from '../cli.ts';
import { longText } from '../conversation.ts';
import { oneByOne, plain, type Row, type Section } from './seen.ts';

/** Something that `ingest` cannot take in. */
interface IngestFault {
  readonly what: string;
  readonly paths: readonly string[];
  /** How a shell starts it, as `"$@"`; absent: without a shell. */
  readonly script?: string;
  readonly begin?: (home: CliHome) => void;
}

const fromInput = ['-'] as const;

const ingestFaults: readonly IngestFault[] = [
  { what: 'standard input: a folder', paths: fromInput, script: 'exec "$@" < .' },
  { what: 'standard input: only open for writing', paths: fromInput, script: 'exec "$@" 0> out' },
  { what: 'standard input: closed', paths: fromInput, script: 'exec "$@" <&-' },
  {
    what: 'standard input: what writes it breaks off in the middle, which no reader of a pipe sees',
    paths: fromInput,
    script: `{ printf 'the first half'; exit 1; } | "$@"`,
  },
  {
    what: 'standard input: no room for it',
    paths: fromInput,
    script: 'ulimit -f 100; exec "$@" < large.txt',
  },
  { what: 'a file that is not there', paths: ['none.txt', 'small.txt'] },
  {
    what: 'a file that vanishes after it was found',
    paths: ['tree', 'small.txt'],
    begin: ({ folder }) => {
      const real = { ...realFiles };
      vi.spyOn(realFiles, 'open').mockImplementation(async (path, options) => {
        // The store is opened when all files are found.
        if (path.endsWith('_entries.jsonl')) rmSync(join(folder, 'tree/leaf.txt'));
        return real.open(path, options);
      });
    },
  },
  {
    what: 'a link to nowhere',
    paths: ['tree'],
    begin: ({ folder }) => symlinkSync('nowhere', join(folder, 'tree/link.txt')),
  },
  {
    what: 'a link in a circle',
    paths: ['tree/circle.txt', 'tree'],
    begin: ({ folder }) => symlinkSync('circle.txt', join(folder, 'tree/circle.txt')),
  },
  {
    what: 'a file that cannot be read to its end (EIO)',
    paths: ['/proc/self/mem', 'small.txt'],
  },
  {
    what: 'no room for the texts',
    paths: ['large.txt'],
    script: 'ulimit -f 100; exec "$@"',
  },
  {
    what: 'no room for the second of two texts',
    paths: ['small.txt', 'large.txt'],
    script: 'ulimit -f 100; exec "$@"',
  },
];

/** One text is stored already. */
async function ingestRow({ what, paths, script, begin }: IngestFault): Promise<Row> {
  using home = new CliHome();
  const { folder, dataDir } = home;
  writeFileSync(join(folder, 'before.txt'), 'stored before');
  writeFileSync(join(folder, 'small.txt'), 'a small text');
  writeFileSync(join(folder, 'large.txt'), longText(200_000));
  mkdirSync(join(folder, 'tree'));
  writeFileSync(join(folder, 'tree/leaf.txt'), 'a leaf');
  const into = ['--directory', '/work'];
  const before = ['ingest', join(folder, 'before.txt'), ...into];
  expect(await home.runHere(before)).toMatchObject({ code: 0 });
  const args = [
    'ingest',
    ...paths.map((path) => (path === '-' ? path : resolve(folder, path))),
    ...into,
  ];
  begin?.(home);
  const { code, stdout, stderr } =
    script === undefined ? await home.runHere(args) : await home.run(args, {}, script);
  expect((await home.runHere(['get', 'e1', ...into])).stdout).toBe('stored before');
  const { entries } = JSON.parse((await home.runHere(['stats', '--json', ...into])).stdout) as {
    readonly entries: number;
  };
  const left = readdirSync(dataDir, { recursive: true, encoding: 'utf8' });
  expect(left.filter((name) => /stdin|incoming|tmp|owner/.test(name))).toEqual([]);
  return [what, String(code), plain(stdout + stderr), String(entries)];
}

/** What is seen of texts that `ingest` cannot take in. */
export async function ingestSections(): Promise<readonly Section[]> {
  return [
    {
      title: 'What `ingest` takes in',
      text: 'One text is in the store before, and is read back after it; no half of a text is left anywhere.',
      head: ['What fails', 'Exit', 'It says', 'Texts then'],
      rows: await oneByOne(ingestFaults, ingestRow),
    },
  ];
}

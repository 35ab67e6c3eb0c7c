import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { realFiles } from '../../../src/store/disk/files.ts';
import type { WriteCall } from '../../faults/faulty-files.ts';
import { archiveOf, type Member, membersIn } from '../archives.ts';
import { CliHome, type CliResult } from '../cli.ts';
import { longText } from '../conversation.ts';
import { failDisk } from './failing-disk.ts';
import { oneByOne, plain, type Row, type Section } from './seen.ts';

/** An import that fails. */
interface ImportFault {
  readonly what: string;
  /** What is in the archive's file; absent: the archive as it was written. */
  readonly bytes?: (archive: Buffer) => Buffer | Promise<Buffer>;
  readonly file?: string;
  readonly args?: readonly string[];
  /** Which writes fail, and how. */
  readonly disk?: { readonly code: string; readonly hits: (call: WriteCall) => boolean };
  readonly begin?: () => void;
  /** How a shell starts it, as `"$@"`. */
  readonly script?: string;
  readonly isServed?: true;
}

function inUnpacked(...names: readonly WriteCall['name'][]): (call: WriteCall) => boolean {
  return ({ name, path }) => names.includes(name) && path.includes('/importing/');
}

function withMembers(
  change: (members: readonly Member[]) => readonly Member[],
): (archive: Buffer) => Promise<Buffer> {
  return async (archive) => archiveOf(change(await membersIn(archive)));
}

const importFaults: readonly ImportFault[] = [
  { what: 'it is not there', file: 'none.tar.zst' },
  { what: 'it is a folder', file: '.' },
  { what: 'it is empty', bytes: () => Buffer.alloc(0) },
  { what: 'it is something else', bytes: () => Buffer.from('no archive at all\n'.repeat(100)) },
  { what: 'it is cut short', bytes: (archive) => archive.subarray(0, archive.length >> 1) },
  {
    what: 'its last byte is missing',
    bytes: (archive) => archive.subarray(0, archive.length - 1),
  },
  {
    what: 'one bit of it is another',
    bytes: (archive) => {
      const changed = Buffer.from(archive);
      changed[changed.length >> 1]! ^= 1;
      return changed;
    },
  },
  {
    what: 'something stands behind its end',
    bytes: (archive) => Buffer.concat([archive, Buffer.from('more')]),
  },
  {
    what: 'a file of it is missing',
    bytes: withMembers((members) => members.filter(({ name }) => !name.endsWith('.txt'))),
  },
  {
    what: 'a file of it would go elsewhere',
    bytes: withMembers((members) =>
      members.map((each) => (each.name.endsWith('.txt') ? { ...each, name: '../../x.txt' } : each)),
    ),
  },
  {
    what: 'it is of a newer version',
    bytes: withMembers((members) =>
      members.map((each) =>
        each.name === 'manifest.json'
          ? {
              ...each,
              bytes: Buffer.from(each.bytes.toString().replace(/"version": ?1/, '"version":9')),
            }
          : each,
      ),
    ),
  },
  { what: 'the directory has a store already', args: ['--as', '/before'] },
  {
    what: 'standard input ends too early',
    script: 'head -c 500 whole.tar.zst | "$@"',
    file: '-',
  },
  {
    what: 'less room than it says it takes',
    begin: () => vi.spyOn(realFiles, 'freeBytes').mockResolvedValue(1_000),
  },
  {
    what: 'disk full while it is unpacked',
    disk: { code: 'ENOSPC', hits: inUnpacked('write') },
  },
  {
    what: 'the same, through a running server',
    disk: { code: 'ENOSPC', hits: inUnpacked('write') },
    isServed: true,
  },
  { what: 'broken disk while it is unpacked', disk: { code: 'EIO', hits: inUnpacked('write') } },
  { what: 'it does not get onto the disk', disk: { code: 'EIO', hits: inUnpacked('datasync') } },
  {
    what: 'disk full when it is to be kept',
    disk: {
      code: 'ENOSPC',
      hits: ({ name, path }) => name === 'create' && path.includes('landing.json'),
    },
  },
  {
    what: 'its files cannot be moved to the stores',
    disk: {
      code: 'EIO',
      hits: ({ name, path }) => name === 'rename' && path.endsWith('_entries.jsonl'),
    },
  },
  {
    what: 'disk full when its directory is to be named',
    disk: {
      code: 'ENOSPC',
      hits: ({ path }) => path.includes('directory_to_rlm.json'),
    },
  },
];

/** Texts of a directory's store, as a command shows them. */
async function storedAt(home: CliHome, directory: string): Promise<CliResult> {
  return home.runHere(['get', 'e1', '--directory', directory]);
}

/** A machine with a store of its own gets the archive of another one. */
async function importRow(fault: ImportFault): Promise<Row> {
  using from = new CliHome();
  using to = new CliHome();
  const text = longText(60_000);
  for (const [home, directory, stored] of [
    [from, '/work', text],
    [to, '/before', 'stored before'],
  ] as const) {
    writeFileSync(join(home.folder, 'text.txt'), stored);
    const args = ['ingest', join(home.folder, 'text.txt'), '--directory', directory];
    expect(await home.runHere(args)).toMatchObject({ code: 0 });
  }
  const whole = join(to.folder, 'whole.tar.zst');
  const made = await from.runHere(['sessions', 'export', '/work', '--out', whole]);
  expect(made).toMatchObject({ code: 0 });
  const given = join(to.folder, fault.file ?? 'given.tar.zst');
  if (fault.file === undefined)
    writeFileSync(given, (await fault.bytes?.(readFileSync(whole))) ?? readFileSync(whole));
  const files = (): readonly string[] =>
    readdirSync(to.dataDir, { recursive: true, encoding: 'utf8' }).toSorted();
  const before = new Set(files());
  const { code, stderr } = await runImport(fault, to, given);
  const left = files().filter((name) => !before.has(name) && name !== 'importing');
  expect(await storedAt(to, '/before')).toMatchObject({ code: 0, stdout: 'stored before' });
  const again = await to.runHere(['sessions', 'import', whole]);
  expect(again).toMatchObject({ code: 0 });
  expect((await storedAt(to, '/work')).stdout).toContain('line 7:');
  // How many they are depends on where this machine has its temporary files.
  const said = plain(stderr).replace(/holds: \d+ bytes/, 'holds: N bytes');
  return [fault.what, String(code), said, left.length === 0 ? 'nothing' : left.join(' ')];
}

async function runImport(
  { args = [], disk, begin, script, isServed, file }: ImportFault,
  home: CliHome,
  given: string,
): Promise<CliResult> {
  const words = ['sessions', 'import', file === '-' ? file : given, ...args];
  if (script !== undefined) return home.run(words, {}, script);
  await using _server = isServed === true ? await home.serveHere() : undefined;
  begin?.();
  if (disk !== undefined)
    failDisk((call) => (disk.hits(call) ? { kind: 'error', code: disk.code } : { kind: 'none' }));
  return await home.runHere(words);
}

/** An export that fails. */
interface ExportFault {
  readonly what: string;
  readonly out: string;
  readonly script?: string;
  readonly begin?: (home: CliHome) => void;
}

const exportFaults: readonly ExportFault[] = [
  { what: 'its folder is not there', out: 'none/out.tar.zst' },
  { what: 'its folder is a file', out: 'text.txt/out.tar.zst' },
  { what: 'it is there already', out: 'text.txt' },
  { what: 'there is a folder of its name', out: '.' },
  { what: 'no room for it', out: 'out.tar.zst', script: 'ulimit -f 8; exec "$@"' },
  { what: 'no room where standard output goes', out: '-', script: 'exec "$@" > /dev/full' },
  {
    what: 'who reads standard output has seen enough',
    out: '-',
    script: '"$@" | head -c 10 > seen',
  },
  {
    what: 'a text of the store is damaged',
    out: 'out.tar.zst',
    begin: ({ dataDir }) => {
      const folder = join(dataDir, 'sessions');
      const name = readdirSync(folder).find((each) => each.endsWith('_context.txt'))!;
      const bytes = readFileSync(join(folder, name));
      bytes[20_000]! ^= 1;
      writeFileSync(join(folder, name), bytes);
    },
  },
];

async function exportRow({ what, out, script, begin }: ExportFault): Promise<Row> {
  using home = new CliHome();
  const { folder } = home;
  mkdirSync(join(folder, 'place'));
  const path = join(folder, 'place/text.txt');
  writeFileSync(path, longText(300_000));
  expect(await home.runHere(['ingest', path, '--directory', '/work'])).toMatchObject({ code: 0 });
  begin?.(home);
  const words = [
    'sessions',
    'export',
    '/work',
    '--out',
    out === '-' ? out : join(folder, 'place', out),
  ];
  const { code, stderr } =
    script === undefined ? await home.runHere(words) : await home.run(words, {}, script);
  const left = readdirSync(join(folder, 'place')).filter((name) => name !== 'text.txt');
  return [what, String(code), plain(stderr), left.length === 0 ? 'nothing' : left.join(' ')];
}

/** What is seen of archives that cannot be read or written. */
export async function archiveSections(): Promise<readonly Section[]> {
  return [
    {
      title: 'An archive that is imported',
      text: 'The machine has a store of its own, which is read back afterwards; then the archive is imported whole, which works in each row.',
      head: ['What fails', 'Exit', 'It says', 'What is left of it'],
      rows: await oneByOne(importFaults, importRow),
    },
    {
      title: 'An archive that is exported',
      text: 'It has its name only when it is whole.',
      head: ['What fails', 'Exit', 'It says', 'What is left of it'],
      rows: await oneByOne(exportFaults, exportRow),
    },
  ];
}

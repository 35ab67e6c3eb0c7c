import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { CliHome } from '../cli.ts';
import { oneByOne, plain, type Row, type Section } from './seen.ts';

/** A command that cannot write. */
interface CommandFault {
  readonly what: string;
  readonly args: readonly string[];
  /** What is run before, while all is well. */
  readonly first?: readonly string[];
  readonly block: (home: CliHome) => void;
  readonly isSetup?: true;
}

function fileAt(path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, 'in the way');
}

const commandFaults: readonly CommandFault[] = [
  {
    what: 'data directory: `serve`',
    args: ['serve'],
    block: ({ dataDir }) => fileAt(dataDir),
  },
  {
    what: 'log of a server in the background: `serve --background`',
    args: ['serve', '--background'],
    block: ({ dataDir }) => mkdirSync(join(dataDir, 'server.log'), { recursive: true }),
  },
  {
    what: 'settings: `init`',
    args: ['init', '--base-url', 'http://127.0.0.1:9/v1', '--model', 'm', '--yes', '--no-try'],
    block: ({ folder }) => fileAt(join(folder, '.config/rlm-opencode')),
  },
  {
    what: "a client's settings: `setup install`",
    isSetup: true,
    args: ['install', 'opencode'],
    block: ({ folder }) =>
      mkdirSync(join(folder, '.config/opencode/opencode.json'), { recursive: true }),
  },
  {
    what: 'store: `ingest`',
    args: ['ingest', 'notes.txt', '--directory', '/work'],
    block: ({ dataDir }) => fileAt(join(dataDir, 'sessions')),
  },
  {
    what: 'what is not UTF-8, kept beside the text: `ingest`',
    args: ['ingest', 'broken.txt', '--directory', '/work'],
    first: ['ingest', 'notes.txt', '--directory', '/work'],
    block: ({ folder, dataDir }) => {
      writeFileSync(
        join(folder, 'broken.txt'),
        Buffer.concat([Buffer.from('né '), Buffer.of(0xe6)]),
      );
      const text = readdirSync(join(dataDir, 'sessions')).find((name) => name.endsWith('.txt'))!;
      fileAt(join(dataDir, 'sessions', text.replace('_context.txt', '_originals')));
    },
  },
  {
    what: 'archive: `sessions export`',
    args: ['sessions', 'export', '/work', '--out', 'notes.txt/archive.tar.zst'],
    first: ['ingest', 'notes.txt', '--directory', '/work'],
    block: () => undefined,
  },
];

async function commandRow({ what, args, first, block, isSetup }: CommandFault): Promise<Row> {
  using home = new CliHome();
  const placed = (words: readonly string[]): readonly string[] =>
    words.map((word) => (/^\w+\.txt/.test(word) ? join(home.folder, word) : word));
  fileAt(join(home.folder, 'notes.txt'));
  if (first !== undefined) expect(await home.runHere(placed(first))).toMatchObject({ code: 0 });
  block(home);
  const { code, stderr } = isSetup
    ? await home.setup(placed(args))
    : await home.runHere(placed(args));
  return [what, String(code), plain(stderr)];
}

/** What is seen of commands that cannot write. */
export async function commandSections(): Promise<readonly Section[]> {
  return [
    {
      title: 'What commands write',
      text: 'A file stands where a folder should be, or the other way round.',
      head: ['What cannot be written', 'Exit', 'It says'],
      rows: await oneByOne(commandFaults, commandRow),
    },
  ];
}

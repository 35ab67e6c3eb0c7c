import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import type { WriteCall } from '../../faults/faulty-files.ts';
import { CliHome } from '../cli.ts';
import { longText, outputRequest } from '../conversation.ts';
import { startProxy } from '../proxy.ts';
import { failDisk } from './failing-disk.ts';
import { oneByOne, plain, type Row, type Section } from './seen.ts';

/** A command that cannot write. */
interface CommandFault {
  readonly what: string;
  readonly args: readonly string[];
  /** What is run before, while all is well. */
  readonly first?: readonly string[];
  readonly block: (home: CliHome) => unknown;
  readonly env?: (home: CliHome) => Record<string, string>;
  readonly isSetup?: true;
}

function fileAt(path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, 'in the way');
}

/** A turn is written down in a folder. */
async function traced(folder: string): Promise<void> {
  await using proxy = await startProxy({ env: { RLM_TRACE_DIR: folder } });
  await proxy.ask(outputRequest(longText(30_000)));
}

/** A database that is not there. */
const nowhere = 'postgres://127.0.0.1:9/nowhere';

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
    what: "a client's settings: `setup opencode --mcp`",
    isSetup: true,
    args: ['opencode', '--mcp'],
    block: ({ folder }) =>
      mkdirSync(join(folder, '.config/opencode/opencode.json'), { recursive: true }),
  },
  {
    what: "a client's settings: `setup uninstall`",
    isSetup: true,
    args: ['uninstall', 'opencode'],
    block: ({ folder }) =>
      mkdirSync(join(folder, '.config/opencode/opencode.json'), { recursive: true }),
  },
  {
    what: "a service's file: `service install`",
    args: ['service', 'install'],
    block: ({ folder }) => fileAt(join(folder, '.config/systemd')),
  },
  {
    what: 'temporary files: `demo`',
    args: ['demo', '--chars', '100000'],
    env: ({ folder }) => ({ TMPDIR: join(folder, 'notes.txt') }),
    block: () => undefined,
  },
  {
    what: 'temporary files: `ask --file`',
    args: ['ask', 'Which?', '--file', 'notes.txt'],
    env: ({ folder }) => ({ TMPDIR: join(folder, 'notes.txt') }),
    block: () => undefined,
  },
  {
    what: "turns without their words: `trace scrub`, where a file stands in the folder's place",
    args: ['trace', 'scrub', 'traces.txt', 'notes.txt/out'],
    block: async ({ folder }) => traced(join(folder, 'traces.txt')),
  },
  {
    what: 'the same, disk full',
    args: ['trace', 'scrub', 'traces.txt', 'out.txt'],
    block: async ({ folder }) => {
      await traced(join(folder, 'traces.txt'));
      failDisk(({ name, path }) =>
        name === 'write' && path.includes('/out.txt/')
          ? { kind: 'error', code: 'ENOSPC' }
          : { kind: 'none' },
      );
    },
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
    what: 'tables of a shared store, where nobody listens: `store init`',
    args: ['store', 'init'],
    env: () => ({ RLM_STORE_URL: nowhere }),
    block: () => undefined,
  },
  {
    what: 'a store that is to be shared, where nobody listens: `store push`',
    args: ['store', 'push', '/work'],
    first: ['ingest', 'notes.txt', '--directory', '/work'],
    env: () => ({ RLM_STORE_URL: nowhere }),
    block: () => undefined,
  },
  {
    what: 'archive: `sessions export`',
    args: ['sessions', 'export', '/work', '--out', 'notes.txt/archive.tar.zst'],
    first: ['ingest', 'notes.txt', '--directory', '/work'],
    block: () => undefined,
  },
];

async function commandRow({ what, args, first, block, env, isSetup }: CommandFault): Promise<Row> {
  using home = new CliHome();
  const placed = (words: readonly string[]): readonly string[] =>
    words.map((word) => (/^\w+\.txt/.test(word) ? join(home.folder, word) : word));
  fileAt(join(home.folder, 'notes.txt'));
  if (first !== undefined) expect(await home.runHere(placed(first))).toMatchObject({ code: 0 });
  await block(home);
  const { code, stderr } = isSetup
    ? await home.setup(placed(args))
    : await home.runHere(placed(args), { XDG_CONFIG_HOME: '', ...env?.(home) });
  return [what, String(code), plain(stderr)];
}

/** A command on the stores whose disk is full. */
interface FullDiskCommand {
  readonly what: string;
  readonly args: (ids: { readonly work: string; readonly other: string }) => readonly string[];
  /** Which writes have no room; absent: those in the stores. */
  readonly hits?: (call: WriteCall, dataDir: string) => boolean;
}

const work = ['--directory', '/work'] as const;

function isInStores({ path }: WriteCall): boolean {
  return /\/(?:sessions|mappings)\//.test(path);
}

const fullDiskCommands: readonly FullDiskCommand[] = [
  {
    what: '`sessions rm`, with no room even for the file that says who holds the stores',
    args: ({ work: id }) => ['sessions', 'rm', id, '--yes'],
    hits: () => true,
  },
  { what: '`search`', args: () => ['search', 'needle', ...work] },
  { what: '`get`', args: () => ['get', 'e1', ...work] },
  { what: '`sessions`', args: () => ['sessions'] },
  { what: '`ingest`', args: () => ['ingest', 'more.txt', ...work] },
  {
    what: '`ingest` of a large file, which has no room on its way in',
    args: () => ['ingest', 'large.txt', ...work],
    hits: ({ path }) => path.includes('_incoming/'),
  },
  { what: '`sessions pin`', args: () => ['sessions', 'pin', 'e1', ...work] },
  { what: '`sessions link`', args: () => ['sessions', 'link', '/work', '/other'] },
  { what: '`sessions snapshot`', args: () => ['sessions', 'snapshot', 'before', ...work] },
  { what: '`sessions branch`', args: () => ['sessions', 'branch', ...work] },
  { what: '`sessions restore`', args: () => ['sessions', 'restore', 'e1', ...work] },
  { what: '`sessions move`', args: () => ['sessions', 'move', '/work', '/there'] },
  { what: '`sessions salvage`', args: ({ work: id }) => ['sessions', 'salvage', id] },
  { what: '`sessions forget`', args: () => ['sessions', 'forget', 'e1', '--yes', ...work] },
  {
    what: '`sessions rm`, which makes room',
    args: ({ work: id }) => ['sessions', 'rm', id, '--yes'],
    hits: (call, dataDir) =>
      isInStores(call) &&
      readdirSync(join(dataDir, 'sessions')).filter((name) => name.endsWith('_context.txt'))
        .length === 2,
  },
];

/** Two projects with a text each; then the disk is full, and later it is not. */
async function fullDiskRow({ what, args, hits }: FullDiskCommand): Promise<Row> {
  using home = new CliHome();
  const { folder, dataDir } = home;
  const names = { work: 'the needle of work', other: 'another text' };
  for (const [name, text] of Object.entries({ ...names, more: 'one text more' })) {
    const path = join(folder, `${name}.txt`);
    writeFileSync(path, text);
    if (name in names)
      expect(await home.runHere(['ingest', path, '--directory', `/${name}`])).toMatchObject({
        code: 0,
      });
  }
  writeFileSync(join(folder, 'large.txt'), 'a line of a large file\n'.repeat(500_000));
  await home.runHere(['ingest', join(folder, 'other.txt'), ...work]);
  const { stdout } = await home.runHere(['sessions', '--json']);
  const list = JSON.parse(stdout) as readonly { id: string; directory: string }[];
  const idOf = (name: string): string => list.find(({ directory }) => directory === `/${name}`)!.id;
  const words = args({ work: idOf('work'), other: idOf('other') }).map((word) =>
    word.endsWith('.txt') ? join(folder, word) : word,
  );
  failDisk((call) =>
    ['write', 'create'].includes(call.name) && (hits?.(call, dataDir) ?? isInStores(call))
      ? { kind: 'error', code: 'ENOSPC' }
      : { kind: 'none' },
  );
  const { code, stderr } = await home.runHere(words);
  const isThere = (await home.runHere(['get', 'e1', ...work])).stdout.startsWith(names.work);
  const again = await home.runHere(words);
  return [
    what,
    String(code),
    plain(stderr),
    isThere ? 'there' : 'gone',
    code === 0 ? '' : again.code === 0 ? 'done' : plain(again.stderr),
  ];
}

/** What is seen of commands that cannot write. */
export async function commandSections(): Promise<readonly Section[]> {
  return [
    {
      title: 'What commands write',
      text: 'A file stands where a folder should be, or the other way round; or nobody listens where a database should be.',
      head: ['What cannot be written', 'Exit', 'It says'],
      rows: await oneByOne(commandFaults, commandRow),
    },
    {
      title: 'Commands on a full disk',
      text: 'No server runs. What was stored before is asked for when there is room again, and then the command is run once more.',
      head: ['Command', 'Exit', 'It says', 'The text stored before', 'Once more, with room'],
      rows: await oneByOne(fullDiskCommands, fullDiskRow),
    },
  ];
}

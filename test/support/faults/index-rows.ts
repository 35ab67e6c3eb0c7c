import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { storeCase } from '../../../src/bench/questions/storing.ts';
import { CliHome } from '../cli.ts';
import { clientTools, longText, ownResults, systemFor, user } from '../conversation.ts';
import { startProxy, type TestProxy } from '../proxy.ts';
import {
  answer,
  callTools,
  startScriptedUpstream,
  type ScriptedUpstream,
} from '../scripted-upstream.ts';
import { logged, oneByOne, plain, type Row, type Section } from './seen.ts';

/** The first file of an index, and the two other caches beside it. */
const indexName = 'blocks-000000.bits';
const tableName = 'blocks.bin';
const checkedName = 'checked.json';

/** A cache of a store that cannot be written, or is not what was written. */
interface CacheFault {
  readonly what: string;
  readonly begin: (folder: string) => void;
}

function changed(name: string, change: (bytes: Buffer) => Buffer): (folder: string) => void {
  return (folder) => {
    const path = join(folder, name);
    writeFileSync(path, change(readFileSync(path)));
  };
}

function everyByte(bytes: Buffer): Buffer {
  return Buffer.from(bytes.map((byte) => byte ^ 0x55));
}

/** The file is written to a device that takes no byte. */
function writtenTo(device: string, name: string): (folder: string) => void {
  return (folder) => {
    rmSync(join(folder, name));
    symlinkSync(device, join(folder, `${name}.new`));
  };
}

const cacheFaults: readonly CacheFault[] = [
  {
    what: 'index of the search cannot be written, disk full',
    begin: writtenTo('/dev/full', indexName),
  },
  // The first page of a process's memory is never there.
  { what: 'the same, broken disk', begin: writtenTo('/proc/self/mem', indexName) },
  {
    what: 'the folder of the caches is gone',
    begin: (folder) => rmSync(folder, { recursive: true }),
  },
  {
    what: 'index damaged in its head',
    begin: changed(indexName, (bytes) =>
      Buffer.concat([everyByte(bytes.subarray(0, 64)), bytes.subarray(64)]),
    ),
  },
  {
    what: 'index damaged in its rows',
    begin: changed(indexName, (bytes) =>
      Buffer.concat([bytes.subarray(0, 64), everyByte(bytes.subarray(64))]),
    ),
  },
  { what: 'index cut short', begin: (folder) => truncateSync(join(folder, indexName), 10_000) },
  { what: 'index empty', begin: changed(indexName, () => Buffer.alloc(0)) },
  {
    what: 'index that the disk does not give back',
    begin: (folder) => {
      rmSync(join(folder, indexName));
      symlinkSync('/proc/self/mem', join(folder, indexName));
    },
  },
  {
    what: 'a folder in place of the index',
    begin: (folder) => {
      rmSync(join(folder, indexName));
      mkdirSync(join(folder, indexName));
    },
  },
  { what: 'table of blocks damaged', begin: changed(tableName, everyByte) },
  { what: 'what was compared last, damaged', begin: changed(checkedName, everyByte) },
];

const project = '/work/project';
const line = 'line 77777:';

/** A chat's search; what it found, and the log from then on. */
async function searched(
  proxy: TestProxy,
  upstream: ScriptedUpstream,
  sessionId: string,
): Promise<Record<string, unknown>> {
  upstream.script(callTools({ name: 'rlm_search', args: { pattern: line } }), answer('Found.'));
  const { message } = await proxy.ask(
    { messages: [systemFor(project), user('Where is it?')], tools: clientTools },
    { 'x-rlm-session': sessionId },
  );
  expect(message.content).toBe('Found.');
  return ownResults(upstream.requests.at(-1)!.body.messages)[0]!;
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 10));
}

async function cacheRow({ what, begin }: CacheFault): Promise<Row> {
  using home = new CliHome();
  const { dataDir } = home;
  const lines: string[] = [];
  await using upstream = await startScriptedUpstream();
  const start = async (): Promise<TestProxy> =>
    startProxy({ upstream, dataDir, onLog: (said) => lines.push(said) });
  let folder: string;
  let sessionId: string;
  let before: Record<string, unknown>;
  {
    await using proxy = await start();
    ({ sessionId } = await storeCase(proxy.app.sessions, project, [
      { path: 'log.txt', chunks: () => [longText(5_000_000)] },
    ]));
    folder = join(dataDir, 'sessions', `${sessionId}_index`);
    before = await searched(proxy, upstream, sessionId);
    await until(() => existsSync(join(folder, indexName)));
  }
  begin(folder);
  const copy = join(home.folder, 'copy');
  cpSync(dataDir, copy, { recursive: true, verbatimSymlinks: true });
  lines.length = 0;
  await using proxy = await start();
  const found = await searched(proxy, upstream, sessionId);
  // What the first one has found damaged is made anew before the next.
  expect(await searched(proxy, upstream, sessionId)).toEqual(before);
  const isKept = (): boolean =>
    statSync(join(folder, indexName), { throwIfNoEntry: false })?.isFile() === true;
  await until(() => isKept() || lines.some((said) => said.includes('search index')));
  const { status } = await proxy.health();
  await proxy.app[Symbol.asyncDispose]();
  const { stdout } = await home.runHere(['doctor', '--offline', '--deep', '--json'], {
    RLM_DATA_DIR: copy,
  });
  const findings = JSON.parse(stdout) as readonly { level: string; text: string }[];
  const told = findings.filter(({ text }) => text.startsWith('store'));
  expect(found).toEqual(before);
  return [
    what,
    'exact',
    status,
    logged(lines),
    isKept() ? 'made anew' : 'none',
    plain(told.map(({ level, text }) => `${level}: ${text}`).join('; ')),
  ];
}

/** What is seen of caches of a store that cannot be written, or were altered. */
export async function indexSections(): Promise<readonly Section[]> {
  return [
    {
      title: 'The index of a search, and the other caches beside a text',
      text: 'The server had written them, and was closed; it is started on what is left and asked to search. Caches change no answer.',
      head: ['What fails', 'Search', '`/health`', 'Log', 'The index then', '`doctor --deep` on it'],
      rows: await oneByOne(cacheFaults, cacheRow),
    },
  ];
}

import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { realFiles } from '../../../src/store/disk/files.ts';
import { faultyFiles, type Fault, type WriteCall } from '../../faults/faulty-files.ts';
import { CliHome } from '../cli.ts';
import {
  calling,
  clientTools,
  longText,
  outputRequest,
  resultOf,
  systemFor,
  user,
} from '../conversation.ts';
import { startProxy } from '../proxy.ts';
import {
  done,
  finish,
  reply,
  type Reply,
  role,
  startScriptedUpstream,
  text,
  toolCall,
} from '../scripted-upstream.ts';
import { failureWords, inTurn, logged, plain, type Row, type Section, whole } from './seen.ts';

const largeOutput = longText(60_000);
const request = { model: 'm', ...outputRequest(largeOutput) };
const full: Fault = { kind: 'error', code: 'ENOSPC' };
const broken: Fault = { kind: 'error', code: 'EIO' };

/** A write that fails while a chat goes on. */
interface WriteFault {
  readonly what: string;
  readonly fault?: Fault;
  readonly hits?: (call: WriteCall) => boolean;
  /** The second turn is of another project, whose store is to be made. */
  readonly isNewProject?: true;
  /** Instead: what is put in the way, in the data directory. */
  readonly block?: (dataDir: string) => void;
  readonly env?: (dataDir: string) => Readonly<Record<string, string>>;
}

function inFile(end: string, wanted: WriteCall['name']): (call: WriteCall) => boolean {
  return ({ name, path }) => path.endsWith(end) && name === wanted;
}

const writeFaults: readonly WriteFault[] = [
  { what: 'text, disk full', fault: full, hits: inFile('_context.txt', 'write') },
  {
    what: 'text, full after a part of it',
    fault: { kind: 'short-write', code: 'ENOSPC' },
    hits: inFile('_context.txt', 'write'),
  },
  { what: 'text, broken disk', fault: broken, hits: inFile('_context.txt', 'write') },
  { what: 'text, not on the disk', fault: broken, hits: inFile('_context.txt', 'datasync') },
  { what: 'journal, disk full', fault: full, hits: inFile('_entries.jsonl', 'write') },
  { what: 'journal, not on the disk', fault: broken, hits: inFile('_entries.jsonl', 'datasync') },
  { what: 'memory of the chat, disk full', fault: full, hits: inFile('_chats.jsonl', 'write') },
  {
    what: 'files of a new store, disk full',
    fault: full,
    hits: ({ name, path }) => name === 'create' && /sess_[0-9a-f]+\.json/.test(path),
    isNewProject: true,
  },
  {
    what: 'which directory has which store, disk full',
    fault: full,
    hits: ({ path }) => path.includes('directory_to_rlm.json'),
    isNewProject: true,
  },
  { what: 'everything, disk full', fault: full, hits: ({ name }) => name !== 'sync' },
  {
    what: 'index of the search',
    block: (dataDir) => {
      const folder = join(dataDir, 'sessions');
      for (const name of readdirSync(folder))
        if (name.endsWith('_index')) replaceByFile(join(folder, name));
    },
  },
  {
    what: 'trace of the turn, disk full',
    env: (dataDir) => ({ RLM_TRACE_DIR: join(dataDir, 'traces') }),
    fault: full,
    hits: ({ path }) => path.includes('/traces/'),
  },
  {
    what: "sums of the day's use",
    block: (dataDir) => {
      rmSync(join(dataDir, 'use-of-the-day.json'), { force: true });
      mkdirSync(join(dataDir, 'use-of-the-day.json/in the way'), { recursive: true });
    },
  },
];

/** Says nothing of tokens: what is counted here is no provider's. */
function uncounted(content: string): Reply {
  return reply(role(), text(content), finish(), done());
}

function replaceByFile(path: string): void {
  rmSync(path, { recursive: true });
  writeFileSync(path, 'in the way');
}

/**
 * A first turn stores one text; then the fault begins, and the second turn brings another and
 * searches.
 */
async function writeRow({ what, fault, hits, block, env, isNewProject }: WriteFault): Promise<Row> {
  let isBroken = false;
  let failed = 0;
  const lines: string[] = [];
  const { files } = faultyFiles((call) => {
    if (!isBroken || fault === undefined || hits?.(call) !== true) return { kind: 'none' };
    failed += 1;
    return fault;
  });
  using home = new CliHome();
  const { dataDir } = home;
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({
    upstream,
    files,
    dataDir,
    env: env?.(dataDir) ?? {},
    onLog: (line) => lines.push(line),
  });
  upstream.script(uncounted('First.'));
  const { message } = await proxy.ask(request);
  isBroken = true;
  block?.(dataDir);
  lines.length = 0;
  // Where no store could be made there is nothing to search.
  if (isNewProject === undefined)
    upstream.script(
      reply(toolCall('rlm_search', { pattern: 'line 7:' }), finish('tool_calls'), done()),
    );
  upstream.script(uncounted('Second.'));
  const other = longText(50_000, 'other');
  const [system, ...rest] = request.messages;
  const next = [
    isNewProject === true ? systemFor('/work/new') : system!,
    ...rest,
    message,
    user('And now?'),
    calling('call_2', 'bash', { command: 'make' }),
    resultOf('call_2', other),
  ];
  const got = await whole(await proxy.post({ model: 'm', messages: next, tools: clientTools }));
  const sent = upstream.requests[1]?.body.messages.at(-1)?.content;
  const { status, lastStoreFault } = await proxy.health();
  const health = lastStoreFault === undefined ? status : `${status} (\`${lastStoreFault}\`)`;
  // What is written down behind the answer is written by now.
  await proxy.app[Symbol.asyncDispose]();
  if (fault !== undefined) expect({ what, failed }).not.toEqual({ what, failed: 0 });
  return [what, got, sent === other ? 'whole' : 'as a stub', health, logged(lines)];
}

const startFaults = ['ENOSPC', 'EROFS', 'EACCES'] as const;

/** A start on a disk that fails. */
async function startRow(code: string): Promise<Row> {
  const what = `data directory, when the server starts (${code})`;
  const lines: string[] = [];
  const failing = async (): Promise<never> => {
    throw Object.assign(new Error(code), { code });
  };
  const files = { ...realFiles, makeDirectory: failing, createExclusive: failing };
  await using upstream = await startScriptedUpstream();
  upstream.otherwise(uncounted('First.'));
  try {
    await using proxy = await startProxy({ upstream, files, onLog: (line) => lines.push(line) });
    const got = await whole(await proxy.post(request));
    const sent = upstream.requests[0]?.body.messages.at(-1)?.content;
    const { status, lastStoreFault } = await proxy.health();
    return [
      what,
      got,
      sent === largeOutput ? 'whole' : 'as a stub',
      `${status} (\`${lastStoreFault}\`)`,
      logged(lines),
    ];
  } catch (error) {
    return [what, `no start: ${plain(failureWords(error))}`, '', '', logged(lines)];
  }
}

/** What is seen of a disk that fails under a server. */
export async function diskSections(): Promise<readonly Section[]> {
  return [
    {
      title: 'What a server writes, while a chat goes on',
      text: 'A first turn has stored a text; then the write fails, and a second turn brings another text, which is stored, and searches. No turn ends for it: what cannot be stored stays in the prompt, whole while the window has room.',
      head: ['What cannot be written', 'Answer', 'The new text goes up', '`/health`', 'Log'],
      rows: [...(await inTurn(startFaults, startRow)), ...(await inTurn(writeFaults, writeRow))],
    },
  ];
}

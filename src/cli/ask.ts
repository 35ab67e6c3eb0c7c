import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { systemClock } from '../clock.ts';
import { injectHeader } from '../clients/origin.ts';
import type { Config } from '../config/resolve.ts';
import { countOf } from '../base/numbers.ts';
import { ProxyError } from '../errors.ts';
import type { IngestReport } from '../ingest/ingest.ts';
import type { IngestProgress } from '../ingest/progress.ts';
import { readOwner } from '../store/disk/owner.ts';
import { coreModelId } from '../wire/core-model.ts';
import { streamChat, type StreamedAnswer } from './chat-client.ts';
import { showProgress } from './ingest.ts';
import {
  callOver,
  fetchLines,
  isAnswering,
  serverOf,
  type CallOperation,
  type RunningServer,
} from './operations-client.ts';
import { ProgressLine } from './progress-line.ts';
import { addSessionFlags, choiceOf, type SessionFlags } from './session-flags.ts';
import { loadFromFlags } from './setting-flags.ts';
import { endTree, showStep } from './step-tree.ts';
import { jsonText, print } from './screen.ts';
import { keepStdin } from './standard-input.ts';

interface AskFlags extends SessionFlags {
  readonly file?: readonly string[];
  readonly model: string;
}

/** Where the question is asked: headers that name the store. */
type Place = Readonly<Record<string, string>>;

/**
 * `rlm-opencode ask`: one question over files or a store, the answer on stdout, the steps on a
 * terminal's stderr.
 */
export function askCommand(): Command {
  const command = new Command('ask')
    .description('ask one question over files of any size, or over what is stored')
    .argument('<question>')
    .option(
      '--file <path...>',
      'files, directories or globs to ask about; `-` is stdin. They are stored for this question alone, unless a store is named',
    )
    .option('--model <id>', 'the model that answers', coreModelId);
  return addSessionFlags(command).action(async (question: string, flags: AskFlags) => {
    const { config } = loadFromFlags({ ...flags });
    await using server = await openAskServer(config);
    const call = callOver((asked) => fetchLines(server.server, asked));
    const isNamed = flags.directory !== undefined || flags.session !== undefined;
    const files = flags.file && { paths: flags.file, dataDir: config.dataDir };
    const ask = async (place: Place): Promise<void> => answer(question, flags, { server, place });
    if (files !== undefined && !isNamed) {
      await inOwnStore(call, files, ask);
      return;
    }
    if (files !== undefined) refuseFailures(await takeIn(call, choiceOf(flags), files));
    await ask(await placeOf(call, flags));
  });
}

/** A server to ask, closed by its disposal if it is our own. */
interface AskServer {
  readonly server: RunningServer;
  /** What a chat request must carry. */
  readonly headers: Readonly<Record<string, string>>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * The server that holds the data directory; else one in this process, on a free port, for as long
 * as the command runs.
 */
async function openAskServer(config: Config): Promise<AskServer> {
  const { apiToken } = config.server;
  const headers: Readonly<Record<string, string>> =
    apiToken === undefined ? {} : { authorization: `Bearer ${apiToken}` };
  const running = serverOf(await readOwner(config.dataDir));
  if (running !== undefined && (await isAnswering(running)))
    return { server: running, headers, [Symbol.asyncDispose]: async () => undefined };
  const server = { ...config.server, host: '127.0.0.1', port: 0 };
  const { openLocalApp } = await import('./local-app.ts');
  const app = await openLocalApp({ ...config, server }, 'error');
  const address = await app.server.listen();
  return {
    server: { address, secret: app.ownerSecret, pid: process.pid },
    headers,
    [Symbol.asyncDispose]: async () => app[Symbol.asyncDispose](),
  };
}

/** What to ask about, and where standard input may wait. */
interface Files {
  readonly paths: readonly string[];
  readonly dataDir: string;
}

/** Stores files in a session that lives no longer than the question. */
async function inOwnStore(
  call: CallOperation,
  files: Files,
  use: (place: Place) => Promise<void>,
): Promise<void> {
  // Only a name: nothing is written into the folder.
  const directory = await mkdtemp(join(tmpdir(), 'rlm-ask-'));
  try {
    const report = await takeIn(call, { directory }, files);
    const { session } = report;
    try {
      refuseFailures(report);
      if (session === undefined)
        throw new ProxyError('invalid_request', 'There is no text in what --file names.');
      await use({ 'x-rlm-session': session });
    } finally {
      if (session !== undefined) await call('remove-session', { session });
    }
  } finally {
    await rm(directory, { recursive: true });
  }
}

type Report = IngestReport & {
  /** Absent where nothing was there to be stored. */
  readonly session?: string;
};

async function takeIn(
  call: CallOperation,
  choice: object,
  { paths, dataDir }: Files,
): Promise<Report> {
  using standardInput = paths.includes('-') ? await keepStdin(dataDir) : undefined;
  const line = new ProgressLine();
  try {
    return (await call(
      'ingest',
      {
        ...choice,
        paths,
        workingDirectory: process.cwd(),
        stdinFile: standardInput?.path,
      },
      (progress) => showProgress(line, progress as IngestProgress),
    )) as Report;
  } finally {
    line.clear();
  }
}

/** An answer about files that are not all there would mislead. */
function refuseFailures({ failures: [failure] }: Report): void {
  if (failure !== undefined)
    throw new ProxyError('invalid_request', `${failure.path}: ${failure.reason}`);
}

async function placeOf(call: CallOperation, flags: AskFlags): Promise<Place> {
  if (flags.session !== undefined) return { 'x-rlm-session': flags.session };
  const found = (await call('tool', { ...choiceOf(flags), name: 'rlm_stats', arguments: {} })) as {
    readonly session: string;
  } | null;
  if (found === null)
    throw new ProxyError('invalid_request', 'Nothing is stored for this directory yet.', {
      hint: 'Name files with --file, or store some with `rlm-opencode ingest`.',
    });
  return { 'x-rlm-session': found.session };
}

async function answer(
  question: string,
  flags: AskFlags,
  { server, place }: { readonly server: AskServer; readonly place: Place },
): Promise<void> {
  const startMs = systemClock.elapsedMs();
  const asked = await streamChat(
    {
      baseURL: `${server.server.address}/v1`,
      model: flags.model,
      headers: { ...server.headers, ...place, [injectHeader]: 'always' },
      messages: [{ role: 'user', content: question }],
    },
    {
      onStep: showStep,
      onText: (text) => {
        if (flags.json !== true) print(text);
      },
    },
  );
  const seconds = (systemClock.elapsedMs() - startMs) / 1000;
  print(flags.json === true ? `${jsonOf(asked, seconds)}\n` : '\n');
  endTree(`${countOf(asked.steps.length, 'step')}, ${seconds.toFixed(1)} s`);
}

function jsonOf({ text, steps, usage }: StreamedAnswer, seconds: number): string {
  return jsonText({ answer: text, steps, usage, seconds }, 2);
}

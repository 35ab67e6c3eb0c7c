import { once } from 'node:events';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { ProxyError } from '../errors.ts';
import type { RunOperation } from '../operations/operations.ts';
import { type Owner, readOwner } from '../store/disk/owner.ts';
import type { Sessions } from '../store/types.ts';
import { grouped } from '../base/numbers.ts';
import { parseJson } from '../wire/json.ts';
import { errorOf, readOperation } from '../wire/operation-lines.ts';
import { dataDirOf } from './data-dir-flag.ts';
import { ProgressLine } from './progress-line.ts';

/**
 * Runs an operation on the stores. What it says on the way is handed to `onProgress`, which it
 * waits for; `input` is what it takes in beside its arguments. @throws ProxyError what the
 * operation throws
 */
export type CallOperation = (
  operation: string,
  args: object,
  onProgress?: (progress: unknown) => void | Promise<void>,
  input?: AsyncIterable<Uint8Array>,
) => Promise<unknown>;

/**
 * Gives a command its way to the stores: through the server that holds the data directory, else by
 * opening them here.
 * @param flags Those of the settings, as commander gives them
 * @throws ProxyError `config_invalid`; through a server only for what says where the data directory
 * is: the other settings are the server's
 * @throws ProxyError `store_locked` where another command holds them
 */
export async function withOperations(
  flags: object,
  use: (call: CallOperation) => Promise<void>,
): Promise<void> {
  const server = serverOf(await readOwner(await dataDirOf(flags)));
  if (server !== undefined) {
    await use(callOver((call) => fetchLines(server, call)));
    return;
  }
  await using here = await openHere(flags);
  await use(callOver(here.run));
}

/** Stores that this process has opened. */
export interface OwnStores extends AsyncDisposable {
  readonly run: RunOperation;
}

/**
 * Opens the stores in this process, which holds them until the disposal.
 * @param isBrief Whether that comes by itself in a moment, so that others may wait for it
 * @throws ProxyError as {@link withOperations}
 */
export async function openHere(flags: object, isBrief = false): Promise<OwnStores> {
  // Loaded only here: through a server a command needs neither settings nor store nor engine.
  const [
    { randomIds, systemClock },
    { machineOf },
    { loadFromFlags },
    { createLogger },
    { createOperations },
    { openSearchEngine },
    { openSessions },
    { boundsOf, sharedStoreOf },
    { guardFor },
    { openTraceRoom },
    { ForgottenTurns },
  ] = await Promise.all([
    import('../clock.ts'),
    import('../config/places.ts'),
    import('./setting-flags.ts'),
    import('../log.ts'),
    import('../operations/operations.ts'),
    import('../search/engine.ts'),
    import('../store/sessions.ts'),
    import('../config/bounds.ts'),
    import('../secrets/guard.ts'),
    import('../trace/trace-room.ts'),
    import('../trace/forgotten-turns.ts'),
  ]);
  const { config } = loadFromFlags({ ...flags });
  const traceRoom = openTraceRoom(config.trace);
  await using stack = new AsyncDisposableStack();
  const { maxBytes, worktrees } = config.store;
  const options = {
    dataDir: config.dataDir,
    isBrief,
    clock: systemClock,
    ids: randomIds,
    log: createLogger('warn'),
    maxSessionBytes: maxBytes,
    worktrees,
    bounds: boundsOf(config.store),
    searchPath: machineOf().env['PATH'],
    holders: traceRoom === undefined ? [] : [new ForgottenTurns(traceRoom)],
  };
  const line = new ProgressLine();
  const onProgress = (_: string, { pos, head }: { pos: number; head: number }): void => {
    if (pos >= head) line.clear();
    else line.bar(pos / head, `fetching row ${grouped(pos)} of ${grouped(head)}`);
  };
  const open = async (): Promise<Sessions> => {
    const shared = sharedStoreOf(config.store);
    if (shared === undefined) return openSessions(options);
    const { openSharedSessions } = await import('../shared/shared-sessions.ts');
    return openSharedSessions({ ...options, ...shared, onProgress });
  };
  const sessions = stack.use(await open());
  const search = stack.use(openSearchEngine({ clock: systemClock, isBrief: true }));
  const secrets = guardFor(config.capture.secrets);
  const run = createOperations({ sessions, search, clock: systemClock, secrets });
  const all = stack.move();
  return { run, [Symbol.asyncDispose]: async () => all.disposeAsync() };
}

/** A running server and how to prove to it that one may ask. */
export interface RunningServer {
  readonly address: string;
  readonly secret: string;
  readonly pid: number;
}

/** The server among the owners: a command that holds the stores serves nothing. */
export function serverOf(owner: Owner | undefined): RunningServer | undefined {
  const { address, secret } = owner ?? {};
  if (owner === undefined || address === undefined || secret === undefined) return undefined;
  return { address, secret, pid: owner.pid };
}

/** Whether a server answers to the secret and is the process that its file names. */
export async function isAnswering(server: RunningServer): Promise<boolean> {
  try {
    const result = await callOver((call) => fetchLines(server, call))('ping', {});
    return (result as { pid?: unknown } | null)?.pid === server.pid;
  } catch (error) {
    if (error instanceof ProxyError) return false;
    throw error;
  }
}

/** An operation's caller over whatever runs it. */
export function callOver(run: RunOperation): CallOperation {
  return async (operation, args, onProgress, input) => {
    const body = Buffer.from(JSON.stringify(args));
    const stop = new AbortController();
    return readOperation(run({ operation, body, input, signal: stop.signal }), onProgress);
  };
}

/** The `wireCode` of what fails because a server is not there any more, or not yet. */
export const serverGoneCode = 'server_gone';

/** Runs an operation in a server. @throws ProxyError what the operation throws */
export async function* fetchLines(
  server: RunningServer,
  { operation, body, input, signal }: Parameters<RunOperation>[0],
): AsyncGenerator<string> {
  try {
    const response = await post(server, operation, { body, input, signal });
    response.setEncoding('utf8');
    if (response.statusCode === 200) {
      try {
        for await (const piece of response) yield String(piece);
      } finally {
        // What is still being sent is not wanted any more.
        response.destroy();
      }
      return;
    }
    const answer = parseJson((await response.toArray()).join('')) as
      | { error?: unknown }
      | undefined;
    throw errorOf(answer?.error);
  } catch (error) {
    if (error instanceof ProxyError) throw error;
    if (signal.aborted) throw new ProxyError('cancelled', 'Nobody waits for the answer any more.');
    throw new ProxyError('internal', `The server at ${server.address} does not answer.`, {
      cause: error,
      wireCode: serverGoneCode,
      hint: 'See `rlm-opencode status`.',
    });
  }
}

async function post(
  server: RunningServer,
  operation: string,
  { body, input, signal }: Pick<Parameters<RunOperation>[0], 'body' | 'input' | 'signal'>,
): Promise<IncomingMessage> {
  // Neither `fetch` nor `import`: both load the whole of undici first, and a command spends as long
  // on it as on starting Node.
  const { request } = process.getBuiltinModule('node:http');
  const asked = request(`${server.address}/v1/rlm/${operation}`, {
    method: 'POST',
    signal,
    headers: {
      'content-type': input === undefined ? 'application/json' : 'application/octet-stream',
      authorization: `Bearer ${server.secret}`,
    },
  });
  // What goes wrong later is told by the response.
  asked.on('error', () => undefined);
  const response = once(asked, 'response') as Promise<[IncomingMessage]>;
  if (input === undefined) asked.end(body);
  else void sendInput(asked, body, input);
  return (await response)[0];
}

/**
 * Sends arguments and what comes behind them, while the answer may have begun: a server that
 * refuses it early says so, and then nobody reads the rest.
 */
async function sendInput(
  asked: ClientRequest,
  body: Buffer,
  input: AsyncIterable<Uint8Array>,
): Promise<void> {
  const gone = once(asked, 'close').catch(() => undefined);
  try {
    asked.write(Buffer.concat([body, Buffer.from('\n')]));
    for await (const piece of input) {
      if (asked.destroyed) return;
      if (!asked.write(piece)) await Promise.race([once(asked, 'drain'), gone]);
    }
    asked.end();
  } catch (error) {
    // A file that cannot be read on: the server must not take what came for the whole.
    asked.destroy(error instanceof Error ? error : undefined);
  }
}

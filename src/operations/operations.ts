import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import { checkIndex } from '../search/index/index-check.ts';
import type { SearchEngine } from '../search/types.ts';
import type { SecretGuard } from '../secrets/guard.ts';
import type { Session, Sessions } from '../store/types.ts';
import type { IndexKeeper } from '../tools/index-keeper.ts';
import { linkedAt, linkedStoresOf } from '../tools/linked/linked-stores.ts';
import { findMoment, type NamedMoment, sessionAt } from '../tools/moments.ts';
import { readingTools, ToolRegistry } from '../tools/registry.ts';
import { exportArchive, exportArgs, importArchive, importArgs } from './archive.ts';
import { allowAgain, allowArgs, forget, forgetArgs } from './forget.ts';
import {
  allStores,
  linkArgs,
  linkStore,
  listStores,
  showArgs,
  showStore,
  unlinkArgs,
  unlinkStore,
} from './links.ts';
import { ingest, ingestArgs } from './ingest.ts';
import { move, moveArgs } from './move.ts';
import { listArgs, listEntries, readingTools as toolsFor } from './entry-list.ts';
import { pastWork, pastWorkArgs } from './past-work.ts';
import { pins, pinsArgs } from './pins.ts';
import { choiceArgs, chosenSession } from './session-choice.ts';
import { pushArgs, pushStores, sharedStore, storesElsewhere } from './shared-store.ts';
import {
  branch,
  branchArgs,
  linesArgs,
  restore,
  restoreArgs,
  sessionLines,
  snapshot,
  snapshotArgs,
} from './versions.ts';

/** What the operations work on. */
interface OperationParts {
  readonly sessions: Sessions;
  readonly search: SearchEngine;
  /** Brings the indexes of what is asked up to date; absent for a command, which asks and ends. */
  readonly indexes?: Pick<IndexKeeper, 'keep' | 'keeping'>;
  readonly clock: Clock;
  /** Absent where secrets stay as they are. */
  readonly secrets?: SecretGuard | undefined;
  /** Hears of each call of a tool, by the name that was given; absent where nobody counts. */
  readonly onToolCall?: ((name: string) => void) | undefined;
  /** What a server says of itself; absent where a command opens the stores. */
  readonly server?: ServerSide;
}

/**
 * Questions that only a running server can answer: it was perhaps started with other settings than
 * the command's.
 */
export interface ServerSide {
  /** Its settings, without secrets. */
  describe(): object;
  /** What its providers say, asked with its own keys. */
  checkProviders(signal: AbortSignal): Promise<readonly object[]>;
  /**
   * A code that lets one browser see the owner's page, and how long it is good, milliseconds.
   * @param use.isInArguments Whether it is going to stand in the arguments of a program
   */
  newPageCode(use: {
    readonly isInArguments: boolean;
  }): Promise<{ readonly code: string; readonly lifeMs: number }>;
}

/** One line of an operation's answer. */
type OperationLine = { readonly progress: unknown } | { readonly result: unknown };

/** Runs an operation; `body` is its arguments as JSON, `input` what it takes in beside them. */
export type RunOperation = (call: {
  readonly operation: string;
  readonly body: Buffer;
  readonly input?: AsyncIterable<Uint8Array> | undefined;
  readonly signal: AbortSignal;
}) => AsyncIterable<string>;

/** An operation that checks its own arguments. */
type Operation = (
  body: unknown,
  parts: OperationParts,
  signal: AbortSignal,
  input?: AsyncIterable<Uint8Array>,
) => AsyncIterable<OperationLine>;

/** Results for people and programs may be longer than those for a model, characters. */
const maxResultChars = 4_000_000;

/** A person can stop a search; until then it may take what it takes, milliseconds. */
const searchDeadlineMs = 600_000;

const registry = new ToolRegistry(readingTools);

/**
 * What the commands do to the stores, as a server offers it to them and as they do it themselves
 * where no server runs. Answers are JSON lines: any number of `progress`, one `result`.
 */
export function createOperations(parts: OperationParts): RunOperation {
  return async function* ({ operation, body, signal, input }) {
    const found = operations.get(operation);
    if (found === undefined) {
      throw new ProxyError('not_found', `There is no operation \`${operation}\`.`);
    }
    for await (const line of found(parseBody(body), parts, signal, input)) {
      yield `${JSON.stringify(line)}\n`;
    }
  };
}

/** @throws ProxyError `invalid_request` for arguments that do not fit */
function withArgs<Args>(
  schema: z.ZodType<Args>,
  run: (
    args: Args,
    parts: OperationParts,
    signal: AbortSignal,
    input?: AsyncIterable<Uint8Array>,
  ) => AsyncIterable<OperationLine>,
): Operation {
  return (body, parts, signal, input) => {
    const args = schema.safeParse(body);
    if (args.success) return run(args.data, parts, signal, input);
    throw new ProxyError('invalid_request', z.prettifyError(args.error).replaceAll('\n', ' '));
  };
}

/** Says who answers: a command makes sure by it that a process is the server it takes it for. */
const ping = withArgs(z.strictObject({}), async function* () {
  yield { result: { pid: process.pid } };
});

const toolArgs = z.strictObject({
  ...choiceArgs,
  /** A moment: the store as it was then is asked. */
  at: z.string().optional(),
  /** Whether every store of the machine can be reached, as if it were linked. */
  all: z.boolean().default(false),
  name: z.string(),
  arguments: z.record(z.string(), z.unknown()),
  /** `text`: as a model reads it, where the call says nothing else. */
  form: z.enum(['json', 'text']).default('json'),
  maxResultChars: z.int().min(1).max(maxResultChars).default(maxResultChars),
  /** Longest time for a search, milliseconds. */
  deadlineMs: z.int().min(1).max(searchDeadlineMs).default(searchDeadlineMs),
  /** Whether it says on its way what it does. */
  tells: z.boolean().default(false),
});

/** One of the model's reading tools. The result is `null` where nothing is stored yet. */
const tool = withArgs(toolArgs, async function* (asked, parts, signal) {
  const { name, arguments: toolArguments, at, all, form, tells, deadlineMs, ...others } = asked;
  const { maxResultChars: mostChars, ...choice } = others;
  const { sessions, indexes } = parts;
  const own = await chosenSession(sessions, choice);
  if (own !== undefined) indexes?.keep(own);
  const linkedSessions = indexes?.keeping(sessions) ?? sessions;
  const reached = all
    ? await allStores(sessions, own)
    : own && { session: own, linked: linkedStoresOf(linkedSessions, own) };
  if (reached === undefined) {
    yield { result: null };
    return;
  }
  const { session } = reached;
  const call = {
    id: 'command',
    type: 'function' as const,
    function: { name, arguments: JSON.stringify(toolArguments) },
  };
  const then = at === undefined ? undefined : momentOf(at, { ...reached, all }, parts);
  const context = {
    ...parts,
    ...reached,
    ...(then === undefined
      ? {}
      : {
          session: await sessionAt(session, then),
          linked: linkedAt(reached.linked, session, then),
        }),
    signal,
    searchDeadlineMs: deadlineMs,
    maxResultChars: mostChars,
    form,
  };
  if (tells) yield { progress: { text: registry.describe(call, context) } };
  parts.onToolCall?.(name);
  const text = await registry.run(call, context);
  const asOf = then === undefined ? {} : { as_of: { at: then.name, timeMs: then.timeMs } };
  const { id, directory } = session;
  // Only what is told of the store itself says whose it is beside.
  const shared =
    name === 'rlm_stats' ? (await parts.sessions.shared?.projects([id]))?.get(id) : undefined;
  yield { result: { session: id, directory, ...asOf, ...(shared && { shared }), text } };
});

/** @throws ProxyError `invalid_request` with what there is */
function momentOf(
  text: string,
  asked: { readonly session: Session; readonly storeName?: string; readonly all: boolean },
  { clock }: OperationParts,
): NamedMoment {
  const { session, storeName, all } = asked;
  const of = storeName === undefined ? session : undefined;
  const found = findMoment(text, of, clock.now(), { isOfOthers: all });
  if (found.ok) return found.at;
  throw new ProxyError('invalid_request', found.fault);
}

const listSessions = withArgs(z.strictObject({}), async function* (_, { sessions }) {
  yield { result: await listStores(sessions) };
});

const linkSession = withArgs(linkArgs, async function* (asked, parts) {
  yield { result: await linkStore(parts, asked) };
});

const unlinkSession = withArgs(unlinkArgs, async function* (asked, parts) {
  yield { result: await unlinkStore(parts, asked) };
});

const showSession = withArgs(showArgs, async function* (asked, { sessions }) {
  yield { result: await showStore(sessions, asked) };
});

const removeSession = withArgs(
  z.strictObject({
    session: z.string(),
    branches: z.enum(['keep', 'remove', 'detach']).default('keep'),
  }),
  async function* ({ session, branches }, { sessions }) {
    await sessions.remove(session, branches);
    yield { result: { removed: session } };
  },
);

const moveSession = withArgs(moveArgs, async function* (asked, { sessions }) {
  yield { result: await move(sessions, asked) };
});

const changePins = withArgs(pinsArgs, async function* (asked, parts) {
  yield { result: (await pins(asked, parts)) ?? null };
});

const makeRoom = withArgs(
  z.strictObject({ dryRun: z.boolean().default(false) }),
  async function* ({ dryRun }, { sessions }) {
    yield { result: { ...(await sessions.tidy({ isTrial: dryRun })), bounds: sessions.bounds } };
  },
);

const checkSession = withArgs(
  z.strictObject({ session: z.string(), deep: z.boolean().default(false) }),
  async function* ({ session, deep }, { sessions }) {
    if (!deep) {
      yield { result: await sessions.check(session) };
      return;
    }
    const check = sessions.checkDeeply(session);
    let step = await check.next();
    for (; step.done !== true; step = await check.next()) yield { progress: step.value };
    const health = step.value;
    // Of a store that cannot be opened, or is damaged, there is no table to compare an index with.
    const index =
      health.damage.length > 0
        ? undefined
        : await checkIndex(await (await sessions.byId(session)).store.snapshot());
    yield { result: { ...health, ...(index && { index }) } };
  },
);

const salvageSession = withArgs(
  z.strictObject({ session: z.string() }),
  async function* ({ session }, { sessions }) {
    const { session: saved, ...outcome } = await sessions.salvage(session);
    yield { result: { session: saved.id, directory: saved.directory, ...outcome } };
  },
);

const describeServer = withArgs(z.strictObject({}), async function* (_, { server }) {
  yield { result: server?.describe() ?? null };
});

const checkProviders = withArgs(z.strictObject({}), async function* (_, { server }, signal) {
  yield { result: (await server?.checkProviders(signal)) ?? [] };
});

const pageCode = withArgs(
  z.strictObject({ isInArguments: z.boolean() }),
  async function* (use, { server }) {
    yield { result: (await server?.newPageCode(use)) ?? null };
  },
);

const operations: ReadonlyMap<string, Operation> = new Map([
  ['gc', makeRoom],
  ['ping', ping],
  ['pins', changePins],
  ['server', describeServer],
  ['check-providers', checkProviders],
  ['page-code', pageCode],
  ['tool', tool],
  ['reading-tools', withArgs(z.strictObject(choiceArgs), toolsFor)],
  ['entries', withArgs(listArgs, listEntries)],
  ['ingest', withArgs(ingestArgs, ingest)],
  ['past-work', withArgs(pastWorkArgs, pastWork)],
  ['sessions', listSessions],
  ['show-session', showSession],
  ['link-session', linkSession],
  ['unlink-session', unlinkSession],
  ['remove-session', removeSession],
  ['move-session', moveSession],
  ['forget', withArgs(forgetArgs, forget)],
  ['allow-again', withArgs(allowArgs, allowAgain)],
  ['snapshot', withArgs(snapshotArgs, snapshot)],
  ['session-lines', withArgs(linesArgs, sessionLines)],
  ['branch-session', withArgs(branchArgs, branch)],
  ['restore-session', withArgs(restoreArgs, restore)],
  ['check-session', checkSession],
  ['salvage-session', salvageSession],
  ['export', withArgs(exportArgs, exportArchive)],
  ['import', withArgs(importArgs, importArchive)],
  ['shared-store', withArgs(z.strictObject({}), sharedStore)],
  ['stores-elsewhere', withArgs(z.strictObject({}), storesElsewhere)],
  ['push-stores', withArgs(pushArgs, pushStores)],
]);

function parseBody(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch (error) {
    throw new ProxyError('invalid_request', 'The body is not JSON.', { cause: error });
  }
}

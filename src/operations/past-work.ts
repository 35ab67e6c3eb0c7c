import { z } from 'zod';
import { claudeCode } from '../clients/claude-code.ts';
import type { ClientKind } from '../clients/client.ts';
import { codex } from '../clients/codex.ts';
import { openCode } from '../clients/opencode.ts';
import { ownFoldersIn } from '../clients/spill-file.ts';
import { ProxyError } from '../errors.ts';
import { claudeCodeHistory } from '../past/claude-code.ts';
import { codexHistory } from '../past/codex.ts';
import { openCodeHistory } from '../past/opencode.ts';
import { type ReadHistory, reasonOf } from '../past/past-session.ts';
import { type PastCounts, takePast } from '../past/take-past.ts';
import type { SearchEngine } from '../search/types.ts';
import type { SecretGuard } from '../secrets/guard.ts';
import type { Session, Sessions } from '../store/types.ts';
import { indexed } from './indexed.ts';
import { LatestProgress } from './latest-progress.ts';

const absolute = z.string().startsWith('/');

/** Whose history to take in, and into which stores. */
export const pastWorkArgs = z.strictObject({
  from: z.enum(['opencode', 'claude-code', 'codex']),
  /** The client's own folder. */
  folder: absolute,
  /** Base directories below which clients save whole outputs. */
  bases: z.strictObject({ data: absolute, home: absolute, temp: absolute }),
  /** Variables of the client that move them. */
  variables: z.record(z.string(), absolute).default({}),
  /** Conversations of this directory; without it, of all. */
  directory: absolute.optional(),
  isDry: z.boolean().default(false),
});

const histories: Readonly<
  Record<
    z.infer<typeof pastWorkArgs>['from'],
    { readonly client: ClientKind; readonly read: ReadHistory }
  >
> = {
  opencode: { client: openCode, read: openCodeHistory },
  'claude-code': { client: claudeCode, read: claudeCodeHistory },
  codex: { client: codex, read: codexHistory },
};

/**
 * Takes a client's history into the stores of its directories and indexes them. Yields how far it
 * is, then the report.
 * @throws ProxyError `invalid_request` where there is no history; as `takePast`
 */
export async function* pastWork(
  asked: z.infer<typeof pastWorkArgs>,
  {
    sessions,
    search,
    secrets,
  }: {
    readonly sessions: Sessions;
    readonly search: SearchEngine;
    readonly secrets?: SecretGuard | undefined;
  },
  signal: AbortSignal,
): AsyncGenerator<{ readonly progress: unknown } | { readonly result: unknown }> {
  const { client, read } = histories[asked.from];
  const { folder, directory, isDry } = asked;
  const touched = new Map<string, Session>();
  const progress = new LatestProgress<PastCounts>();
  const work = takePast({
    client,
    sessions: read({ folder, signal }),
    ...(directory === undefined ? {} : { directory }),
    isDry,
    signal,
    secrets,
    ownFolders: ownFoldersIn(asked.bases, asked.variables),
    storeOf: async (name, options) => {
      const session = await sessions.forDirectory(name, options);
      if (session !== undefined) touched.set(session.id, session);
      return session;
    },
    onProgress: progress.tell,
  });
  try {
    yield* progress.during(work);
    const report = await done(work, `The history of ${client.name} in ${folder} cannot be read`);
    let indexFault: string | undefined;
    if (!isDry)
      for (const { store } of touched.values()) indexFault ??= await indexed(search, store, signal);
    yield { result: { ...report, name: client.name, folder, ...(indexFault && { indexFault }) } };
  } finally {
    // Whoever stops listening has aborted the signal; the work must be over before the stores are
    // anybody else's.
    await Promise.allSettled([work]);
  }
}

async function done<Result>(work: Promise<Result>, words: string): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof ProxyError || typeof (error as { code?: unknown }).code !== 'string')
      throw error;
    throw new ProxyError('invalid_request', `${words}: ${reasonOf(error)}.`, {
      cause: error,
      hint: 'Where it lies elsewhere, name the folder: --history FOLDER.',
    });
  }
}

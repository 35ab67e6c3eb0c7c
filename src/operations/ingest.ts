import { createReadStream } from 'node:fs';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import { ingestPaths } from '../ingest/ingest.ts';
import type { IngestProgress } from '../ingest/progress.ts';
import type { SearchEngine } from '../search/types.ts';
import type { SecretGuard } from '../secrets/guard.ts';
import type { Session, Sessions } from '../store/types.ts';
import { choiceArgs, chosenSession, type SessionChoice } from './session-choice.ts';

/** What to take in, and into whose store. */
export const ingestArgs = z.strictObject({
  ...choiceArgs,
  paths: z.array(z.string().min(1)).min(1),
  /** What relative paths are relative to; absolute. */
  workingDirectory: z.string().startsWith('/'),
  respectIgnore: z.boolean().default(true),
  /**
   * A file with what the path `-` stands for: the command's standard input does not reach the
   * server.
   */
  stdinFile: z.string().startsWith('/').optional(),
});

/**
 * Takes files into a session, made if it is not there, and indexes it. Yields how far it is, then
 * the report.
 * @throws ProxyError as `ingestPaths`
 */
export async function* ingest(
  asked: z.infer<typeof ingestArgs>,
  parts: {
    readonly sessions: Sessions;
    readonly search: SearchEngine;
    readonly clock: Clock;
    readonly secrets?: SecretGuard | undefined;
  },
  signal: AbortSignal,
): AsyncGenerator<{ readonly progress: unknown } | { readonly result: unknown }> {
  const session = await openFor(parts.sessions, asked);
  let latest: IngestProgress | undefined;
  let news = Promise.withResolvers<void>();
  let isDone = false;
  const work = ingestPaths(session, asked.paths, {
    clock: parts.clock,
    workingDirectory: asked.workingDirectory,
    signal,
    secrets: parts.secrets,
    respectIgnore: asked.respectIgnore,
    ...(asked.stdinFile === undefined ? {} : { stdin: createReadStream(asked.stdinFile) }),
    onProgress: (progress) => {
      latest = progress;
      news.resolve();
    },
  }).finally(() => {
    isDone = true;
    news.resolve();
  });
  try {
    for (;;) {
      await news.promise;
      news = Promise.withResolvers();
      if (latest !== undefined) yield { progress: latest };
      latest = undefined;
      if (isDone) break;
    }
    const report = await work;
    await parts.search.index(await session.store.snapshot(), signal);
    yield { result: { session: session.id, directory: session.directory, ...report } };
  } finally {
    // Whoever stops listening has aborted the signal; the work must be over before the session is
    // anybody else's.
    await Promise.allSettled([work]);
  }
}

/**
 * The session that a reading command would find; where there is none, a new one of the directory
 * itself.
 */
async function openFor(sessions: Sessions, choice: SessionChoice): Promise<Session> {
  const found = await chosenSession(sessions, choice);
  if (found !== undefined) return found;
  const made =
    choice.directory === undefined
      ? undefined
      : await sessions.forDirectory(choice.directory, { create: true });
  if (made !== undefined) return made;
  throw new ProxyError('invalid_request', 'Say which directory or session is meant.');
}

import { createReadStream } from 'node:fs';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import { findPaths, ingestFound, nothingIngested, type IngestOptions } from '../ingest/ingest.ts';
import type { IngestProgress } from '../ingest/progress.ts';
import type { SearchEngine } from '../search/types.ts';
import type { SecretGuard } from '../secrets/guard.ts';
import type { Session, Sessions } from '../store/types.ts';
import { indexed } from './indexed.ts';
import { LatestProgress } from './latest-progress.ts';
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
 * Takes files into a session, made if it is not there and anything is to be taken in, and indexes
 * it. Yields how far it is, then the report.
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
  const progress = new LatestProgress<IngestProgress>();
  const options: IngestOptions = {
    clock: parts.clock,
    workingDirectory: asked.workingDirectory,
    signal,
    secrets: parts.secrets,
    respectIgnore: asked.respectIgnore,
    ...(asked.stdinFile === undefined ? {} : { stdin: createReadStream(asked.stdinFile) }),
    onProgress: progress.tell,
  };
  const found = await findPaths(asked.paths, options);
  const session = await openFor(parts.sessions, asked, {
    create: found.files.length > 0 || found.hasStdin,
  });
  if (session === undefined) {
    yield { result: { directory: asked.directory, ...nothingIngested(found) } };
    return;
  }
  const work = ingestFound(session, found, options);
  try {
    yield* progress.during(work);
    const report = await work;
    const indexFault = await indexed(parts.search, session.store, signal);
    const { id, directory } = session;
    yield { result: { session: id, directory, ...report, ...(indexFault && { indexFault }) } };
  } finally {
    // Whoever stops listening has aborted the signal; the work must be over before the session is
    // anybody else's.
    await Promise.allSettled([work]);
  }
}

/**
 * The session that a reading command would find; where there is none, and one is to be made, a new
 * one of the directory itself.
 */
async function openFor(
  sessions: Sessions,
  choice: SessionChoice,
  options: { readonly create: boolean },
): Promise<Session | undefined> {
  const found = await chosenSession(sessions, choice);
  if (found !== undefined) return found;
  if (choice.directory === undefined)
    throw new ProxyError('invalid_request', 'Say which directory or session is meant.');
  return options.create ? sessions.forDirectory(choice.directory, options) : undefined;
}

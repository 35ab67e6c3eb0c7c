import { dirname } from 'node:path';
import { z } from 'zod';
import { ProxyError } from '../errors.ts';
import type { Session, Sessions } from '../store/types.ts';

/** Which store a command means. */
export const choiceArgs = {
  session: z.string().min(1).optional(),
  /** As a store is called that machines share. */
  project: z.string().min(1).optional(),
  /** Absolute. */
  directory: z.string().min(1).optional(),
  /**
   * Whether a directory above may answer for one that has no store: for commands that read, run
   * somewhere inside a project.
   */
  climb: z.boolean().default(false),
};

/** {@link choiceArgs}, checked. */
export interface SessionChoice {
  readonly session?: string | undefined;
  readonly project?: string | undefined;
  readonly directory?: string | undefined;
  readonly climb: boolean;
}

/**
 * The chosen session, if there is one; one that is not on this machine yet is fetched. @throws
 * ProxyError `unknown_session` for an id that does not exist; `invalid_request` for a project where
 * no store is shared
 */
export async function chosenSession(
  sessions: Sessions,
  choice: SessionChoice,
): Promise<Session | undefined> {
  if (choice.session !== undefined) return sessions.byId(choice.session);
  if (choice.project !== undefined) {
    if (sessions.forProject !== undefined)
      return sessions.forProject(choice.project, { create: false });
    throw new ProxyError(
      'invalid_request',
      'Projects have names where their stores are shared, and no shared store is set.',
      { hint: 'Say --directory or --session, or set RLM_STORE_URL (docs/team.md).' },
    );
  }
  for (let directory = choice.directory; directory !== undefined;) {
    const session = await sessions.forDirectory(directory, { create: false });
    const above = dirname(directory);
    if (session !== undefined || !choice.climb || above === directory) return session;
    directory = above;
  }
  return undefined;
}

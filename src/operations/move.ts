import { z } from 'zod';
import { ProxyError } from '../errors.ts';
import { isSessionId, unknownSession } from '../store/disk/session-paths.ts';
import type { MovedSession, Sessions } from '../store/types.ts';
import { nearestNames } from '../tools/nearest.ts';

/** So many directories are named where the one that is asked for has no store. */
const maxNamed = 3;

/** Which store is to go where. */
export const moveArgs = z.strictObject({
  /** A session id, or the directory that has it in every spelling it may be known by. */
  from: z.array(z.string().min(1)).min(1),
  /** Absolute. */
  to: z.string().min(1),
  /** Whether a store of texts that `to` has is put aside. */
  replace: z.boolean().default(false),
});

/**
 * Gives a store to another directory. @throws ProxyError as `Sessions.move`, and `unknown_session`
 * with the directories that are most like the one that has none
 */
export async function move(
  sessions: Sessions,
  { from, to, replace }: z.infer<typeof moveArgs>,
): Promise<MovedSession> {
  const listed = await sessions.list();
  const isMeant = ({ id, directory }: (typeof listed)[number]): boolean =>
    from.includes(id) || (directory !== undefined && from.includes(directory));
  const found = listed.find(isMeant);
  if (found !== undefined) return sessions.move(found.id, to, { replace });
  const [asked = ''] = from;
  if (isSessionId(asked)) {
    // One that others share with this machine may not be here yet.
    if (sessions.shared !== undefined) return sessions.move(asked, to, { replace });
    throw unknownSession(asked);
  }
  const directories = listed.flatMap(({ directory }) => directory ?? []);
  const near = nearestNames(asked, directories, maxNamed);
  throw new ProxyError('unknown_session', `There is no store of ${asked}.`, {
    hint:
      near.length === 0
        ? 'Nothing is stored yet for any directory.'
        : `The nearest there are: ${near.join(', ')}. \`rlm-opencode sessions\` lists all.`,
  });
}

import { ProxyError } from '../errors.ts';
import type { BaseRange, Session, Sessions, Totals } from '../store/types.ts';
import { snapshotsOf } from '../tools/moments.ts';

type Listed = Awaited<ReturnType<Sessions['list']>>[number];

/** A session of a line: sessions that go on from each other. */
export interface LineMember {
  readonly id: string;
  /** The directory that has it now. */
  readonly directory?: string;
  /** The one that had it until another was restored. */
  readonly earlierDirectory?: string;
  /** Its own name, where people gave it one. */
  readonly name?: string;
  readonly createdMs: number;
  readonly updatedMs: number;
  readonly totals: Totals;
  /** Different conversations whose texts it holds. */
  readonly chats?: number;
  /** What it goes on from, and how much of that it holds. */
  readonly from?: { readonly session: string; readonly entries: number };
  /** Moments with names that were taken of it, oldest first. */
  readonly snapshots: readonly LineSnapshot[];
  /** Why it cannot be read. */
  readonly damage?: string;
}

/** A moment with a name. */
interface LineSnapshot {
  readonly name: string;
  readonly timeMs: number;
  readonly entries: number;
  readonly chars: number;
}

/**
 * All sessions that are related to one by what they go on from, without copies that are only there
 * to be read. @throws ProxyError `unknown_session`
 */
export async function lineOf(
  sessionId: string,
  sessions: Sessions,
): Promise<readonly LineMember[]> {
  const listed = await sessions.list();
  const byId = new Map(listed.map((one) => [one.id, one]));
  const ids = related(sessionId, listed);
  const opened = new Map<string, Session | string>();
  for (const id of ids) opened.set(id, await openedOrWhy(id, sessions));
  const members = [];
  for (const id of ids) {
    const one = byId.get(id);
    if (one !== undefined && one.copyOf === undefined) members.push(memberOf(one, byId, opened));
  }
  return members.toSorted((a, b) => a.createdMs - b.createdMs);
}

/** The sessions that are linked by bases, whichever way. */
function related(sessionId: string, listed: readonly Listed[]): ReadonlySet<string> {
  const near = new Map<string, string[]>();
  const join = (a: string, b: string): void => {
    near.set(a, [...(near.get(a) ?? []), b]);
    near.set(b, [...(near.get(b) ?? []), a]);
  };
  for (const { id, bases = [], copyOf = [] } of listed)
    for (const range of [...bases, ...copyOf]) join(id, range.sessionId);
  const found = new Set([sessionId]);
  for (const id of found) for (const other of near.get(id) ?? []) found.add(other);
  return found;
}

async function openedOrWhy(id: string, sessions: Sessions): Promise<Session | string> {
  try {
    return await sessions.byId(id);
  } catch (error) {
    if (error instanceof ProxyError) return error.message;
    throw error;
  }
}

function memberOf(
  one: Listed,
  byId: ReadonlyMap<string, Listed>,
  opened: ReadonlyMap<string, Session | string>,
): LineMember {
  const { id, directory, earlierDirectory, createdMs, updatedMs, totals } = one;
  const session = opened.get(id);
  const from = originOf(one, byId);
  const before = from === undefined ? undefined : opened.get(from.session);
  const known = typeof before === 'object' ? snapshotsOf(before) : [];
  const facts = {
    id,
    ...(directory === undefined ? {} : { directory }),
    ...(earlierDirectory === undefined ? {} : { earlierDirectory }),
    createdMs,
    updatedMs,
    totals,
    ...(from === undefined ? {} : { from }),
  };
  if (typeof session !== 'object')
    return { ...facts, snapshots: [], damage: one.damage ?? session ?? 'it cannot be opened' };
  const name = ownNameOf(session);
  // Those that a branch has taken over are shown where they were taken.
  const own = snapshotsOf(session).filter(
    (taken) => !known.some((other) => other.name === taken.name && other.timeMs === taken.timeMs),
  );
  return {
    ...facts,
    totals: session.store.totals,
    ...(name === undefined ? {} : { name }),
    chats: chatsIn(session),
    snapshots: own.map(({ name: called, timeMs, ranges }) => {
      const { entries = 0, chars = 0 } = ranges.at(-1)?.end ?? {};
      return { name: called, timeMs, entries, chars };
    }),
  };
}

/** The session that a branch was made from, or the nearest before it that is still there. */
function originOf(
  { bases = [] }: Listed,
  byId: ReadonlyMap<string, Listed>,
): LineMember['from'] | undefined {
  const ranges = (all: readonly BaseRange[]): readonly BaseRange[] =>
    all.flatMap((range) => {
      const { copyOf } = byId.get(range.sessionId) ?? {};
      return copyOf === undefined ? [range] : ranges(copyOf);
    });
  const found = ranges(bases).findLast((range) => byId.has(range.sessionId));
  return found === undefined ? undefined : { session: found.sessionId, entries: found.end.entries };
}

function chatsIn({ store }: Session): number {
  const chats = new Set(store.entries.map(({ chatId }) => chatId));
  chats.delete(undefined);
  return chats.size;
}

/** What people have called a session, if they have. */
function ownNameOf({ events }: Session): string | undefined {
  return events.all.findLast((event) => event.type === 'name')?.name;
}

import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import { pinnedIn } from '../store/session/pins.ts';
import type { Entry, Session, Sessions } from '../store/types.ts';
import { chooseEntries, findEntry } from '../tools/entry-choice.ts';
import { titleOf } from '../tools/entry-title.ts';
import { choiceArgs, chosenSession } from './session-choice.ts';

/** Which texts of which store are meant; with nothing named those that are pinned are listed. */
export const pinsArgs = z.strictObject({
  ...choiceArgs,
  change: z.enum(['pin', 'unpin']).optional(),
  /** Ids, numbers, or paths that one entry has. */
  entries: z.array(z.string().min(1)).default([]),
  tool: z.string().min(1).optional(),
  path: z.string().min(1).optional(),
});

/** A pinned text. */
interface PinnedText {
  /** `e42` */
  readonly entry: string;
  readonly title: string;
  readonly chars: number;
  /** It was pinned and is gone all the same: a person had it forgotten. */
  readonly isGone?: true;
}

/** What is pinned in a store. */
export interface Pins {
  readonly session: string;
  readonly directory?: string | undefined;
  /** Ids of entries that this call has pinned, or unpinned. */
  readonly changed: readonly string[];
  readonly pinned: readonly PinnedText[];
}

/**
 * Pins texts of a store, unpins them, or lists those that are pinned; undefined where there is no
 * store. @throws ProxyError `invalid_request` where nothing fits, `unknown_session`, `store_full`
 */
export async function pins(
  args: z.infer<typeof pinsArgs>,
  { sessions, clock }: { readonly sessions: Sessions; readonly clock: Clock },
): Promise<Pins | undefined> {
  const { change, entries, tool, path, ...choice } = args;
  const session = await chosenSession(sessions, choice);
  if (session === undefined) return undefined;
  const before = pinnedIn(session.events.all);
  const changed =
    change === undefined
      ? []
      : meantBy(session, { entries, tool, path }, clock.now()).filter(
          ({ seq }) => before.has(seq) === (change === 'unpin'),
        );
  if (change !== undefined && changed.length > 0) {
    const whole = changed.map(({ seq }) => seq);
    await session.events.add({ type: change, timeMs: clock.now(), whole });
  }
  const pinned: PinnedText[] = [];
  for (const seq of pinnedIn(session.events.all)) {
    const entry = session.store.entries[seq - 1];
    if (entry !== undefined) pinned.push(await told(session, entry));
  }
  const { id, directory } = session;
  return { session: id, directory, changed: changed.map((entry) => entry.id), pinned };
}

async function told({ store }: Session, entry: Entry): Promise<PinnedText> {
  const isGone = entry.forgotten !== undefined;
  return {
    entry: entry.id,
    title: isGone ? '' : await titleOf(store, entry),
    chars: entry.lengthChars,
    ...(isGone ? { isGone } : {}),
  };
}

/** The named entries, and of those that tool and path leave all; oldest first. */
function meantBy(
  { store }: Session,
  { entries, tool, path }: Pick<z.infer<typeof pinsArgs>, 'entries' | 'tool' | 'path'>,
  nowMs: number,
): readonly Entry[] {
  const meant = new Set<Entry>();
  for (const name of entries) {
    const found = findEntry(store, name);
    if (!found.ok) throw new ProxyError('invalid_request', found.fault);
    meant.add(found.entry);
  }
  const chosen = chooseEntries(store, { tool, path }, nowMs);
  if (!chosen.ok) throw new ProxyError('invalid_request', chosen.fault);
  for (const entry of chosen.entries ?? []) if (entry.forgotten === undefined) meant.add(entry);
  if (meant.size === 0)
    throw new ProxyError('invalid_request', 'Which entries? Name some, or give --tool or --path.');
  return [...meant].toSorted((a, b) => a.seq - b.seq);
}

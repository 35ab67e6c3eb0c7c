import { ProxyError } from '../../errors.ts';
import { linksOf } from '../../store/session/links.ts';
import type { Session, Sessions, StoreEvent, StoreLink } from '../../store/types.ts';
import type { NamedMoment } from '../moments.ts';
import { onOneLine } from '../result-form.ts';
import { linkedView } from './linked-view.ts';

/** A linked store, opened; or a sentence why it cannot be read. */
type OpenedStore =
  | { readonly ok: true; readonly session: Session }
  | { readonly ok: false; readonly fault: string };

/** The other stores that one reads. One level deep: their links are their own. */
export interface LinkedStores {
  /** In the order in which they were linked. */
  readonly names: readonly string[];
  /** The store of one of the names; the ids of its entries bear it: `api:e7`. */
  open(name: string): Promise<OpenedStore>;
  /** Its project directory, as far as it is known. */
  directoryOf(name: string): string | undefined;
  /** Of a moment: the links that are not followed. Empty where the stores of today are meant. */
  readonly unread: readonly UnreadLink[];
  /** The stores that were linked at a time, milliseconds since 1970, as each of them was then. */
  at(timeMs: number): LinkedStores;
}

/** A link that a question of the past does not follow. */
interface UnreadLink {
  readonly name: string;
  /** A sentence. */
  readonly why: string;
  /** Its store was read then: without it an answer of that moment is not whole. */
  readonly isMissing: boolean;
}

/** A store under a name. */
export interface NamedStore {
  readonly name: string;
  readonly sessionId: string;
  readonly directory?: string | undefined;
}

/**
 * The stores that a session is linked to, as they are now; undefined where there are none. What
 * people link or unlink in the middle of a chat holds from its next call on.
 */
export function linkedStoresOf(
  sessions: Pick<Sessions, 'byId'>,
  { id, directory, events }: Pick<Session, 'id' | 'directory' | 'events'>,
): LinkedStores | undefined {
  const links = linksOf(events.all);
  if (links.length === 0) return undefined;
  const whose = onOneLine(directory ?? id, 200);
  const repairOf = (name: string): string => `rlm-opencode sessions unlink ${whose} ${name}`;
  return {
    ...storesByName(sessions, links.map(namedStore), { repairOf }),
    at: (timeMs) => {
      const { stores, unread } = linksAt(events.all, timeMs);
      return { ...storesByName(sessions, stores, { repairOf, timeMs }), unread };
    },
  };
}

/**
 * The stores that a session could read at a moment, as they were then: those that it was linked to,
 * and that people let it read to this day. The moment is a time for them, whatever it is for the
 * session itself. Undefined where there is nothing to be said of any.
 */
export function linkedAt(
  linked: LinkedStores | undefined,
  { events }: Pick<Session, 'events'>,
  { moment, timeMs }: NamedMoment,
): LinkedStores | undefined {
  if ('seq' in moment && moment.seq === Infinity) return linked;
  if (linked !== undefined) return linked.at(timeMs);
  // No store is linked any more; some may have been.
  const { unread } = linksAt(events.all, timeMs);
  return unread.length === 0 ? undefined : { ...noStores, unread };
}

/** Which links are followed for a moment, and why others are not. */
function linksAt(
  events: readonly StoreEvent[],
  timeMs: number,
): { readonly stores: readonly NamedStore[]; readonly unread: readonly UnreadLink[] } {
  const ofLinks = events.filter(({ type }) => type === 'link' || type === 'unlink');
  const later = ofLinks.findIndex((event) => event.timeMs > timeMs);
  const then = linksOf(later === -1 ? ofLinks : ofLinks.slice(0, later)).map(namedStore);
  const now = linksOf(ofLinks).map(namedStore);
  const isIn = (links: readonly NamedStore[], { sessionId }: NamedStore): boolean =>
    links.some((link) => link.sessionId === sessionId);
  return {
    stores: then.filter((link) => isIn(now, link)),
    unread: [
      ...then
        .filter((link) => !isIn(now, link))
        .map((link) => ({
          name: link.name,
          why: `The store ${shownName(link)} was linked at that moment and is not any more: it is not read.`,
          isMissing: true,
        })),
      ...now
        .filter((link) => !isIn(then, link))
        .map((link) => ({
          name: link.name,
          why: `The store ${shownName(link)} was not linked at that moment yet: it is not read.`,
          isMissing: false,
        })),
    ],
  };
}

function namedStore({ as, sessionId, directory }: StoreLink): NamedStore {
  return { name: as, sessionId, directory };
}

/**
 * Stores under names of their own, as they are, or as they were at a time (milliseconds since
 * 1970). @param how.repairOf The command that helps where the store of a name is gone
 */
export function storesByName(
  sessions: Pick<Sessions, 'byId'>,
  stores: readonly NamedStore[],
  how: {
    readonly repairOf?: (name: string) => string;
    readonly timeMs?: number;
  } = {},
): LinkedStores {
  const byName = new Map(stores.map((store) => [store.name, store]));
  const { repairOf, timeMs } = how;
  return {
    names: [...byName.keys()],
    directoryOf: (name) => byName.get(name)?.directory,
    open: async (name) => {
      const named = byName.get(name);
      if (named === undefined) return { ok: false, fault: `No store is linked as ${name}.` };
      try {
        const session = await sessions.byId(named.sessionId);
        const store = timeMs === undefined ? session.store : await session.store.at({ timeMs });
        return { ok: true, session: { ...plain(session), store: linkedView(store, name) } };
      } catch (error) {
        if (!(error instanceof ProxyError)) throw error;
        return { ok: false, fault: faultOf(named, error, repairOf?.(name)) };
      }
    },
    unread: [],
    at: (time) => storesByName(sessions, stores, { ...how, timeMs: time }),
  };
}

const noStores: LinkedStores = {
  names: [],
  directoryOf: () => undefined,
  open: async (name) => ({ ok: false, fault: `No store is linked as ${name}.` }),
  unread: [],
  at: () => noStores,
};

/** A session's own members, whatever class it is of. */
function plain({ id, directory, createdMs, store, memory, events }: Session): Session {
  return { id, directory, createdMs, store, memory, events };
}

function faultOf(named: NamedStore, error: ProxyError, repair: string | undefined): string {
  const what = shownName(named);
  if (error.code !== 'unknown_session')
    return `The linked store ${what} cannot be read: ${error.message}`;
  const help = repair === undefined ? '' : ` A person can end the link with \`${repair}\`.`;
  return `The linked store ${what} was deleted: nothing of it can be read any more.${help}`;
}

function shownName({ name, sessionId, directory }: NamedStore): string {
  return `${name} (${onOneLine(directory ?? sessionId, 200)})`;
}

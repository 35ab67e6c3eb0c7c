import { ProxyError } from '../../errors.ts';
import { linksOf } from '../../store/session/links.ts';
import type { Session, Sessions } from '../../store/types.ts';
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
  const stores = links.map((link) => ({
    name: link.as,
    sessionId: link.sessionId,
    directory: link.directory,
  }));
  const whose = onOneLine(directory ?? id, 200);
  return storesByName(sessions, stores, (name) => `rlm-opencode sessions unlink ${whose} ${name}`);
}

/**
 * Stores under names of their own. @param repairOf The command that helps where the store of a name
 * is gone
 */
export function storesByName(
  sessions: Pick<Sessions, 'byId'>,
  stores: readonly NamedStore[],
  repairOf?: (name: string) => string,
): LinkedStores {
  const byName = new Map(stores.map((store) => [store.name, store]));
  return {
    names: [...byName.keys()],
    directoryOf: (name) => byName.get(name)?.directory,
    open: async (name) => {
      const named = byName.get(name);
      if (named === undefined) return { ok: false, fault: `No store is linked as ${name}.` };
      try {
        const session = await sessions.byId(named.sessionId);
        return { ok: true, session: { ...plain(session), store: linkedView(session.store, name) } };
      } catch (error) {
        if (!(error instanceof ProxyError)) throw error;
        return { ok: false, fault: faultOf(named, error, repairOf?.(name)) };
      }
    },
  };
}

/** A session's own members, whatever class it is of. */
function plain({ id, directory, createdMs, store, memory, events }: Session): Session {
  return { id, directory, createdMs, store, memory, events };
}

function faultOf(
  { name, sessionId, directory }: NamedStore,
  error: ProxyError,
  repair: string | undefined,
): string {
  const what = `${name} (${onOneLine(directory ?? sessionId, 200)})`;
  if (error.code !== 'unknown_session')
    return `The linked store ${what} cannot be read: ${error.message}`;
  const help = repair === undefined ? '' : ` A person can end the link with \`${repair}\`.`;
  return `The linked store ${what} was deleted: nothing of it can be read any more.${help}`;
}

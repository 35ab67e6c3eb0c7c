import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import type { PageHandler } from '../http/handlers.ts';
import type { Logger } from '../log.ts';
import type { SearchEngine } from '../search/types.ts';
import type { Entry, Session, Sessions } from '../store/types.ts';
import { entriesPage, entryDetail } from './entry-views.ts';
import { linesPage } from './entry-lines.ts';
import { LiveEvents } from './live-events.ts';
import type { LiveTurns } from './live-turns.ts';
import type { ServerView } from './page-protocol.ts';
import { SessionViews } from './session-views.ts';
import { type PageSearch, PageSearches } from './page-searches.ts';

/** Most entries, or lines, of one answer. */
const maxCount = 1_000;
/** Most hits of one answer: each has its lines around. */
const maxHits = 200;

/** What the page shows things of. */
export interface OwnerPageParts {
  readonly sessions: Sessions;
  readonly search: SearchEngine;
  readonly turns: LiveTurns;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** What is to be said of the server. */
  readonly server: () => ServerView;
}

/** What the owner's page is told: see `page-protocol.ts`. Reads, and changes nothing. */
export class OwnerPage implements Pick<PageHandler, 'read' | 'events'> {
  readonly #parts: OwnerPageParts;
  readonly #views: SessionViews;
  readonly #search: PageSearches;
  readonly #events: LiveEvents;

  constructor(parts: OwnerPageParts) {
    this.#parts = parts;
    this.#views = new SessionViews(parts);
    this.#search = new PageSearches(parts);
    this.#events = new LiveEvents({ ...parts, sessions: async () => this.#views.list() });
  }

  async read({ path, query, signal }: Parameters<PageHandler['read']>[0]): Promise<object> {
    const parts = path.split('/');
    if (parts[0] !== 'sessions') throw nothingAt(path);
    const [, sessionId, kind, entryId, lines, ...more] = parts;
    if (sessionId === undefined) return this.#views.list();
    if (kind === 'search' && entryId === undefined)
      return this.#search.page(await this.#session(sessionId), searchIn(query), signal);
    if (kind !== 'entries' || more.length > 0) throw nothingAt(path);
    const { store } = await this.#session(sessionId);
    if (entryId === undefined)
      return entriesPage(store, {
        from: wholeNumber(query, 'from', { min: 0 }),
        count: wholeNumber(query, 'count', { min: 1, max: maxCount }),
      });
    const entry = knownEntry(store.entry(entryId), entryId);
    if (lines === undefined) return entryDetail(store, entry);
    if (lines !== 'lines') throw nothingAt(path);
    return linesPage(store, entry, {
      from: wholeNumber(query, 'from', { min: 1 }),
      count: wholeNumber(query, 'count', { min: 1, max: maxCount }),
    });
  }

  events(signal: AbortSignal): AsyncGenerator<string | Uint8Array> {
    return this.#events.open(signal);
  }

  /**
   * A store as it is here. Where machines share stores, only those of which something is here:
   * looking at a page fetches none. @throws ProxyError `unknown_session`
   */
  async #session(id: string): Promise<Session> {
    const { sessions } = this.#parts;
    if (sessions.shared !== undefined) {
      const isHere = (await this.#views.list()).some((view) => view.id === id);
      if (!isHere) throw new ProxyError('unknown_session', 'There is no such session here.');
    }
    return sessions.byId(id);
  }
}

function knownEntry(entry: Entry | undefined, id: string): Entry {
  if (entry !== undefined) return entry;
  throw new ProxyError('not_found', `There is no entry ${JSON.stringify(id.slice(0, 64))}.`);
}

/** @throws ProxyError `invalid_request` */
function searchIn(
  query: URLSearchParams,
): PageSearch & { readonly from: number; readonly count: number } {
  const text = query.get('query') ?? '';
  if (text === '') throw new ProxyError('invalid_request', '`query` is what to look for.');
  return {
    query: text,
    isRegex: isSet(query, 'regex'),
    isCaseSensitive: isSet(query, 'caseSensitive'),
    from: wholeNumber(query, 'from', { min: 0 }),
    count: wholeNumber(query, 'count', { min: 1, max: maxHits }),
  };
}

/** @throws ProxyError `invalid_request` */
function isSet(query: URLSearchParams, name: string): boolean {
  const text = query.get(name) ?? 'false';
  if (text === 'true' || text === 'false') return text === 'true';
  throw new ProxyError('invalid_request', `\`${name}\` is true or false.`);
}

/** @throws ProxyError `invalid_request` for anything but a whole number in its bounds */
function wholeNumber(
  query: URLSearchParams,
  name: string,
  { min, max = Number.MAX_SAFE_INTEGER }: { readonly min: number; readonly max?: number },
): number {
  const text = query.get(name) ?? '';
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  const bounds = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`;
  throw new ProxyError('invalid_request', `\`${name}\` must be a whole number ${bounds}.`);
}

function nothingAt(path: string): ProxyError {
  return new ProxyError(
    'not_found',
    `The page has nothing at ${JSON.stringify(path.slice(0, 200))}.`,
  );
}

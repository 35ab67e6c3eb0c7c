import type { SessionView } from '../../page-protocol.ts';
import { agoText, bytesText, countOf, shortCountText } from '../model/figures-text.ts';
import type { PageRoute, SearchWish } from '../model/route.ts';
import { EntryList } from './entry-list.tsx';
import { goTo, useNow } from './hooks.ts';
import { SearchForm } from './search-form.tsx';
import { SearchResults } from './search-results.tsx';
import { SessionName } from './sessions.tsx';
import { StoredText } from './stored-text.tsx';

/** One project: its entries, or what a search has found in them. */
export function SessionPage({
  route,
  sessions,
}: {
  readonly route: Extract<PageRoute, { at: 'session' }>;
  readonly sessions: readonly SessionView[];
}) {
  const session = sessions.find(({ id }) => id === route.session);
  const now = useNow(30_000);
  const search = (wish: SearchWish): void =>
    goTo({ at: 'session', session: route.session, search: wish });
  return (
    <>
      <nav class="crumbs" aria-label="Way back">
        <a href="#/">Overview</a>
      </nav>
      <div class="page-head">
        <h1 tabIndex={-1}>
          {session === undefined ? (
            <StoredText text={route.session} />
          ) : (
            <SessionName session={session} />
          )}
        </h1>
        {session !== undefined && (
          <p class="quiet">
            {countOf(session.entries, 'entry', 'entries')}, {shortCountText(session.chars)}{' '}
            characters, {bytesText(session.bytes)} on disk, last written{' '}
            {agoText(session.updatedAtMs, now)}
          </p>
        )}
      </div>
      {session?.damage !== undefined && (
        <p class="fault" role="alert">
          This store cannot be read: <StoredText text={session.damage} />
        </p>
      )}
      <SearchForm wish={route.search} onSearch={search} />
      {route.search === undefined ? (
        <EntryList session={route.session} revision={String(session?.updatedAtMs ?? 0)} />
      ) : (
        <SearchResults session={route.session} wish={route.search} />
      )}
    </>
  );
}

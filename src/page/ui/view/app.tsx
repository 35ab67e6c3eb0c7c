import { useEffect, useRef, useState } from 'preact/hooks';
import { routeAbove } from '../model/route.ts';
import { EntryPage } from './entry-page.tsx';
import { Header } from './header.tsx';
import { goTo, isTyping, useRoute } from './hooks.ts';
import type { Live } from './live.ts';
import { Overview } from './overview.tsx';
import { SessionPage } from './session-page.tsx';
import { WayIn } from './way-in.tsx';

/** The whole page. */
export function App({ live }: { readonly live: Live }) {
  const [state, setState] = useState(live.state);
  useEffect(() => {
    // Something may have happened before anybody watched.
    setState(live.state);
    return live.watch(() => setState(live.state));
  }, [live]);
  useEffect(() => {
    // The link was opened here, or in another tab while this one waited.
    const reopen = (): void => void (location.hash.startsWith('#code=') && live.open());
    const retry = (): void => {
      if (document.visibilityState === 'visible') live.tryAgain();
    };
    addEventListener('hashchange', reopen);
    document.addEventListener('visibilitychange', retry);
    return () => {
      removeEventListener('hashchange', reopen);
      document.removeEventListener('visibilitychange', retry);
    };
  }, [live]);
  const route = useRoute();
  useKeys(route);
  const main = useRef<HTMLElement>(null);
  // Who goes to another place by keys or with a reader begins at its heading.
  const place = `${route.at} ${route.at === 'overview' ? '' : route.session} ${route.at === 'entry' ? route.entry : ''}`;
  const isFirst = useRef(true);
  useEffect(() => {
    if (!isFirst.current) main.current?.querySelector<HTMLElement>('h1')?.focus();
    isFirst.current = false;
  }, [place]);

  if (state.connection === 'locked') return <WayIn refusal={state.refusal} />;
  if (state.server === undefined) return <Opening isLost={state.connection === 'lost'} />;
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to content
      </a>
      <Header server={state.server} connection={state.connection} />
      <main id="main" ref={main} tabIndex={-1} class={`at-${route.at}`}>
        {route.at === 'overview' && <Overview state={state} server={state.server} />}
        {route.at === 'session' && (
          <SessionPage key={route.session} route={route} sessions={state.sessions} />
        )}
        {route.at === 'entry' && (
          <EntryPage
            key={`${route.session} ${route.entry}`}
            route={route}
            sessions={state.sessions}
          />
        )}
      </main>
      <Keys isOverview={route.at === 'overview'} />
    </>
  );
}

function Opening({ isLost }: { readonly isLost: boolean }) {
  return (
    <main class="way-in">
      <h1>RLM-OpenCode</h1>
      <p role="status">
        {isLost
          ? 'The server does not answer. Start it with `rlm-opencode serve`; this page tries again by itself.'
          : 'Opening …'}
      </p>
    </main>
  );
}

/** `/` goes to the search, Esc one level back. */
function useKeys(route: ReturnType<typeof useRoute>): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (event.key === '/' && !isTyping(event.target)) {
        const search = document.querySelector<HTMLInputElement>('input[type=search]');
        if (search === null) return;
        event.preventDefault();
        search.focus();
        search.select();
      }
      if (event.key !== 'Escape') return;
      const above = routeAbove(route);
      if (event.target instanceof HTMLInputElement && event.target.value !== '') {
        // Out of the field first: what was typed is not lost.
        event.preventDefault();
        event.target.blur();
      } else if (above !== undefined) goTo(above);
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, [route]);
}

function Keys({ isOverview }: { readonly isOverview: boolean }) {
  return (
    <footer class="keys">
      <span>
        <kbd>/</kbd> search
      </span>
      <span>
        <kbd>j</kbd> <kbd>k</kbd> move
      </span>
      <span>
        <kbd>Enter</kbd> open
      </span>
      {!isOverview && (
        <span>
          <kbd>Esc</kbd> back
        </span>
      )}
      <span class="keys-note">This page only reads.</span>
    </footer>
  );
}

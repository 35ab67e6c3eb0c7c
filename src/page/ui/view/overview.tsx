import { useState } from 'preact/hooks';
import type { ServerView, SessionView } from '../../page-protocol.ts';
import type { LiveState } from '../model/live-state.ts';
import { Figures } from './figures.tsx';
import { goTo } from './hooks.ts';
import { PromptChart } from './prompt-chart.tsx';
import { SearchForm } from './search-form.tsx';
import { Sessions, shortSessionName } from './sessions.tsx';
import { Turns } from './turns.tsx';

/** Everything at a glance. */
export function Overview({
  state,
  server,
}: {
  readonly state: LiveState;
  readonly server: ServerView;
}) {
  return (
    <>
      <h1 class="visually-hidden" tabIndex={-1}>
        Overview
      </h1>
      <Figures totals={server.totals} sessions={state.sessions} />
      <Turns turns={state.turns} isLive={state.connection === 'live'} />
      <PromptChart turns={state.turns} />
      <section aria-labelledby="sessions">
        <div class="section-head">
          <h2 id="sessions">Projects</h2>
          {state.sessions.length > 0 && <SearchAny sessions={state.sessions} />}
        </div>
        <Sessions sessions={state.sessions} />
      </section>
    </>
  );
}

/** Searches a project that is chosen; at first the one that was written to last. */
function SearchAny({ sessions }: { readonly sessions: readonly SessionView[] }) {
  const readable = sessions
    .filter(({ damage }) => damage === undefined)
    .toSorted((left, right) => right.updatedAtMs - left.updatedAtMs);
  const [chosen, setChosen] = useState<string>();
  const session = readable.find(({ id }) => id === chosen) ?? readable[0];
  if (session === undefined) return null;
  return (
    <SearchForm onSearch={(search) => goTo({ at: 'session', session: session.id, search })}>
      <select
        aria-label="Project to search"
        value={session.id}
        onChange={({ currentTarget }) => setChosen(currentTarget.value)}
      >
        {readable.map((each) => (
          <option key={each.id} value={each.id}>
            {shortSessionName(each)}
          </option>
        ))}
      </select>
    </SearchForm>
  );
}

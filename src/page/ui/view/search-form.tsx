import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { SearchWish } from '../model/route.ts';

/** The box that one searches by. */
export function SearchForm({
  wish,
  onSearch,
  children,
}: {
  readonly wish?: SearchWish | undefined;
  readonly onSearch: (wish: SearchWish) => void;
  /** What stands before the box. */
  readonly children?: ComponentChildren;
}) {
  const [query, setQuery] = useState(wish?.query ?? '');
  const [isRegex, setRegex] = useState(wish?.isRegex ?? false);
  const [isCaseSensitive, setCaseSensitive] = useState(wish?.isCaseSensitive ?? false);
  useEffect(() => {
    setQuery(wish?.query ?? '');
    setRegex(wish?.isRegex ?? false);
    setCaseSensitive(wish?.isCaseSensitive ?? false);
  }, [wish?.query, wish?.isRegex, wish?.isCaseSensitive]);
  return (
    <search>
      <form
        class="search"
        onSubmit={(event) => {
          event.preventDefault();
          if (query !== '') onSearch({ query, isRegex, isCaseSensitive });
        }}
      >
        {children}
        <input
          type="search"
          aria-label="Search the stored texts"
          placeholder="Search the stored texts"
          autocomplete="off"
          spellcheck={false}
          dir="auto"
          value={query}
          onInput={({ currentTarget }) => setQuery(currentTarget.value)}
        />
        <label class="tick" title="The query is a regular expression">
          <input
            type="checkbox"
            checked={isRegex}
            onChange={({ currentTarget }) => setRegex(currentTarget.checked)}
          />
          regex
        </label>
        <label class="tick" title="Capital letters count">
          <input
            type="checkbox"
            checked={isCaseSensitive}
            onChange={({ currentTarget }) => setCaseSensitive(currentTarget.checked)}
          />
          case
        </label>
        <button type="submit">Search</button>
      </form>
    </search>
  );
}

import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Pages } from '../model/pages.ts';
import { faultWords } from './hooks.ts';

/** One page of a list that a server has. */
export interface FetchedPage<Item> {
  readonly total: number;
  readonly items: readonly Item[];
}

/** A long list, as far as it is there. */
export interface PagedList<Item> {
  /** `undefined` until the first page has come. */
  readonly total: number | undefined;
  readonly at: (row: number) => Item | undefined;
  /** To be told which rows are looked at. */
  readonly onWindow: (first: number, end: number) => void;
  readonly fault: string | undefined;
}

/** Rows that are asked for at once. */
const pageItems = 200;

/** 10,000 rows: a few megabytes of text at most, as a rule much less. */
const maxPages = 50;

/**
 * Asks for a list by pages, those that are looked at.
 *
 * @param key Another list starts anew, from nothing
 * @param revision The same list has changed: what is shown stays until the new one is there
 */
export function usePaged<Item>(
  { key, revision = '' }: { readonly key: string; readonly revision?: string },
  ask: (
    range: { readonly first: number; readonly count: number },
    signal: AbortSignal,
  ) => Promise<FetchedPage<Item>>,
): PagedList<Item> {
  const [state, setState] = useState<{ key: string; total?: number; fault?: string }>({ key });
  const [, setArrivals] = useState(0);
  const pages = useMemo(() => new Pages<Item>(pageItems, maxPages), [key]);
  const work = useRef({
    asking: new Set<number>(),
    leaving: new AbortController(),
    isStale: false,
  });
  const seen = useRef({ first: 0, end: 1 });

  const askPage = (page: number): void => {
    const { asking, leaving } = work.current;
    if (asking.has(page)) return;
    asking.add(page);
    ask(pages.range(page), leaving.signal).then(
      ({ total, items }) => {
        asking.delete(page);
        if (leaving.signal.aborted) return;
        if (work.current.isStale) pages.clear();
        work.current.isStale = false;
        pages.put(page, items);
        setState({ key, total });
        setArrivals((arrivals) => arrivals + 1);
      },
      (error: unknown) => {
        // It stays asked for: a server that refuses is not asked again and again.
        if (!leaving.signal.aborted) setState((old) => ({ ...old, key, fault: faultWords(error) }));
      },
    );
  };
  const latest = useRef(askPage);
  latest.current = askPage;

  useEffect(() => {
    work.current = { asking: new Set(), leaving: new AbortController(), isStale: true };
    const { leaving } = work.current;
    const { first, end } = seen.current;
    const last = Math.floor(Math.max(first, end - 1) / pageItems);
    for (let page = Math.floor(first / pageItems); page <= last; page += 1) latest.current(page);
    return () => leaving.abort();
  }, [key, revision]);

  const onWindow = useCallback(
    (first: number, end: number) => {
      seen.current = { first, end };
      for (const page of pages.missing(first, end)) latest.current(page);
    },
    [pages],
  );
  const isThis = state.key === key;
  return {
    total: isThis ? state.total : undefined,
    at: (row) => pages.at(row),
    onWindow,
    fault: isThis ? state.fault : undefined,
  };
}

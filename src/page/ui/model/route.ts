/** What a search is asked for. */
export interface SearchWish {
  readonly query: string;
  /** The query is an expression, not a text. */
  readonly isRegex: boolean;
  readonly isCaseSensitive: boolean;
}

/** What the page shows, as its address says behind `#`: nothing of it is sent to a server. */
export type PageRoute =
  | { readonly at: 'overview' }
  | { readonly at: 'session'; readonly session: string; readonly search?: SearchWish }
  | {
      readonly at: 'entry';
      readonly session: string;
      readonly entry: string;
      /** To be shown and marked; counted from 1. */
      readonly line?: number;
      /** Where one has come from: Esc goes back to it, and its hits are marked. */
      readonly search?: SearchWish;
    };

/** Reads what stands behind `#`. What it does not know is the overview. */
export function routeOf(fragment: string): PageRoute {
  const [path = '', parameters = ''] = fragment.replace(/^#/, '').split('?', 2);
  const parts = path.split('/').slice(1).map(decoded);
  const [kind, session, kindBelow, entry] = parts;
  if (kind !== 'session' || session === undefined || session === '') return { at: 'overview' };
  const values = new URLSearchParams(parameters);
  const search = searchIn(values);
  const more = search === undefined ? {} : { search };
  if (kindBelow !== 'entry' || entry === undefined || entry === '')
    return { at: 'session', session, ...more };
  const line = Number(values.get('line') ?? Number.NaN);
  return {
    at: 'entry',
    session,
    entry,
    ...(Number.isSafeInteger(line) && line > 0 ? { line } : {}),
    ...more,
  };
}

/** The fragment of a route, with its `#`: {@link routeOf} reads it back. */
export function fragmentOf(route: PageRoute): string {
  if (route.at === 'overview') return '#/';
  const values = new URLSearchParams();
  let path = `#/session/${encodeURIComponent(route.session)}`;
  if (route.at === 'entry') {
    path += `/entry/${encodeURIComponent(route.entry)}`;
    if (route.line !== undefined) values.set('line', String(route.line));
  }
  if (route.search !== undefined) {
    values.set('query', route.search.query);
    if (route.search.isRegex) values.set('regex', 'true');
    if (route.search.isCaseSensitive) values.set('case', 'true');
  }
  return values.size === 0 ? path : `${path}?${values.toString()}`;
}

/** Where one level back is: from a hit to the hits, from hits to entries, from there to all. */
export function routeAbove(route: PageRoute): PageRoute | undefined {
  if (route.at === 'overview') return undefined;
  const { session, search } = route;
  if (route.at === 'session')
    return search === undefined ? { at: 'overview' } : { at: 'session', session };
  return { at: 'session', session, ...(search === undefined ? {} : { search }) };
}

/** The one-time code of a link that `rlm-opencode open` has printed. */
export function codeIn(fragment: string): string | undefined {
  return /^#code=([\w.~-]{1,200})$/.exec(fragment)?.[1];
}

function searchIn(values: URLSearchParams): SearchWish | undefined {
  const query = values.get('query') ?? '';
  if (query === '') return undefined;
  return {
    query,
    isRegex: values.get('regex') === 'true',
    isCaseSensitive: values.get('case') === 'true',
  };
}

/** A `%` that stands for nothing is a `%`. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

import type {
  EntriesPage,
  EntryDetail,
  LinesPage,
  SearchPage,
  SessionView,
} from '../../page-protocol.ts';
import type { SearchWish } from '../model/route.ts';

/** What the server did not do, in words for whoever looks at the page. */
export class AskFault extends Error {
  /** HTTP status; absent where there was no answer. */
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.name = 'AskFault';
    this.status = status;
  }
}

/** Hands in the code of a link. @returns Whether the server has let us in. @throws AskFault */
export async function handInCode(code: string): Promise<boolean> {
  const response = await reach('/page/login', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ code }),
  });
  if (response.ok) return true;
  if (response.status === 401 || response.status === 403) return false;
  throw await faultOf(response);
}

/** Sessions, asked for by hand: it says, too, whether we are let in. @throws AskFault */
export async function askSessions(): Promise<readonly SessionView[]> {
  return ask('/page/sessions');
}

/** @param first From 0, newest first. @throws AskFault */
export async function askEntries(
  session: string,
  { first, count }: { readonly first: number; readonly count: number },
  signal: AbortSignal,
): Promise<EntriesPage> {
  return ask(`${entriesPath(session)}?from=${first}&count=${count}`, signal);
}

/** @throws AskFault */
export async function askEntry(
  session: string,
  entry: string,
  signal: AbortSignal,
): Promise<EntryDetail> {
  return ask(`${entriesPath(session)}/${encodeURIComponent(entry)}`, signal);
}

/** @param first From 0. @throws AskFault */
export async function askLines(
  { session, entry }: { readonly session: string; readonly entry: string },
  { first, count }: { readonly first: number; readonly count: number },
  signal: AbortSignal,
): Promise<LinesPage> {
  const path = `${entriesPath(session)}/${encodeURIComponent(entry)}/lines`;
  return ask(`${path}?from=${first + 1}&count=${count}`, signal);
}

/** @param from Hits to leave out. @throws AskFault */
export async function askSearch(
  session: string,
  {
    wish,
    from,
    count,
  }: { readonly wish: SearchWish; readonly from: number; readonly count: number },
  signal: AbortSignal,
): Promise<SearchPage> {
  const values = new URLSearchParams({
    query: wish.query,
    from: String(from),
    count: String(count),
    regex: String(wish.isRegex),
    caseSensitive: String(wish.isCaseSensitive),
  });
  return ask(`/page/sessions/${encodeURIComponent(session)}/search?${values.toString()}`, signal);
}

function entriesPath(session: string): string {
  return `/page/sessions/${encodeURIComponent(session)}/entries`;
}

async function ask<Answer>(path: string, signal?: AbortSignal): Promise<Answer> {
  const response = await reach(path, signal === undefined ? {} : { signal });
  if (!response.ok) throw await faultOf(response);
  return (await response.json()) as Answer;
}

async function reach(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, { credentials: 'same-origin', cache: 'no-store', ...init });
  } catch (error) {
    if (init.signal?.aborted === true) throw error;
    throw new AskFault('The server does not answer.');
  }
}

/** Refusals have OpenAI's shape. */
async function faultOf(response: Response): Promise<AskFault> {
  const said = (await response.json().catch(() => undefined)) as
    | { readonly error?: { readonly message?: unknown } }
    | undefined;
  const message = said?.error?.message;
  return new AskFault(
    typeof message === 'string' ? message : `The server answered ${response.status}.`,
    response.status,
  );
}

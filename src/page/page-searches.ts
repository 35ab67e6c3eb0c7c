import { LruMap } from '../base/lru-map.ts';
import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import type { SearchEngine } from '../search/types.ts';
import type { Session } from '../store/types.ts';
import { answerOfStore } from '../tools/searching/search-answer.ts';
import type { ListedHit } from '../tools/searching/search-hit.ts';
import type { SearchAnswer } from '../tools/searching/search-text.ts';
import { entryView } from './entry-views.ts';
import type { EntryView, HitView, SearchPage } from './page-protocol.ts';

/** Longest time of one search, milliseconds; then what was found by then is shown. */
const deadlineMs = 30_000;

/** Lines shown before and after a hit. */
const contextLines = 2;

/** Most hits that are walked over to come to a page that nobody has come to in turn. */
const maxWalkedHits = 10_000;

/** Most hits of one answer of the engine. */
const maxHitsAtOnce = 1_000;

/** Searches whose pages are remembered: those that somebody reads. */
const maxSearches = 64;

/** What is looked for. */
export interface PageSearch {
  readonly query: string;
  readonly isRegex: boolean;
  readonly isCaseSensitive: boolean;
}

/** Which of the hits are wanted. */
interface HitRange {
  readonly from: number;
  readonly count: number;
}

/**
 * Searches stores for the page, as the model's tools do. Where a page of hits has ended is
 * remembered, so that the next one goes on there, over the same text however much comes meanwhile.
 */
export class PageSearches {
  readonly #clock: Clock;
  readonly #engine: SearchEngine;
  /** By search: the cursor behind so many hits. */
  readonly #cursors = new LruMap<string, Map<number, string>>(maxSearches);

  constructor({ clock, search }: { readonly clock: Clock; readonly search: SearchEngine }) {
    this.#clock = clock;
    this.#engine = search;
  }

  /** @throws ProxyError `invalid_request` for hits too far away; `cancelled` */
  async page(
    session: Session,
    wanted: PageSearch & HitRange,
    signal: AbortSignal,
  ): Promise<SearchPage> {
    const startMs = this.#clock.elapsedMs();
    const { from, count } = wanted;
    const key = JSON.stringify([session.id, wanted.query, wanted.isRegex, wanted.isCaseSensitive]);
    // Whoever begins anew sees what has come since.
    if (from === 0) this.#cursors.set(key, new Map());
    const cursors = this.#cursors.get(key) ?? new Map<number, string>();
    this.#cursors.set(key, cursors);
    let at = nearest(cursors, from);
    if (from - at > maxWalkedHits)
      throw new ProxyError('invalid_request', `Hit ${from} is too far down to go there at once.`, {
        hint: 'Search for more, or for less that is found.',
      });
    for (;;) {
      const isThere = at === from;
      const answer = await this.#ask(
        session,
        wanted,
        {
          count: isThere ? count : Math.min(maxHitsAtOnce, from - at),
          cursor: cursors.get(at),
          contextLines: isThere ? contextLines : 0,
        },
        signal,
      );
      const endAt = at + answer.hits.length;
      if (answer.nextCursor !== undefined) cursors.set(endAt, answer.nextCursor);
      if (!isThere && answer.nextCursor !== undefined) {
        at = endAt;
        continue;
      }
      return {
        total: answer.total,
        isExact: !answer.isPartial,
        tookMs: Math.round(this.#clock.elapsedMs() - startMs),
        notes: answer.notes.map(inWordsOfPage),
        from,
        // Behind the last hit there is nothing.
        hits: isThere ? await hitViews(session, answer.hits) : [],
      };
    }
  }

  async #ask(
    session: Session,
    { query, isRegex, isCaseSensitive }: PageSearch,
    page: {
      readonly count: number;
      readonly cursor: string | undefined;
      readonly contextLines: number;
    },
    signal: AbortSignal,
  ): Promise<SearchAnswer> {
    const found = await answerOfStore(
      {
        case_sensitive: isCaseSensitive,
        max_results: page.count,
        context_lines: page.contextLines,
        order: 'newest',
        cursor: page.cursor,
      },
      { pattern: query, literal: !isRegex, marks: true },
      {
        session,
        search: this.#engine,
        signal,
        clock: this.#clock,
        searchDeadlineMs: deadlineMs,
        maxResultChars: Infinity,
        form: 'json',
      },
    );
    if (found.ok) return found.answer;
    throw new ProxyError('invalid_request', found.fault);
  }
}

/** What is said to a model names its arguments; the page has boxes to tick. */
function inWordsOfPage(note: string): string {
  return note.replaceAll('with "case_sensitive": false', 'where the case does not count');
}

/** The hit nearest before `from` behind which it is known how to go on; 0: the first. */
function nearest(cursors: ReadonlyMap<number, string>, from: number): number {
  let found = 0;
  for (const at of cursors.keys()) if (at <= from && at > found) found = at;
  return found;
}

async function hitViews(
  { store }: Session,
  hits: readonly ListedHit[],
): Promise<readonly HitView[]> {
  const entries = new Map<string, Promise<EntryView>>();
  const views = hits.map(async (hit): Promise<HitView | undefined> => {
    const { entry, fields, marks = [], cut } = hit;
    // What lies between two texts is nobody's, and nothing is found there.
    if (entry === undefined) return undefined;
    const shown = entries.get(entry.id) ?? entryView(store, entry);
    entries.set(entry.id, shown);
    const start = cut?.start === true ? '…' : '';
    return {
      entry: await shown,
      line: fields.line,
      before: fields.before ?? [],
      text: `${start}${fields.text}${cut?.end === true ? '…' : ''}`,
      marks: marks.map(([first, end]) => [first + start.length, end + start.length] as const),
      after: fields.after ?? [],
    };
  });
  return (await Promise.all(views)).filter((view) => view !== undefined);
}

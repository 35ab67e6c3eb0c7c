import type { SearchMatch } from '../../search/types.ts';
import type { Entry, SessionStore } from '../../store/types.ts';
import { namesOf } from '../entry-choice.ts';
import { lineInEntry } from '../entry-lines.ts';
import { labelOf, marksOf, titleOf } from '../entry-title.ts';
import { entryAt } from '../filters.ts';

/** One hit with its fields, as programs see it. */
interface HitFields {
  /** 1-based, in the entry: what `rlm_get_context` takes beside the entry's id. */
  readonly line: number;
  /** 1-based, through the whole store. Only of the context's own store. */
  readonly storeLine?: number;
  readonly text: string;
  /** The line is longer than what is shown of it. */
  readonly clipped?: true;
  /** More of the pattern lies in the part of the line that is not shown. */
  readonly more_in_line?: true;
  /**
   * Of the match, in characters from the start of the whole context. Only of the context's own
   * store: an offset names no store, and is read as one of its own.
   */
  readonly offset?: number;
  /** The linked store that it is of. */
  readonly store?: string;
  readonly entry?: string;
  readonly path?: string;
  /** What the entry is, where it has no path. */
  readonly title?: string;
  /** Other paths of the same text: a text that came from several files is one entry. */
  readonly also_at?: readonly string[];
  readonly tool?: string;
  readonly superseded_by?: string;
  readonly before?: readonly string[];
  readonly after?: readonly string[];
  /** The lines around end sooner than asked because the entry does. */
  readonly border?: string;
}

/** A hit, and what a list of hits shows of its entry and of the ends of its line. */
export interface ListedHit {
  readonly fields: HitFields;
  readonly entry: Entry | undefined;
  readonly cut: SearchMatch['cut'];
  /** Where in its text the matches are, where that was asked for. */
  readonly marks: SearchMatch['marks'];
  /** The head of the entry's group in a list, on one line. */
  readonly head: string;
  /** Where a clipped line's match is, as a call can read it. */
  readonly matchPlace: string;
}

/** How hits are shown. */
interface HitsShown {
  /** The path that was asked for. */
  readonly filter: string | undefined;
  /** The linked store that they are of. */
  readonly storeName?: string | undefined;
}

/** Makes hits of what a search found. */
export async function hitsOf(
  matches: readonly SearchMatch[],
  store: SessionStore,
  shown: HitsShown,
): Promise<readonly ListedHit[]> {
  const { filter, storeName } = shown;
  const hits: ListedHit[] = [];
  const heads = new Map<Entry, string>();
  for (const match of matches) {
    const entry = entryAt(store.entries, match.offsetBytes);
    let head = entry === undefined ? 'between entries' : heads.get(entry);
    if (head === undefined) {
      const of = entry as Entry;
      head = `${of.id} ${await labelOf(store, of, filter)}${marksOf(store.list, of, filter)}`;
      heads.set(of, head);
    }
    const fields = await fieldsOf(match, entry, { store, ...shown });
    const matchPlace =
      storeName === undefined || entry === undefined
        ? `@${match.offsetChars}`
        : `@${match.offsetChars - entry.offsetChars} of ${entry.id}`;
    hits.push({ fields, entry, cut: match.cut, marks: match.marks, head, matchPlace });
  }
  return hits;
}

async function fieldsOf(
  match: SearchMatch,
  entry: Entry | undefined,
  { store, filter, storeName }: HitsShown & { readonly store: SessionStore },
): Promise<HitFields> {
  const storeLine = match.line;
  const { text, offsetChars } = match;
  const place = storeName === undefined ? { storeLine, offset: offsetChars } : { store: storeName };
  const isLong = {
    ...(match.clipped ? { clipped: true as const } : {}),
    ...(match.hasMore === undefined ? {} : { more_in_line: match.hasMore }),
  };
  if (entry === undefined)
    return { line: storeLine, text, ...isLong, ...place, ...linesAround(match, entry) };
  const names = namesOf(store.list, entry, filter);
  const successor = store.list.successorOf(entry);
  return {
    line: lineInEntry(entry, storeLine),
    ...(place.storeLine === undefined ? {} : { storeLine: place.storeLine }),
    text,
    ...isLong,
    ...(place.storeLine === undefined ? { store: place.store } : { offset: place.offset }),
    entry: entry.id,
    ...names,
    ...(names.path === undefined ? { title: await titleOf(store, entry) } : {}),
    ...(entry.tool === undefined ? {} : { tool: entry.tool }),
    ...(successor === undefined ? {} : { superseded_by: successor.id }),
    ...linesAround(match, entry),
  };
}

/**
 * Lines around a hit, as far as they are its entry's; where that begins or ends among them, it says
 * so.
 */
function linesAround(
  { line, before, after, text }: SearchMatch,
  entry: Entry | undefined,
): Pick<HitFields, 'before' | 'after' | 'border'> {
  if (before === undefined && after === undefined) return {};
  if (entry === undefined) return { before: before ?? [], after: after ?? [] };
  const lastLine = line + text.split('\n').length - 1;
  const roomBefore = Math.max(0, line - entry.lineNumber);
  const roomAfter = Math.max(0, entry.lineNumber + entry.lineCount - 1 - lastLine);
  const isStart = roomBefore < (before?.length ?? 0) || roomBefore === before?.length;
  const isEnd = roomAfter <= (after?.length ?? 0);
  const borders = [isStart ? 'begins' : '', isEnd ? 'ends' : ''].filter((word) => word !== '');
  return {
    before: roomBefore === 0 ? [] : (before ?? []).slice(-roomBefore),
    after: (after ?? []).slice(0, roomAfter),
    ...(borders.length === 0 ? {} : { border: `${entry.id} ${borders.join(' and ')} here` }),
  };
}

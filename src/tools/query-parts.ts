import type { SearchMatch, SearchQuery } from '../search/types.ts';
import { findEntry } from './entry-choice.ts';
import { cutAroundHits, cutRange, packPieces, readChunk, spansOf, type Piece } from './pieces.ts';
import { totalNote } from './search-notes.ts';
import { isVisible, sliceAt, visibleChars, visibleRanges } from './slice.ts';
import type { SubQuestion } from './sub-model.ts';
import type { ToolContext } from './tool.ts';

/** The part of `rlm_query`'s arguments that says what is asked about. */
export interface PartRequest {
  readonly question: string;
  readonly offset?: number | undefined;
  readonly length?: number | undefined;
  readonly entries?: readonly string[] | undefined;
  readonly pattern?: string | undefined;
  readonly context_lines: number;
  readonly max_hits: number;
  readonly chunk_chars?: number | undefined;
  readonly max_parts: number;
}

/** One part as it is asked, and where it lies. */
export interface QueryPart extends SubQuestion {
  readonly spans: readonly Record<string, unknown>[];
}

/** Reads a part when its turn comes. */
export type PartMaker = () => Promise<QueryPart>;

const nothingThere = 'There is nothing in that slice.';

/** Parts, and what the asker should know of how they were found. */
interface FoundParts {
  readonly parts: readonly PartMaker[];
  readonly note?: string;
}

/** Pieces of the slice, in order of the text. */
async function* piecesOf(
  asked: PartRequest,
  context: ToolContext,
  maxChars: number,
): AsyncGenerator<Piece, void, void> {
  for (const range of rangesOf(asked, context))
    yield* cutRange(context.session.store, range, {
      maxChars,
      ...(range.entry === undefined ? {} : { entry: range.entry }),
    });
}

async function findHits(
  pattern: string,
  asked: PartRequest,
  context: ToolContext,
): Promise<{ readonly matches: readonly SearchMatch[]; readonly note?: string }> {
  const ranges = visibleRanges(undefined, context.slice);
  const query: SearchQuery = {
    pattern,
    literal: false,
    caseSensitive: true,
    maxResults: asked.max_hits,
    contextLines: 0,
    order: 'newest',
    maxLineChars: 200,
    ...(ranges === undefined ? {} : { ranges }),
  };
  const result = await context.search.search(await context.session.store.snapshot(), query, {
    signal: context.signal,
    deadlineMs: context.searchDeadlineMs,
  });
  const { matches, total, partial, note } = result;
  if (partial)
    return { matches, note: note ?? 'The search ran out of time: there may be more hits.' };
  if (total === 0) {
    const why = await totalNote(result, { query, context, entries: undefined });
    const words = ['The pattern has no hit, so nothing was asked.', note, why];
    return { matches, note: words.filter((each) => each !== undefined).join(' ') };
  }
  const used = `The pattern has ${total} hits; the newest ${matches.length} were used.`;
  const words = [note, total <= matches.length ? undefined : used].filter(
    (each) => each !== undefined,
  );
  return words.length === 0 ? { matches } : { matches, note: words.join(' ') };
}

interface NamedRange {
  readonly startChars: number;
  readonly endChars: number;
  readonly entry?: string;
}

function rangesOf(asked: PartRequest, context: ToolContext): readonly NamedRange[] {
  const { store } = context.session;
  const { startChars, endChars } = visibleChars(store, context.slice);
  const clamp = (range: NamedRange): NamedRange => ({
    ...range,
    startChars: Math.max(startChars, range.startChars),
    endChars: Math.min(endChars, range.endChars),
  });
  if (asked.entries === undefined) {
    const start = asked.offset ?? startChars;
    return [clamp({ startChars: start, endChars: start + (asked.length ?? endChars) })];
  }
  return asked.entries
    .map((name) => findEntry(store, name))
    .flatMap((found) => (found.ok ? [found.entry] : []))
    .filter((entry) => isVisible(entry, context.slice))
    .map((entry) =>
      clamp({
        startChars: entry.offsetChars,
        endChars: entry.offsetChars + entry.lengthChars,
        entry: entry.id,
      }),
    );
}

/**
 * Parts whose text goes into the question; a text says why there are none. Only places are kept:
 * text is read when it is asked about.
 */
export async function partsToRead(
  asked: PartRequest,
  context: ToolContext,
  maxTextChars: number,
): Promise<FoundParts | string> {
  const maxChars = Math.min(asked.chunk_chars ?? maxTextChars, maxTextChars);
  const { store } = context.session;
  const hits =
    asked.pattern === undefined ? undefined : await findHits(asked.pattern, asked, context);
  const pieces =
    hits === undefined
      ? piecesOf(asked, context, maxChars)
      : cutAroundHits(store, hits.matches, { contextLines: asked.context_lines, maxChars });
  const parts: PartMaker[] = [];
  for await (const chunk of packPieces(pieces, maxChars)) {
    if (parts.length === asked.max_parts) return tooMany(asked, maxChars);
    const label = `part ${parts.length + 1}, ${chunk.lengthChars} characters`;
    parts.push(async () => ({
      question: asked.question,
      text: await readChunk(store, chunk),
      label,
      spans: spansOf(chunk),
    }));
  }
  const note = hits?.note;
  if (parts.length === 0) return note ?? nothingThere;
  return note === undefined ? { parts } : { parts, note };
}

/** Parts that are explored by a sub-call with tools. */
export async function partsToExplore(
  asked: PartRequest,
  context: ToolContext,
): Promise<FoundParts | string> {
  if (asked.pattern !== undefined)
    return 'explore goes with offset/length or entries, not with pattern.';
  const { store } = context.session;
  const stepChars = asked.chunk_chars ?? Number.POSITIVE_INFINITY;
  const parts: PartMaker[] = [];
  for (const { startChars, endChars, entry } of rangesOf(asked, context)) {
    for (let start = startChars; start < endChars; start += stepChars) {
      if (parts.length === asked.max_parts) return tooMany(asked, stepChars);
      const end = Math.min(endChars, start + stepChars);
      const number = parts.length + 1;
      parts.push(async () => ({
        question: asked.question,
        slice: await sliceAt(store, start, end),
        label: `part ${number}, ${end - start} characters`,
        spans: [{ offset: start, length: end - start, ...(entry === undefined ? {} : { entry }) }],
      }));
    }
  }
  return parts.length === 0 ? nothingThere : { parts };
}

function tooMany(asked: PartRequest, partChars: number): string {
  return `The slice makes more than ${asked.max_parts} parts of ${partChars} characters. Narrow it with a pattern or offset/length, raise max_parts (at most 1000), or let rlm_exec choose what is worth asking.`;
}

/** Makes the parts one after the other, as they are pulled. */
export async function* streamParts(
  parts: readonly PartMaker[],
): AsyncGenerator<QueryPart, void, void> {
  for (const part of parts) yield await part();
}

import type { SearchMatch, SearchQuery, SearchResult } from '../../search/types.ts';
import type { Entry } from '../../store/types.ts';
import { chooseEntries, findEntry } from '../entry-choice.ts';
import { rangesOfEntries } from '../filters.ts';
import {
  cutAroundHits,
  cutRange,
  nameOfChunk,
  nameOfPiece,
  packPieces,
  partCount,
  readChunk,
  spansOf,
  type CharRange,
  type Piece,
} from '../pieces.ts';
import { totalNote } from '../searching/search-notes.ts';
import { isVisible, sliceAt, visibleChars, visibleRanges } from '../slice.ts';
import type { SubQuestion } from '../sub-model.ts';
import type { ToolContext } from '../tool.ts';

/** The part of `rlm_query`'s arguments that says what is asked about. */
export interface PartRequest {
  readonly question: string;
  readonly offset?: number | undefined;
  readonly length?: number | undefined;
  readonly entries?: readonly string[] | undefined;
  readonly path?: string | undefined;
  readonly tool?: string | undefined;
  readonly since?: string | undefined;
  readonly pattern?: string | undefined;
  readonly context_lines: number;
  readonly max_hits: number;
  readonly chunk_chars?: number | undefined;
  readonly max_parts: number;
}

/** One part as it is asked, and where it lies. */
export interface QueryPart extends SubQuestion {
  /** `part 3 of 12: src/x.ts (e7), lines 400-620`. */
  readonly name: string;
  readonly spans: readonly Record<string, unknown>[];
}

/** Reads a part when its turn comes. */
export type PartMaker = () => Promise<QueryPart>;

const nothingThere = 'There is nothing in that slice.';

/** Parts, and what the asker should know of how they were found. */
interface FoundParts {
  readonly parts: readonly PartMaker[];
  readonly note?: string | undefined;
}

/** The entries that the request names or chooses; `undefined` = all of the context. */
type Chosen =
  | {
      readonly ok: true;
      readonly entries: readonly Entry[] | undefined;
      readonly note?: string | undefined;
    }
  | { readonly ok: false; readonly fault: string };

/** Entries by name and by filter together: those that are both. */
function chosenEntries(asked: PartRequest, context: ToolContext): Chosen {
  const { store } = context.session;
  const { path, tool, since } = asked;
  const filtered = chooseEntries(store, { path, tool, since }, context.clock.now());
  if (!filtered.ok || asked.entries === undefined) return filtered;
  const named: Entry[] = [];
  for (const name of asked.entries) {
    const found = findEntry(store, name);
    if (!found.ok) return found;
    if (filtered.entries?.includes(found.entry) !== false) named.push(found.entry);
  }
  if (named.length === 0)
    return { ok: false, fault: 'None of the named entries fits path, tool and since.' };
  return { ...filtered, entries: named };
}

async function findHits(
  pattern: string,
  asked: PartRequest,
  { context, entries }: { readonly context: ToolContext; readonly entries: Chosen & { ok: true } },
): Promise<{ readonly matches: readonly SearchMatch[]; readonly note?: string | undefined }> {
  const { store } = context.session;
  const chosen = entries.entries;
  const ranges = visibleRanges(
    chosen && rangesOfEntries(chosen.toSorted((a, b) => a.seq - b.seq)),
    context.slice,
  );
  const query: SearchQuery = {
    pattern,
    literal: false,
    caseSensitive: true,
    maxResults: asked.max_hits,
    contextLines: 0,
    order: 'newest',
    maxLineChars: 200,
    ranges,
  };
  const result = await context.search.search(await store.snapshot(), query, {
    signal: context.signal,
    deadlineMs: context.searchDeadlineMs,
  });
  return { matches: result.matches, ...(await noteOnHits(result, { query, context, chosen })) };
}

async function noteOnHits(
  result: SearchResult,
  looked: {
    readonly query: SearchQuery;
    readonly context: ToolContext;
    readonly chosen: readonly Entry[] | undefined;
  },
): Promise<{ readonly note?: string | undefined }> {
  const { matches, total, partial, note } = result;
  if (partial) return { note: note ?? 'The search ran out of time: there may be more hits.' };
  const words = [note];
  if (total === 0) {
    const why = await totalNote(result, [{ ...looked, entries: looked.chosen }]);
    words.unshift('The pattern has no hit, so nothing was asked.');
    words.push(why);
  } else if (total > matches.length)
    words.push(`The pattern has ${total} hits; the newest ${matches.length} were used.`);
  const said = words.filter((each) => each !== undefined);
  return said.length === 0 ? {} : { note: said.join(' ') };
}

/** What is asked about, as ranges that each lie in one entry. */
function rangesToRead(
  asked: PartRequest,
  entries: readonly Entry[] | undefined,
  context: ToolContext,
): readonly CharRange[] {
  const { store } = context.session;
  const seen = visibleChars(store, context.slice);
  const from = asked.offset ?? seen.startChars;
  const startChars = Math.max(seen.startChars, from);
  const endChars = Math.min(seen.endChars, from + (asked.length ?? seen.endChars));
  const all = entries ?? store.entries.slice(0, store.totals.entries);
  const ranges: CharRange[] = [];
  for (const entry of all) {
    if (!isVisible(entry, context.slice)) continue;
    const start = Math.max(startChars, entry.offsetChars);
    const end = Math.min(endChars, entry.offsetChars + entry.lengthChars);
    if (start < end) ranges.push({ startChars: start, endChars: end, entry });
  }
  return ranges;
}

/** Pieces of ranges, in order. */
async function* piecesOf(
  ranges: readonly CharRange[],
  context: ToolContext,
  maxChars: number,
): AsyncGenerator<Piece, void, void> {
  for (const range of ranges) yield* cutRange(context.session.store, range, { maxChars });
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
  const chosen = chosenEntries(asked, context);
  if (!chosen.ok) return chosen.fault;
  const hits =
    asked.pattern === undefined
      ? undefined
      : await findHits(asked.pattern, asked, { context, entries: chosen });
  const ranges = hits === undefined ? rangesToRead(asked, chosen.entries, context) : [];
  const pieces =
    hits === undefined
      ? piecesOf(ranges, context, maxChars)
      : cutAroundHits(store, hits.matches, { contextLines: asked.context_lines, maxChars });
  const parts: PartMaker[] = [];
  for await (const chunk of packPieces(pieces, maxChars)) {
    if (parts.length === asked.max_parts)
      return tooMany(asked, { maxChars, ranges, mayExplore: context.subModel?.mayExplore });
    const number = parts.length + 1;
    parts.push(async () => ({
      ...namedPart(number, parts.length, nameOfChunk(chunk)),
      question: asked.question,
      text: await readChunk(store, chunk),
      label: `part ${number}${parts.length === 1 ? '' : ` of ${parts.length}`}, ${chunk.lengthChars} characters`,
      spans: spansOf(chunk),
    }));
  }
  const notes = [chosen.note, hits?.note].filter((each) => each !== undefined);
  if (parts.length === 0) return notes.length === 0 ? nothingThere : notes.join(' ');
  return notes.length === 0 ? { parts } : { parts, note: notes.join(' ') };
}

function namedPart(
  number: number,
  count: number,
  what: string,
): Pick<QueryPart, 'name' | 'textName'> {
  const which = count === 1 ? '' : `part ${number} of ${count}: `;
  return {
    name: `${which}${what}`,
    textName: count === 1 ? `It is ${what}.` : `It is ${which}${what}.`,
  };
}

/** Parts that are explored by a sub-call with tools. */
export async function partsToExplore(
  asked: PartRequest,
  context: ToolContext,
): Promise<FoundParts | string> {
  if (asked.pattern !== undefined)
    return 'explore goes with offset/length or entries, not with pattern: a sub-call that explores searches by itself.';
  const { store } = context.session;
  const chosen = chosenEntries(asked, context);
  if (!chosen.ok) return chosen.fault;
  const isByEntry = chosen.entries !== undefined;
  const ranges = rangesToRead(asked, chosen.entries, context);
  const [first] = ranges;
  const last = ranges.at(-1);
  if (first === undefined || last === undefined) return nothingThere;
  // Without entries named, what is asked about is one range, whatever texts it goes over.
  const whole = isByEntry
    ? ranges
    : [
        {
          startChars: first.startChars,
          endChars: last.endChars,
          ...(ranges.length === 1 && { entry: first.entry as Entry }),
        },
      ];
  const parts: PartMaker[] = [];
  const maxChars = asked.chunk_chars;
  for (const range of whole) {
    const pieces =
      maxChars === undefined ? [wholePiece(range)] : cutRange(store, range, { maxChars });
    for await (const piece of pieces) {
      if (parts.length === asked.max_parts)
        return tooMany(asked, { maxChars: maxChars ?? 0, ranges: whole, mayExplore: undefined });
      const number = parts.length + 1;
      parts.push(async () => ({
        ...namedPart(number, parts.length, nameOfPiece(piece)),
        question: asked.question,
        slice: await sliceAt(store, piece.offsetChars, piece.offsetChars + piece.lengthChars),
        label: `part ${number}${parts.length === 1 ? '' : ` of ${parts.length}`}, ${piece.lengthChars} characters`,
        spans: spansOf({ pieces: [piece], lengthChars: piece.lengthChars }),
      }));
    }
  }
  return chosen.note === undefined ? { parts } : { parts, note: chosen.note };
}

function wholePiece({ startChars, endChars, entry }: CharRange): Piece {
  const piece = { offsetChars: startChars, lengthChars: endChars - startChars };
  if (entry === undefined) return piece;
  const isAll = piece.lengthChars === entry.lengthChars;
  return { ...piece, entry, ...(isAll && { lines: [1, entry.lineCount] as const }) };
}

/** Most that `max_parts` may be. */
export const mostParts = 1_000;

function tooMany(
  asked: PartRequest,
  {
    maxChars,
    ranges,
    mayExplore,
  }: {
    readonly maxChars: number;
    readonly ranges: readonly CharRange[];
    readonly mayExplore: boolean | undefined;
  },
): string {
  const chars = ranges.reduce((sum, { startChars, endChars }) => sum + endChars - startChars, 0);
  const about = partCount(chars, maxChars);
  const isKnown = ranges.length > 0 && about > asked.max_parts;
  const ways = [
    ...(mayExplore === true && asked.pattern === undefined
      ? ['"explore": true (a sub-call with these tools searches it instead of reading it whole)']
      : []),
    ...(asked.max_parts < mostParts && (!isKnown || about < mostParts)
      ? [`"max_parts" up to ${mostParts} (one sub-call each)`]
      : []),
    asked.pattern === undefined
      ? 'a "pattern" (only the lines around its hits are read), entries or path'
      : 'a narrower "pattern", fewer "context_lines" or "max_hits"',
    'llm_map in rlm_exec over what code has chosen',
  ];
  const count = isKnown ? `about ${about}` : `more than ${asked.max_parts}`;
  return `Nothing was asked: this makes ${count} parts of up to ${maxChars} characters, and max_parts is ${asked.max_parts}. What works: ${ways.join('; ')}.`;
}

/** Makes the parts one after the other, as they are pulled. */
export async function* streamParts(
  parts: readonly PartMaker[],
): AsyncGenerator<QueryPart, void, void> {
  for (const part of parts) yield await part();
}

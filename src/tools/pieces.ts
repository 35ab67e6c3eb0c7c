import { entryAt } from './filters.ts';
import { bestBorder } from './query/section-borders.ts';
import type { SearchMatch } from '../search/types.ts';
import type { Entry, SessionStore, TextSlice } from '../store/types.ts';

/** Where a run of text lies in the whole context. */
export interface Piece {
  readonly offsetChars: number;
  readonly lengthChars: number;
  /** The entry that it is of, if it is of one. */
  readonly entry?: Entry;
  /** 1-based numbers of its first and last line: those of its entry, else the context's. */
  readonly lines?: readonly [number, number];
}

/** Pieces that go into one question. */
export interface QueryChunk {
  readonly pieces: readonly Piece[];
  readonly lengthChars: number;
}

/** Characters [start, end) of the context, of one entry where that is known. */
export interface CharRange {
  readonly startChars: number;
  readonly endChars: number;
  readonly entry?: Entry;
  /** 1-based number of its first line within the entry, where it does not begin with that. */
  readonly line?: number;
}

/** Room for the line that tells one piece of a chunk from the next, code points. */
const headerChars = 120;

/** The least share of its even size that a piece is cut back to. */
const leastShare = 0.7;

/** How far beyond its even size a piece may go to end at a border. */
const mostShare = 1.15;

/** Even pieces fill so much of the most they may have, so that there is room to end at a border. */
const fullShare = 0.9;

/** So many pieces a range of some length makes. */
export function partCount(lengthChars: number, maxChars: number): number {
  return lengthChars <= maxChars ? 1 : Math.ceil(lengthChars / (fullShare * maxChars));
}

/**
 * Cuts a range into pieces of at most `maxChars`, about even in size, at borders of lines and,
 * where one is near, of sections. Where lines are too long for that they are cut.
 */
export async function* cutRange(
  store: SessionStore,
  { startChars, endChars, entry, line: firstLine }: CharRange,
  { maxChars }: { readonly maxChars: number },
): AsyncGenerator<Piece, void, void> {
  const isWhole = entry !== undefined && startChars <= entry.offsetChars;
  const named = entry === undefined ? {} : { entry };
  if (endChars - startChars <= maxChars && isWhole) {
    const isToEnd = endChars >= entry.offsetChars + entry.lengthChars;
    const lines = isToEnd ? { lines: [1, entry.lineCount] as const } : {};
    if (endChars > startChars)
      yield { offsetChars: startChars, lengthChars: endChars - startChars, ...named, ...lines };
    return;
  }
  // Lines are counted from a beginning that is known.
  let line = isWhole ? 1 : firstLine;
  for (let offsetChars = startChars; offsetChars < endChars;) {
    const left = endChars - offsetChars;
    const slice = await store.read(offsetChars, Math.min(maxChars, left));
    if (slice.lengthChars === 0) return;
    const { text, lengthChars } =
      slice.lengthChars >= left ? slice : cutEvenly(slice, left, maxChars);
    const newlines = countNewlines(text);
    const last = (line ?? 0) + newlines - (text.endsWith('\n') ? 1 : 0);
    yield {
      offsetChars,
      lengthChars,
      ...named,
      ...(line === undefined ? {} : { lines: [line, last] as const }),
    };
    if (line !== undefined) line += newlines;
    offsetChars += lengthChars;
  }
}

/** The part of what was read that makes one of the even pieces of what is left. */
function cutEvenly(
  slice: TextSlice,
  leftChars: number,
  maxChars: number,
): Pick<TextSlice, 'text' | 'lengthChars'> {
  const count = partCount(leftChars, maxChars);
  const evenChars = Math.ceil(leftChars / count);
  // Cut sooner, and what is left would need a piece more.
  const leastChars = Math.max(
    1,
    Math.floor(leastShare * evenChars),
    leftChars - (count - 1) * maxChars,
  );
  const mostChars = Math.min(slice.lengthChars, Math.ceil(mostShare * evenChars));
  const least = indexOfChar(slice.text, leastChars);
  const most = indexOfChar(slice.text, mostChars);
  const wanted = indexOfChar(slice.text, Math.min(evenChars, mostChars));
  // The character before tells whether a line begins at the first place.
  const from = least - 1;
  const found = bestBorder(slice.text.slice(from, most), wanted - from);
  // With no line to begin in that reach, the last one before it, unless that leaves too little.
  const before = slice.text.lastIndexOf('\n', from) + 1;
  const end = found === undefined ? (before > wanted / 2 ? before : wanted) : from + found;
  const text = slice.text.slice(0, end);
  return { text, lengthChars: countChars(text) };
}

/** Where code point `chars` of a text stands in it. */
function indexOfChar(text: string, chars: number): number {
  let index = 0;
  for (let count = 0; count < chars && index < text.length; count += 1)
    index += (text.codePointAt(index) as number) > 0xffff ? 2 : 1;
  return index;
}

function countNewlines(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count += 1;
  return count;
}

/** Code points of a text. */
export function countChars(text: string): number {
  let count = 0;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    // The second half of a pair is part of the code point before it.
    if (unit < 0xdc00 || unit > 0xdfff) count += 1;
  }
  return count;
}

/**
 * The lines around hits, overlapping ones as one piece, in the order of the text. Long windows are
 * cut.
 */
export async function* cutAroundHits(
  store: SessionStore,
  matches: readonly SearchMatch[],
  options: { readonly contextLines: number; readonly maxChars: number },
): AsyncGenerator<Piece, void, void> {
  const windows: { readonly first: number; last: number; readonly entry: Entry | undefined }[] = [];
  for (const match of matches.toSorted((a, b) => a.offsetBytes - b.offsetBytes)) {
    // A window ends where the hit's text does: what follows is another text.
    const entry = entryAt(store.entries, match.offsetBytes);
    const least = entry?.lineNumber ?? 1;
    const most = entry === undefined ? store.totals.lines : least + entry.lineCount - 1;
    const first = Math.max(least, match.line - options.contextLines);
    const last = Math.min(most, match.line + options.contextLines);
    const open = windows.at(-1);
    if (open !== undefined && open.entry === entry && first <= open.last + 1) open.last = last;
    else windows.push({ first, last, entry });
  }
  for (const { first, last, entry } of windows) {
    const linesBefore = (entry?.lineNumber ?? 1) - 1;
    const lines = [first - linesBefore, last - linesBefore] as const;
    const { offsetChars, lengthChars } = await store.readLines(first, last);
    const named = entry === undefined ? {} : { entry };
    if (lengthChars <= options.maxChars) yield { offsetChars, lengthChars, lines, ...named };
    else
      yield* cutRange(
        store,
        {
          startChars: offsetChars,
          endChars: offsetChars + lengthChars,
          line: lines[0],
          ...named,
        },
        options,
      );
  }
}

/** Puts pieces together, in order, as long as they fit one question. */
export async function* packPieces(
  pieces: AsyncIterable<Piece>,
  maxChars: number,
): AsyncGenerator<QueryChunk, void, void> {
  let open: Piece[] = [];
  let lengthChars = 0;
  for await (const piece of pieces) {
    const room = lengthChars + (open.length + 1) * headerChars + piece.lengthChars;
    if (open.length > 0 && room > maxChars) {
      yield { pieces: open, lengthChars };
      open = [];
      lengthChars = 0;
    }
    open.push(piece);
    lengthChars += piece.lengthChars;
  }
  if (open.length > 0) yield { pieces: open, lengthChars };
}

/** Where a chunk lies, as its answer names it. */
export function spansOf(chunk: QueryChunk): readonly Record<string, unknown>[] {
  return chunk.pieces.map(({ offsetChars, lengthChars, lines, entry }) => ({
    entry: entry?.id,
    ...(entry?.path === undefined ? {} : { path: entry.path }),
    ...(lines === undefined ? {} : { lines: `${lines[0]}-${lines[1]}` }),
    offset: offsetChars,
    length: lengthChars,
  }));
}

/** Longest path in the name of a piece, UTF-16 units: its end says most. */
const shownPathChars = 60;

/** What a piece is, for those who read it: `src/x.ts (e7), lines 400-620`. */
export function nameOfPiece({ entry, lines, offsetChars }: Piece): string {
  const where = lines === undefined ? `from character ${offsetChars}` : `lines ${lines.join('-')}`;
  if (entry === undefined) return `the whole context, ${where}`;
  const what = entry.path ?? (entry.tool === undefined ? undefined : `output of ${entry.tool}`);
  if (what === undefined) return `${entry.id}, ${where}`;
  const line = what.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ');
  const short =
    line.length <= shownPathChars ? line : `…${line.slice(1 - shownPathChars).toWellFormed()}`;
  return `${short} (${entry.id}), ${where}`;
}

/** So many pieces of a chunk are named. */
const namedPieces = 3;

/** What a chunk is: its pieces, or the first few and how many more. */
export function nameOfChunk({ pieces }: QueryChunk): string {
  const names = pieces.slice(0, namedPieces).map(nameOfPiece);
  const more = pieces.length - names.length;
  return `${names.join('; ')}${more === 0 ? '' : `; and ${more} more, each with its name above it`}`;
}

/** A chunk as the sub-model reads it: pieces are told apart where there are several. */
export async function readChunk(store: SessionStore, chunk: QueryChunk): Promise<string> {
  const texts: string[] = [];
  for (const piece of chunk.pieces) {
    const { text } = await store.read(piece.offsetChars, piece.lengthChars);
    if (chunk.pieces.length === 1) return text;
    const isEnded = text.endsWith('\n') || piece === chunk.pieces.at(-1);
    texts.push(`--- ${nameOfPiece(piece)} ---\n${text}${isEnded ? '' : '\n'}`);
  }
  return texts.join('');
}

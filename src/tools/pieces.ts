import { entryAt } from './filters.ts';
import type { SearchMatch } from '../search/types.ts';
import type { Entry, SessionStore, TextSlice } from '../store/types.ts';

/** Where a run of text lies in the whole context. */
export interface Piece {
  readonly offsetChars: number;
  readonly lengthChars: number;
  /** 1-based numbers of the first and last line, where the piece was found by line. */
  readonly lines?: readonly [number, number];
  readonly entry?: string;
}

/** Pieces that go into one question. */
export interface QueryChunk {
  readonly pieces: readonly Piece[];
  readonly lengthChars: number;
}

/** Room for the line that tells one piece of a chunk from the next, code points. */
const headerChars = 60;

/** The least share of a piece that a cut back to a line border may leave. */
const minShareAfterCut = 0.5;

/**
 * Cuts the characters [start, end) into pieces of at most `maxChars`, at line borders where lines
 * are short enough for that.
 */
export async function* cutRange(
  store: SessionStore,
  range: { readonly startChars: number; readonly endChars: number },
  options: { readonly maxChars: number; readonly entry?: string },
): AsyncGenerator<Piece, void, void> {
  let offsetChars = range.startChars;
  while (offsetChars < range.endChars) {
    const left = range.endChars - offsetChars;
    const slice = await store.read(offsetChars, Math.min(options.maxChars, left));
    if (slice.lengthChars === 0) return;
    const isLast = slice.lengthChars >= left;
    const lengthChars = isLast ? slice.lengthChars : lengthToLineBorder(slice);
    yield {
      offsetChars,
      lengthChars,
      ...(options.entry === undefined ? {} : { entry: options.entry }),
    };
    offsetChars += lengthChars;
  }
}

function lengthToLineBorder(slice: TextSlice): number {
  const end = slice.text.lastIndexOf('\n') + 1;
  if (end < slice.text.length * minShareAfterCut) return slice.lengthChars;
  return slice.lengthChars - countChars(slice.text.slice(end));
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
  for (const match of matches.toSorted((a, b) => a.line - b.line)) {
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
  for (const { first, last } of windows) {
    const lines = [first, last] as const;
    const { offsetChars, lengthChars } = await store.readLines(first, last);
    if (lengthChars <= options.maxChars) yield { offsetChars, lengthChars, lines };
    else
      yield* cutRange(
        store,
        { startChars: offsetChars, endChars: offsetChars + lengthChars },
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
    offset: offsetChars,
    length: lengthChars,
    ...(lines === undefined ? {} : { lines: `${lines[0]}-${lines[1]}` }),
    ...(entry === undefined ? {} : { entry }),
  }));
}

/** A chunk as the sub-model reads it: pieces are told apart where there are several. */
export async function readChunk(store: SessionStore, chunk: QueryChunk): Promise<string> {
  const texts: string[] = [];
  for (const { offsetChars, lengthChars, lines, entry } of chunk.pieces) {
    const { text } = await store.read(offsetChars, lengthChars);
    if (chunk.pieces.length === 1) return text;
    const names = [entry, lines && `lines ${lines[0]}-${lines[1]}`, `offset ${offsetChars}`];
    texts.push(`--- ${names.filter((name) => name !== undefined).join(', ')} ---\n${text}`);
  }
  return texts.join('\n');
}

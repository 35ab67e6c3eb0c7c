import type { LineView } from '../text/line-view.ts';
import type { Program } from '../automaton/program.ts';
import type { Scope } from '../text/pieces.ts';
import { rangeAt } from '../text/ranges.ts';
import { withinEntry } from '../text/shared-entries.ts';
import type { Hit, ShownHit } from './protocol.ts';
import type { SearchMatch, SearchQuery } from '../types.ts';

/**
 * Lines up to this many bytes are looked at whole to find the match in them; of longer ones the
 * part around the hit.
 */
const maxLookBytes = 4_194_304;

/** How far behind a match another one is looked for in the same line, bytes. */
const maxMoreBytes = 65_536;

/** As far in front of a match the text is looked at that decides what matches, bytes. */
const maxBehindBytes = 65_536;

/** Most marks of one hit. */
const maxMarks = 100;

/** The shown part of a line, and at which ends there is more of it. */
interface Clip {
  readonly text: string;
  /** The bytes [startBytes, endBytes) of the text that are shown. */
  readonly startBytes: number;
  readonly endBytes: number;
  readonly cut?: { readonly start: boolean; readonly end: boolean };
}

/** Makes what the asker sees of hits: text, line number, offsets, lines around. */
export class HitText {
  readonly #view: LineView;
  readonly #program: Program;
  readonly #scope: Scope;
  readonly #query: SearchQuery;

  constructor(view: LineView, program: Program, scope: Scope, query: SearchQuery) {
    this.#view = view;
    this.#program = program;
    this.#scope = scope;
    this.#query = query;
  }

  /** Shows one hit. */
  show(hit: Hit): ShownHit {
    const [floor, ceiling] = this.#placeOf(hit.at);
    const startBytes = this.#view.lineStart(hit.at, floor);
    const endBytes = this.#view.lineEnd(Math.max(hit.at, (hit.end ?? 0) - 1), ceiling);
    const matchAt = hit.end === undefined ? this.#matchIn(startBytes, endBytes, hit.at) : hit.at;
    const { line, chars } = this.#view.position(matchAt);
    const clip = this.#clip(startBytes, endBytes, matchAt);
    const { text, cut } = clip;
    const clipped = cut !== undefined;
    const isMatch = this.#query.unit === 'match';
    const more =
      !isMatch && clipped && this.#hasMore(matchAt, endBytes) ? { hasMore: true as const } : {};
    const around =
      this.#query.contextLines > 0 ? this.#around(startBytes, endBytes, floor, ceiling) : {};
    const place = { line, offsetChars: chars, offsetBytes: matchAt };
    const marks =
      this.#query.marks === true ? { marks: this.#marks(clip, matchAt, startBytes, endBytes) } : {};
    const match = { ...place, text, clipped, ...(cut && { cut }), ...marks, ...more, ...around };
    // A list of matches goes on behind this one, in the same line or not.
    if (isMatch) return { match, startBytes: matchAt, endBytes: matchAt };
    const lineEndBytes = hit.end === undefined ? endBytes : this.#view.lineEnd(hit.at, ceiling);
    return { match, startBytes, endBytes: lineEndBytes };
  }

  /** What may be shown around byte `at`: the part of its entry that may be searched. */
  #placeOf(at: number): readonly [number, number] {
    const { ranges, entries, endBytes } = this.#scope;
    return withinEntry(entries, at, rangeAt(ranges, at) ?? [0, endBytes]);
  }

  /** Where the first match of the line starts. */
  #matchIn(start: number, end: number, near: number): number {
    const from = end - start <= maxLookBytes ? start : Math.max(start, near - maxLookBytes / 2);
    const to = Math.min(end, from + maxLookBytes);
    const bytes = this.#view.bytes(from, to);
    let border = 0;
    while (border < 3 && (bytes[border]! & 0xc0) === 0x80) border++;
    const match = this.#program.spans.first(bytes, border, bytes.length);
    return match === undefined ? near : from + match[0];
  }

  /** Whether another match follows in the line behind the first one, as far as is looked. */
  #hasMore(matchAt: number, end: number): boolean {
    const to = Math.min(end, matchAt + maxMoreBytes);
    const bytes = this.#view.bytes(matchAt, to);
    let matches = 0;
    this.#program.spans.each(bytes, [0, bytes.length], 0, [], () => matches++);
    return matches > 1;
  }

  /**
   * The text of [start, end), or of the part around the match where it is longer than allowed: a
   * quarter before it.
   */
  #clip(start: number, end: number, matchAt: number): Clip {
    const limit = this.#query.maxLineChars;
    const all = { startBytes: start, endBytes: end };
    if (end - start <= limit) return { text: this.#view.bytes(start, end).toString(), ...all };
    const before = this.#decode(Math.max(start, matchAt - 4 * limit), matchAt);
    const after = this.#decode(matchAt, Math.min(end, matchAt + 4 * limit));
    if (before.length + after.length <= limit && end - start <= 4 * limit) {
      return { text: [...before, ...after].join(''), ...all };
    }
    const wantBefore = Math.max(limit >> 2, limit - after.length);
    const shownBefore = before.slice(Math.max(0, before.length - wantBefore));
    const shownAfter = after.slice(0, limit - shownBefore.length);
    const cut = {
      start: shownBefore.length < before.length || matchAt - 4 * limit > start,
      end: shownAfter.length < after.length || matchAt + 4 * limit < end,
    };
    const [textBefore, textAfter] = [shownBefore.join(''), shownAfter.join('')];
    return {
      text: textBefore + textAfter,
      startBytes: matchAt - Buffer.byteLength(textBefore),
      endBytes: matchAt + Buffer.byteLength(textAfter),
      cut,
    };
  }

  /** Where in the shown part of [start, end) the match is that is shown, and those behind it. */
  #marks(
    { startBytes, endBytes }: Clip,
    matchAt: number,
    start: number,
    end: number,
  ): readonly (readonly [number, number])[] {
    // What stands around a match decides whether it is one.
    const from = Math.max(start, Math.min(startBytes, matchAt - maxBehindBytes));
    const to = Math.min(end, Math.max(endBytes, matchAt + maxMoreBytes));
    const bytes = this.#view.bytes(from, to);
    let border = 0;
    while (border < 3 && (bytes[border]! & 0xc0) === 0x80) border++;
    const shown = bytes.subarray(startBytes - from, endBytes - from);
    const unitsAt = (at: number): number =>
      shown.toString('utf8', 0, from + at - startBytes).length;
    const marks: (readonly [number, number])[] = [];
    this.#program.spans.each(bytes, [border, bytes.length], matchAt - from, [], (first, last) => {
      if (first === last || from + first >= endBytes || marks.length >= maxMarks) return;
      marks.push([unitsAt(first), unitsAt(last)]);
    });
    return marks;
  }

  /** A line beside a hit; marked where it is longer than what is shown of it. */
  #lineAround(start: number, end: number): string {
    const { text, cut } = this.#clip(start, end, start);
    return cut === undefined ? text : `${text}…`;
  }

  /** Code points of [start, end); pieces of one that is cut at the start are left out. */
  #decode(start: number, end: number): readonly string[] {
    const bytes = this.#view.bytes(start, end);
    let skip = 0;
    while (skip < 3 && (bytes[skip]! & 0xc0) === 0x80) skip++;
    return Array.from(bytes.toString('utf8', skip));
  }

  #around(
    start: number,
    end: number,
    floor: number,
    ceiling: number,
  ): Pick<SearchMatch, 'before' | 'after' | 'atEntryBorder'> {
    const before: string[] = [];
    for (let at = start; before.length < this.#query.contextLines && at > floor;) {
      const lineStart = this.#view.lineStart(at - 1, floor);
      before.unshift(this.#lineAround(lineStart, at - 1));
      at = lineStart;
    }
    const after: string[] = [];
    for (let at = end + 1; after.length < this.#query.contextLines && at < ceiling;) {
      const lineEnd = this.#view.lineEnd(at, ceiling);
      after.push(this.#lineAround(at, lineEnd));
      at = lineEnd + 1;
    }
    const isCut =
      (before.length < this.#query.contextLines && floor > 0) ||
      (after.length < this.#query.contextLines && ceiling + 1 < this.#scope.endBytes);
    return { before, after, ...(isCut ? { atEntryBorder: true } : {}) };
  }
}

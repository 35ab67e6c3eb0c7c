import { styleText } from 'node:util';
import type { SaidMoment } from './moments.ts';
import { jsonText, type Output, print, printStyled, visible } from './screen.ts';

/** A hit as the tools give it. */
export interface PrintedHit {
  /** 1-based, in the entry. */
  readonly line: number;
  readonly text: string;
  /** Of the match, in characters from the start of the context; absent in a linked store. */
  readonly offset?: number;
  /** The linked store that it is of. */
  readonly store?: string;
  readonly entry?: string;
  readonly path?: string;
  readonly title?: string;
  readonly tool?: string;
  readonly superseded_by?: string;
  readonly before?: readonly string[];
  readonly after?: readonly string[];
}

/** How hits are shown. */
export interface HitStyle {
  readonly json?: boolean;
  readonly count?: boolean;
  /** false: no line numbers. */
  readonly lineNumber?: boolean;
  /** Most lines shown before and behind a hit; absent = as many as it has. */
  readonly beforeContext?: number;
  readonly afterContext?: number;
  /** Only whole words are marked. */
  readonly wordRegexp?: boolean;
  readonly ignoreCase?: boolean;
  /** What was searched, to mark it in the lines. */
  readonly pattern?: string;
  readonly text?: string;
}

/**
 * Prints hits as ripgrep does: in a terminal under headings and with colours, in a pipe one line
 * each, or as JSON lines.
 */
export class HitPrinter {
  readonly #out: Output;
  readonly #style: HitStyle;
  readonly #mark: RegExp | undefined;
  #heading: string | undefined;
  #lastLine = Number.NaN;

  constructor(out: Output, style: HitStyle) {
    this.#out = out;
    this.#style = style;
    this.#mark = markOf(style);
  }

  print(hits: readonly PrintedHit[]): void {
    for (const [index, hit] of hits.entries()) {
      if (this.#style.json === true) {
        print(`${jsonText({ type: 'match', ...hit })}\n`, this.#out);
      } else this.#printHit(hit, hits[index + 1]);
    }
  }

  /** Says what was found in all. */
  end(summary: {
    readonly session: string;
    /** The moment that was asked, where one was. */
    readonly as_of?: SaidMoment;
    readonly total: number;
    readonly shown: number;
  }): void {
    if (this.#style.json === true) {
      print(`${jsonText({ type: 'summary', ...summary })}\n`, this.#out);
    } else if (this.#style.count === true) print(`${summary.total}\n`, this.#out);
  }

  #printHit(hit: PrintedHit, next: PrintedHit | undefined): void {
    const { beforeContext = Infinity, afterContext = Infinity } = this.#style;
    const own = hit.before ?? [];
    const before = own.slice(Math.max(0, own.length - beforeContext));
    // As far as the next hit, which shows its line itself.
    const room = next?.entry === hit.entry && next ? next.line - hit.line - 1 : Infinity;
    const after = (hit.after ?? []).slice(0, Math.max(0, Math.min(afterContext, room)));
    const first = hit.line - before.length;
    const place = this.#shown(
      [hit.entry ?? '', hit.tool, hit.path ?? hit.title].filter(Boolean).join('  '),
    );
    if (this.#out.isTTY && place !== this.#heading) {
      const note =
        hit.superseded_by === undefined ? '' : `  (newer: ${this.#shown(hit.superseded_by)})`;
      printStyled(
        `${this.#heading === undefined ? '' : '\n'}${this.#color('magenta', place)}${note}\n`,
        this.#out,
      );
    } else if (
      before.length + after.length > 0 &&
      (place !== this.#heading || first > this.#lastLine + 1)
    ) {
      if (!Number.isNaN(this.#lastLine)) print('--\n', this.#out);
    }
    // Lines that the hit before has shown behind it are not shown again.
    const shownTo = place === this.#heading ? this.#lastLine : 0;
    this.#heading = place;
    for (const [index, text] of before.entries())
      if (!(first + index <= shownTo)) this.#printLine(hit, first + index, '-', this.#shown(text));
    this.#printLine(hit, hit.line, ':', this.#marked(hit.text));
    for (const [index, text] of after.entries()) {
      this.#printLine(hit, hit.line + 1 + index, '-', this.#shown(text));
    }
    this.#lastLine = hit.line + after.length;
  }

  #printLine(hit: PrintedHit, line: number, separator: ':' | '-', text: string): void {
    // As `get` takes it: an entry bears the name of its store itself.
    const path =
      hit.store === undefined || hit.path === undefined ? hit.path : `${hit.store}:${hit.path}`;
    const source = path ?? hit.entry;
    const place = this.#out.isTTY || source === undefined ? '' : `${source}${separator}`;
    const number =
      this.#style.lineNumber === false ? '' : `${this.#color('green', String(line))}${separator}`;
    printStyled(`${place}${number}${text}\n`, this.#out);
  }

  #marked(text: string): string {
    if (this.#mark === undefined) return this.#shown(text);
    let marked = '';
    let end = 0;
    for (const { 0: found, index } of text.matchAll(this.#mark)) {
      if (found === '') continue;
      marked += this.#shown(text.slice(end, index)) + this.#color('red', this.#shown(found));
      end = index + found.length;
    }
    return marked + this.#shown(text.slice(end));
  }

  /** Stored text, as it may be written. */
  #shown(text: string): string {
    return this.#out.isTTY ? visible(text) : text;
  }

  #color(name: 'magenta' | 'green' | 'red', text: string): string {
    return styleText(name, text, { stream: this.#out });
  }
}

/** A pattern in a spelling that V8 does not know is found all the same, only not marked. */
function markOf({ pattern, text, ignoreCase, wordRegexp }: HitStyle): RegExp | undefined {
  const plain = pattern ?? text?.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
  if (plain === undefined) return undefined;
  const source = wordRegexp === true ? String.raw`\b(?:${plain})\b` : plain;
  try {
    return new RegExp(source, ignoreCase === true ? 'gi' : 'g');
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

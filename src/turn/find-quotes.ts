/** Words that an answer gives as those of a stored text. */
export interface Quote {
  /** One line, without the marks around it. */
  readonly text: string;
  /** The entry it is said to be from, as `e12` or `api:e12`, where one is named beside it. */
  readonly entry?: string;
}

/** Shorter ones occur everywhere and prove nothing, characters. */
const minQuoteChars = 8;

/** A longer line is not a quote that a person would compare, characters. */
const maxQuoteChars = 2_000;

/**
 * So much of a line is looked at, UTF-16 units: no paragraph is longer, and an answer of megabytes
 * without a line's end must hold up nobody.
 */
const maxLineUnits = 20_000;

/**
 * An entry, with a line or without: `e12`, `e12:120`, `e12 line 120`; of a linked store, `api:e12`.
 */
const entryName = /(?<![\w/.:-])([a-z0-9-]{1,32}:)?e(\d{1,9})(?![\w/-])(?::\d+)?/g;

/** What stands in quotation marks or backticks on a line. */
const quoted = /`([^`]+)`|"([^"]+)"|“([^”]+)”|«([^»]+)»/g;

/** A line as a search result shows it: `e12:120: text`, `e12:120 text`. */
const shownLine = /^\W*(?:[a-z0-9-]{1,32}:)?e\d{1,9}:\d+[:|]?\s+(.+)$/;

/** Lines without text after which a code block still belongs to the entry named before it. */
const maxGapLines = 1;

/**
 * Finds quotes in an answer while it is written: lines of block quotes, what stands in quotation
 * marks or backticks on a line that names an entry, lines after `e12:120:`, and code blocks right
 * behind a line that names an entry. Everything else is the model's own words.
 */
export class QuoteFinder {
  #line = '';
  #entry: string | undefined;
  #gapLines = 0;
  /** The code block that is open: its fence, and whether its lines are quotes. */
  #block: { readonly fence: string; readonly isQuoted: boolean } | undefined;

  /** Takes the next piece of the answer; the quotes of the lines that it ends. */
  take(text: string): readonly Quote[] {
    // Only the new piece is searched for the line's end: a long line comes in very many pieces.
    if (!text.includes('\n')) {
      this.#extend(text);
      return [];
    }
    const [rest = '', ...lines] = text.split('\n');
    const next = lines.pop() ?? '';
    this.#extend(rest);
    const quotes = [this.#line, ...lines].flatMap((line) => this.#read(line));
    this.#line = '';
    this.#extend(next);
    return quotes;
  }

  /** After the last piece: the quotes of the last line. */
  end(): readonly Quote[] {
    const last = this.#line;
    this.#line = '';
    return this.#read(last);
  }

  #extend(text: string): void {
    if (this.#line.length < maxLineUnits) this.#line += text;
  }

  #read(wholeLine: string): readonly Quote[] {
    const line = wholeLine.slice(0, maxLineUnits).replace(/\r$/, '');
    const fence = /^\s*(`{3,}|~{3,})/.exec(line)?.[1];
    if (this.#block !== undefined) {
      if (fence?.startsWith(this.#block.fence) === true) this.#block = undefined;
      else if (this.#block.isQuoted) return this.#quotes([line]);
      return [];
    }
    if (fence !== undefined) {
      this.#block = { fence, isQuoted: this.#entry !== undefined };
      return [];
    }
    const named = [...line.matchAll(entryName)].map(
      ([, store = '', number = '']) => `${store}e${number}`,
    );
    const blockQuote = /^\s{0,3}>+\s?(.*)$/.exec(line)?.[1];
    this.#follow(line, named, blockQuote !== undefined);
    if (blockQuote !== undefined) return this.#quotes([blockQuote]);
    if (named.length === 0) return [];
    const shown = shownLine.exec(line)?.[1];
    if (shown !== undefined) return this.#quotes([shown]);
    const texts = [...line.matchAll(quoted)].map((found) => found.slice(1).find(Boolean) ?? '');
    return this.#quotes(texts.filter((text) => !/^(?:[a-z0-9-]+:)?e\d+(?::\d+)?$/.test(text)));
  }

  /** Which entry what follows is from: the one named last, until other words come. */
  #follow(line: string, named: readonly string[], isQuote: boolean): void {
    if (named.length > 0) {
      // Of several, nobody knows which one is meant: the quote is looked for in all.
      this.#entry = new Set(named).size === 1 ? named[0] : undefined;
      this.#gapLines = 0;
    } else if (line.trim() === '') {
      this.#gapLines += 1;
      if (this.#gapLines > maxGapLines) this.#entry = undefined;
    } else if (!isQuote) this.#entry = undefined;
  }

  #quotes(texts: readonly string[]): readonly Quote[] {
    const entry = this.#entry;
    return texts
      .map((text) => text.trim())
      .filter((text) => text.length >= minQuoteChars && text.length <= maxQuoteChars)
      .map((text) => (entry === undefined ? { text } : { text, entry }));
  }
}

/**
 * Pure. What a quote may be spelled like in the text, likeliest first: as it is, without the line
 * number that a search result puts before it, and without marks around it. Left-out words (`…`,
 * `...`) stand between parts that follow each other on one line. Patterns of regular expressions.
 */
export function patternsOf(text: string): readonly string[] {
  const bare = text.replace(/^\s*\d+\s*[:|]\s?/, '');
  const plain = bare.replace(/^[*_`"'“«-]+\s*|[*_`"'”»]+[.,;]?$/g, '');
  const spellings = [text, bare, plain].map((spelling) =>
    spelling
      .split(/\s*(?:…|\.{3}|\[…\]|\[\.{3}\])\s*/)
      .filter((part) => part.trim() !== '')
      .map((part) => part.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'))
      .join('.*'),
  );
  return [...new Set(spellings)].filter((pattern) => pattern.length >= minQuoteChars);
}

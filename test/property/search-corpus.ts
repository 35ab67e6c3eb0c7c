import { wholeFile } from '../../src/base/text-spans.ts';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TextBlocks, Corpus, SearchQuery } from '../../src/search/types.ts';

/**
 * The block table of a text, by the rule that `TextBlocks` states, written as plainly as possible.
 */
function blockTable(text: Buffer): TextBlocks {
  const starts: number[] = [];
  const chars: number[] = [];
  const lines: number[] = [];
  let charCount = 0;
  let lineNumber = 1;
  for (let start = 0; start < text.length;) {
    starts.push(start);
    chars.push(charCount);
    lines.push(lineNumber);
    let end = Math.min(start + 32_768, text.length);
    if (end < text.length || text.at(-1) !== 10) {
      const newline = text.lastIndexOf(10, end - 1);
      if (newline >= start) end = newline + 1;
      else while (end < text.length && (text[end]! & 0xc0) === 0x80) end--;
    }
    for (let at = start; at < end; at++) {
      if ((text[at]! & 0xc0) !== 0x80) charCount++;
      if (text[at] === 10) lineNumber++;
    }
    start = end;
  }
  return {
    count: starts.length,
    byteStart: Float64Array.from(starts),
    charStart: Float64Array.from(chars),
    lineStart: Float64Array.from(lines),
  };
}

/** A text on disk as a corpus. Dispose of it to remove it. */
export class TestCorpus implements Corpus {
  readonly sessionId = 'sess_test';
  readonly textPath: string;
  readonly spans: Corpus['spans'];
  readonly indexDir: string;
  readonly #folder: string;
  #text: Buffer = Buffer.alloc(0);
  #blocks: TextBlocks = blockTable(Buffer.alloc(0));
  #totals: Corpus['totals'] = { bytes: 0, chars: 0, lines: 0 };

  constructor(text: string | Buffer) {
    this.#folder = mkdtempSync(join(tmpdir(), 'rlm-search-'));
    this.textPath = join(this.#folder, 'context.txt');
    this.spans = wholeFile(this.textPath);
    this.indexDir = join(this.#folder, 'index');
    this.write(text);
  }

  write(text: string | Buffer): void {
    this.#text = Buffer.from(text);
    this.#blocks = blockTable(this.#text);
    let lines = 0;
    let chars = 0;
    for (const byte of this.#text) {
      if (byte === 10) lines++;
      if ((byte & 0xc0) !== 0x80) chars++;
    }
    this.#totals = { bytes: this.#text.length, chars, lines };
    writeFileSync(this.textPath, this.#text);
  }

  get totals(): Corpus['totals'] {
    return this.#totals;
  }

  get blocks(): TextBlocks {
    return this.#blocks;
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** A query with the defaults of a plain search. */
export function query(pattern: string, more: Partial<SearchQuery> = {}): SearchQuery {
  return {
    pattern,
    literal: false,
    caseSensitive: true,
    maxResults: 1_000,
    contextLines: 0,
    order: 'oldest',
    maxLineChars: 2_000,
    ...more,
  };
}

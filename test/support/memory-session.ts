import { wholeFile, type TextSpan } from '../../src/base/text-spans.ts';
import { createHash } from 'node:crypto';
import type { Corpus, SearchEngine, SearchMatch, SearchQuery } from '../../src/search/types.ts';
import { EntryListing } from '../../src/store/text/entry-listing.ts';
import type { Entry, Session, SessionStore, Snapshot } from '../../src/store/types.ts';

/** One text of a {@link memorySession}. */
export interface MemoryText {
  readonly text: string;
  readonly path?: string;
  readonly tool?: string;
  /** When it was stored, milliseconds since 1970 (default: 0). */
  readonly timeMs?: number;
}

function refuse(): never {
  throw new Error('the session in memory only reads');
}

/**
 * A session over a few texts, without a disk: for tests of what reads a store. Each text should end
 * in a newline.
 */
export function memorySession(texts: readonly MemoryText[]): Session {
  const whole = texts.map((one) => one.text).join('');
  // Where no character takes two units, offsets are those of the string: large texts stay cheap.
  const points = /[\ud800-\udfff]/.test(whole) ? Array.from(whole) : undefined;
  const lines = whole.split('\n').map((line) => `${line}\n`);
  lines.pop();
  const entries: Entry[] = [];
  const totals = { bytes: 0, chars: 0, lines: 0, entries: texts.length };
  for (const [index, one] of texts.entries()) {
    const size = {
      bytes: Buffer.byteLength(one.text),
      chars: Array.from(one.text).length,
      lines: one.text.split('\n').length - 1,
    };
    entries.push({
      id: `e${index + 1}`,
      seq: index + 1,
      kind: one.tool === undefined ? 'file' : 'tool_result',
      timeMs: one.timeMs ?? 0,
      offsetBytes: totals.bytes,
      lengthBytes: size.bytes,
      offsetChars: totals.chars,
      lengthChars: size.chars,
      lineNumber: totals.lines + 1,
      lineCount: size.lines,
      sha256: createHash('sha256').update(one.text).digest('hex'),
      ...(one.path === undefined ? {} : { path: one.path }),
      ...(one.tool === undefined ? {} : { tool: one.tool }),
    });
    totals.bytes += size.bytes;
    totals.chars += size.chars;
    totals.lines += size.lines;
  }
  const list = new EntryListing();
  for (const entry of entries) list.add(entry);
  const slice = (start: number, length: number) => {
    const part = points?.slice(start, start + length);
    const text = part?.join('') ?? whole.slice(start, start + length);
    return { text, offsetChars: start, lengthChars: part?.length ?? text.length };
  };
  const snapshot: Snapshot = {
    sessionId: 'sess_memory',
    // In place of a path: `memoryText` reads it back.
    spans: wholeFile(whole),
    indexDir: '',
    totals,
    blocks: {
      count: 1,
      byteStart: new Float64Array(1),
      charStart: new Float64Array(1),
      lineStart: new Float64Array([1]),
      crc: new Uint32Array(1),
    },
    checks: {
      states: new Uint8Array([1]),
      lastCrc: 0,
      damaged: [],
      anchors: new Float64Array(0),
      recheck: async () => snapshot,
    },
    entries,
  };
  const store = {
    sessionId: 'sess_memory',
    totals,
    entries,
    list,
    entry: (id: string) => entries.find((entry) => entry.id === id),
    read: async (start: number, length: number) => slice(start, length),
    readBytes: async (start: number, length: number) => Buffer.from(slice(start, length).text),
    readLines: async (first: number, last: number) => {
      const before = Array.from(lines.slice(0, first - 1).join('')).length;
      return slice(before, Array.from(lines.slice(first - 1, last).join('')).length);
    },
    snapshot: () => snapshot,
  };
  return {
    id: 'sess_memory',
    createdMs: 0,
    // What is not there is not used by what reads.
    store: store as unknown as SessionStore,
    memory: {
      get: async () => undefined,
      atHand: () => undefined,
      has: () => false,
      put: refuse,
    },
    events: { all: [], add: refuse },
  };
}

/** Searches a {@link memorySession}, line by line, in the plainest way. */
export function memorySearch(): SearchEngine {
  return {
    searchSmall: async () => undefined,
    search: async (corpus: Corpus, query: SearchQuery) => {
      const pattern = query.literal
        ? RegExp(query.pattern.replaceAll(/[\\^$.|?+()[\]{}*]/g, String.raw`\$&`))
        : new RegExp(query.pattern);
      const found: SearchMatch[] = [];
      let offsetChars = 0;
      let offsetBytes = 0;
      for (const [index, line] of memoryText(corpus).split('\n').entries()) {
        const hit = pattern.exec(line);
        const at = offsetBytes + Buffer.byteLength(line.slice(0, hit?.index ?? 0));
        const isInside = query.ranges?.some(([start, end]) => at >= start && at < end) ?? true;
        if (hit !== null && isInside)
          found.push({
            line: index + 1,
            text: line,
            offsetChars: offsetChars + Array.from(line.slice(0, hit.index)).length,
            offsetBytes: at,
            clipped: false,
          });
        offsetChars += Array.from(line).length + 1;
        offsetBytes += Buffer.byteLength(line) + 1;
      }
      const matches = query.order === 'newest' ? found.toReversed() : found;
      return {
        matches: matches.slice(0, query.maxResults),
        total: found.length,
        partial: false,
        work: { engine: 'v8', bytesRead: 0, blocksRead: 0, blocksTotal: 1, indexed: false },
      };
    },
    index: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** The text of a session in memory. */
export function memoryText({ spans }: Pick<Corpus, 'spans'>): string {
  return (spans[0] as Extract<TextSpan, { readonly path: string }>).path;
}

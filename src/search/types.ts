import type { TextSpan } from '../base/text-spans.ts';

/**
 * A consistent view of one session's text. `store` fits this shape; `search` knows no store.
 * Everything is committed text: bytes beyond `totals.bytes` do not exist for a search.
 */
export interface Corpus {
  readonly sessionId: string;
  /** Where the text lies. */
  readonly spans: readonly TextSpan[];
  /** Folder for index files; a cache that may vanish at any time. */
  readonly indexDir: string;
  readonly totals: { readonly bytes: number; readonly chars: number; readonly lines: number };
  readonly blocks: TextBlocks;
  /**
   * The texts that it is made of, oldest first: a live list that only grows and may be ahead
   * of `totals`. Lines around a hit and matches over several lines end at their borders. Absent =
   * one text.
   */
  readonly entries?: readonly { readonly offsetBytes: number; readonly lengthBytes: number }[];
  /** Absent: the text is taken as it is. */
  readonly checks?: CorpusChecks;
}

/** What is known of the soundness of a text. */
interface CorpusChecks {
  /**
   * By block of the table, in shared memory: 0 nothing is known, 1 it is as its `crc` says, 2 there
   * is damage in it. Who reads a block of state 0 compares it, once for all; the last block is
   * compared with `lastCrc` each time.
   */
  readonly states: Uint8Array;
  readonly lastCrc: number;
  /** Never searched: ascending, disjoint; `name` is for people. Their blocks are in state 2. */
  readonly damaged: readonly {
    readonly startBytes: number;
    readonly endBytes: number;
    readonly name: string;
  }[];
  /**
   * Places in blocks of state 2 that are known for certain: bytes, code points, line number, three
   * by three, in shared memory.
   */
  readonly anchors: Float64Array;
  /**
   * Looks into blocks that are not as they should be: the corpus with what is damaged there known.
   */
  recheck(blocks: readonly number[]): Promise<Corpus>;
}

/**
 * Where blocks start. Block i covers bytes [byteStart[i], byteStart[i+1]); the last one ends at
 * `totals.bytes`. A block is the longest run of at most 32,768 bytes that ends after a newline or,
 * where a line is longer than that, 32,768 bytes cut back to a code point border. A pure function
 * of the text, so it can always be recomputed. `lineStart` is the 1-based number of the line that
 * the block's first byte lies in. `crc` is the CRC-32 of each block's bytes but the last one's.
 * Arrays may be longer than `count`.
 */
export interface TextBlocks {
  readonly count: number;
  readonly byteStart: Float64Array;
  readonly charStart: Float64Array;
  readonly lineStart: Float64Array;
  readonly crc?: Uint32Array;
}

/** A question to one session's text. */
export interface SearchQuery {
  /** A regular expression in JavaScript, Python or RE2 spelling; or plain text when `literal`. */
  readonly pattern: string;
  readonly literal: boolean;
  readonly caseSensitive: boolean;
  /** At most this many hits are returned (1 to 1,000); the total is exact all the same. */
  readonly maxResults: number;
  /** Lines shown before and after a hit (0 to 20). */
  readonly contextLines: number;
  /**
   * `oldest`: the order of the text. `newest`: the newest entry first, in reading order within one;
   * where the corpus names no entries, the last line first. `last`: the last line first.
   */
  readonly order: 'newest' | 'oldest' | 'last';
  /**
   * From an earlier answer of the same query: continues after its last hit, stable while the store
   * grows.
   */
  readonly cursor?: string | undefined;
  /** Byte ranges [start, end) that may be searched, ascending and disjoint; absent = everything. */
  readonly ranges?: readonly (readonly [number, number])[] | undefined;
  readonly aggregate?: Aggregate;
  /** Brings what capture groups hold, of all occurrences, instead of listing lines. */
  readonly records?: RecordQuery;
  /** Ranks the passages that hold matches: `matches` are then lines of the best ones. */
  readonly rank?: RankQuery;
  /**
   * What is listed and counted: each matching line once (the default), at its first match; or each
   * match, so that a line of megabytes gives all of its own.
   */
  readonly unit?: 'line' | 'match';
  /** Longest text of one hit, in characters; longer lines are clipped around the match. */
  readonly maxLineChars: number;
  /** Whether hits say where in their text the matches are. */
  readonly marks?: true;
}

/**
 * What to compute over all hits instead of listing them. `group` is a capture group's number (0 =
 * the whole match) or name.
 */
export interface Aggregate {
  readonly kind: 'count' | 'count_by' | 'unique' | 'first_last';
  readonly group?: number | string;
  /** Several keys instead of one `group`. */
  readonly by?: readonly GroupKey[];
  /** What else is computed for each group. With `count`: over all occurrences as one group. */
  readonly measures?: Measures;
  /** At most this many groups are returned, most frequent first; the number of groups is exact. */
  readonly maxGroups: number;
  /**
   * Counts over several corpora as if they were one, search by search: each takes over what those
   * before it have counted.
   */
  readonly chain?: CorpusChain;
}

/** The place of a search among several that count together. */
interface CorpusChain {
  /** Number of the corpus: in `first` and `last` of groups an earlier one comes first. */
  readonly corpus: number;
  /** What searches before this one have given as {@link SearchResult.carried}. */
  readonly carried: readonly CarriedCounts[];
  /** Whether the counts come back for the next search, in the place of groups. */
  readonly goesOn: boolean;
}

/** Counts on their way from one search to the next. Nobody but the engine looks into them. */
export interface CarriedCounts {
  readonly occurrences: number;
}

/** Where an occurrence is. */
export interface GroupPlace {
  readonly line: number;
  readonly offsetChars: number;
  /**
   * Of an aggregate with a `chain`: in which corpus, and at which byte; line and offset are then 0.
   */
  readonly chained?: { readonly corpus: number; readonly offsetBytes: number };
}

/**
 * What occurrences are grouped by: a capture group, or the entry that they lie in, by its label:
 * one number for each entry of the corpus, in shared memory; below 0 is no label. The value of such
 * a group is its label.
 */
export type GroupKey = number | string | { readonly labels: Int32Array<SharedArrayBuffer> };

/**
 * What is computed of the texts of capture groups, by number or name. `sum`, `min`, `max` and `avg`
 * take texts that are numbers (`1,234.5` too), `distinct` counts different texts.
 */
export interface Measures {
  readonly sum?: number | string | undefined;
  readonly min?: number | string | undefined;
  readonly max?: number | string | undefined;
  readonly avg?: number | string | undefined;
  readonly distinct?: number | string | undefined;
}

/**
 * Records: what all capture groups of the pattern hold (the whole match where it has none; the
 * first 15 where it has more). Where there are more records than asked for, none are given.
 */
export interface RecordQuery {
  readonly maxRecords: number;
  /** Adds as the last field the label of the entry that the occurrence lies in, -1 for none. */
  readonly labels?: Int32Array<SharedArrayBuffer>;
}

/** Records in the order of the text, as one text. */
export interface RecordTable {
  readonly count: number;
  /** Names of the capture groups, `null` for those without; of the label there is none. */
  readonly names: readonly (string | null)[];
  /** Fields of a record, the label included. */
  readonly fieldCount: number;
  /** There are more than were asked for, or too much text: `text` is empty. */
  readonly overflowed: boolean;
  /** Stands between two fields, and in none. Absent: the text is a JSON list of all fields. */
  readonly separator?: string;
  /** All fields of all records, UTF-8. */
  readonly text: Uint8Array<ArrayBuffer>;
}

/** A search for words: passages that hold rare ones, or many, come first. */
export interface RankQuery {
  /**
   * What the pattern may match, and what it counts as: `key` is the match in lower case, without
   * blanks, `_`, `.`, `-` and `/`; `parts` are words that it is a match of, too.
   */
  readonly words: readonly {
    readonly text: string;
    readonly key: string;
    readonly parts: readonly number[];
  }[];
  /** At most so many passages; of each some lines are shown. */
  readonly passages: number;
}

/** How often a word occurs. */
export interface WordCount {
  readonly text: string;
  readonly count: number;
}

/** One matching line. */
export interface SearchMatch {
  /** 1-based line number in the session's text. */
  readonly line: number;
  /** The line without its newline, clipped around the match where it is long. */
  readonly text: string;
  /**
   * Code point offset of the match itself (not of the line), so that a read from there shows it.
   */
  readonly offsetChars: number;
  readonly offsetBytes: number;
  readonly clipped: boolean;
  /** Where a clipped line goes on beyond what is shown of it. */
  readonly cut?: { readonly start: boolean; readonly end: boolean };
  /**
   * Where asked for: the match and those behind it in `text`, code units `[start, end)`, ascending
   * and disjoint, at most 100. One that goes on beyond what is shown ends there.
   */
  readonly marks?: readonly (readonly [number, number])[];
  /**
   * Set where a line that is clipped holds more matches than the one shown; with `unit: 'match'`
   * they are listed.
   */
  readonly hasMore?: true;
  /** Set where lines before or after would have come from another entry and are left out. */
  readonly atEntryBorder?: true;
  readonly before?: readonly string[];
  readonly after?: readonly string[];
}

/** One value of an aggregate. */
export interface AggregateGroup {
  readonly value: string;
  /** The keys' values one by one, where the aggregate has `by`; empty for one that took no part. */
  readonly values?: readonly string[];
  readonly count: number;
  readonly sum?: number;
  readonly min?: number;
  readonly max?: number;
  readonly avg?: number;
  readonly distinct?: number;
  /** Texts of measured groups that are no numbers and were left out. */
  readonly notNumbers?: number;
  /** Of the group's first and last occurrence in the text. */
  readonly first: GroupPlace;
  readonly last: GroupPlace;
}

/** The answer. */
export interface SearchResult {
  readonly matches: readonly SearchMatch[];
  /**
   * Matching lines in all that was searched (a match over several lines counts once, at its first);
   * matches where the query's `unit` says so.
   */
  readonly total: number;
  /** True where not everything was searched: `total` is then a lower bound. `note` says why. */
  readonly partial: boolean;
  /** Set where the deadline ended the search before the text did. */
  readonly outOfTime?: true;
  /**
   * Lines that were given up, each for itself: a backtracking pattern took too long on it alone, or
   * it is too long. Absent = none.
   */
  readonly linesGivenUp?: number;
  readonly nextCursor?: string;
  readonly groups?: readonly AggregateGroup[];
  readonly groupCount?: number;
  /** Of an aggregate whose `chain` goes on. */
  readonly carried?: CarriedCounts;
  readonly records?: RecordTable;
  /** How often each word of a ranked search occurs. */
  readonly words?: readonly WordCount[];
  /** Occurrences, for an aggregate (a line may hold several). */
  readonly occurrences?: number;
  /**
   * What the asker should know: the pattern was taken as plain text, a construct was dropped, ...
   */
  readonly note?: string;
  /** For tests and benches: how the answer was found. */
  readonly work: {
    readonly engine: 'literal' | 'dfa' | 'v8';
    readonly bytesRead: number;
    readonly blocksRead: number;
    readonly blocksTotal: number;
    readonly indexed: boolean;
    /**
     * Blocks that were read and are not as their checksums say. The engine looks into them before
     * it answers.
     */
    readonly wrongBlocks?: readonly number[];
  };
}

/** How a search is run. */
export interface SearchOptions {
  readonly signal: AbortSignal;
  /** Longest time for the work, milliseconds. */
  readonly deadlineMs: number;
  /**
   * For whom: searches of one owner wait for those of others that have fewer at work. Absent = the
   * signal.
   */
  readonly owner?: object;
  /**
   * The same object for searches of one pattern in several corpora that are asked together: as long
   * as they are small they take one place, and go to the workers in one message each.
   */
  readonly group?: object;
}

/** Searches off the event loop. One per process. */
export interface SearchEngine {
  /**
   * @throws ProxyError `cancelled` when the signal aborts. Never because of the pattern.
   * `deadlineMs` counts from the start of the work, not from the queueing.
   */
  search(corpus: Corpus, query: SearchQuery, options: SearchOptions): Promise<SearchResult>;
  /**
   * The same where the index leaves so little to read that one worker does it at once: many texts
   * are asked together in this way. Undefined where it does not.
   */
  searchSmall(
    corpus: Corpus,
    query: SearchQuery,
    options: SearchOptions,
  ): Promise<SearchResult | undefined>;
  /**
   * Builds what is missing of the index in the background. Resolves when it is complete for this
   * snapshot. `isQuiet`: the text has come to rest, so all that lies behind the last whole group of
   * 64 blocks (32 KiB each) gets an index, too; while a text grows that would be made in vain.
   * @throws ProxyError `cancelled` when the signal aborts, `internal` where it cannot be written
   */
  index(corpus: Corpus, signal: AbortSignal, isQuiet?: boolean): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

import type { TextSpan } from '../../base/text-spans.ts';
import type { TallyTable } from './aggregation.ts';
import type { RankTable } from './ranking.ts';
import { recordBuffers, type RecordPart } from './record-list.ts';
import type { Pieces, Scope } from '../text/pieces.ts';
import type { BlockChecks } from '../text/block-checks.ts';
import type { SharedText } from '../text/shared-texts.ts';
import type { TextBlocks, SearchMatch, SearchQuery, SearchResult } from '../types.ts';

/**
 * What engine and workers say to each other. One search: the engine sends `plan` to one worker. It
 * either answers alone (`answer`), or says `spread`. When it is such a search's turn the engine
 * sends `join` to all, who claim chunks from one shared counter and end with a `part` each; the
 * engine merges the parts and sends each of them a share of the hits to `show`; with what is
 * `shown` it makes the answer. Where values are counted, the parts go to one worker that has to
 * `conclude` with an `answer`.
 */
export type Order =
  | { readonly kind: 'plan'; readonly job: number; readonly task: SearchTask }
  | {
      readonly kind: 'join';
      readonly job: number;
      readonly task: SearchTask;
      readonly plan: Plan;
    }
  | {
      readonly kind: 'show';
      readonly job: number;
      readonly task: SearchTask;
      /** Tells the answer to this order from that to an earlier one. */
      readonly share: number;
      readonly hits: readonly Hit[];
    }
  | {
      readonly kind: 'conclude';
      readonly job: number;
      readonly task: SearchTask;
      readonly part: SearchPart;
    }
  | { readonly kind: 'index'; readonly job: number; readonly index: IndexTask };

/** What a worker answers, by the job that it answers for. */
export type Report =
  | { readonly kind: 'ready' }
  | { readonly kind: 'spread'; readonly job: number; readonly plan: Plan }
  | { readonly kind: 'part'; readonly job: number; readonly part: SearchPart }
  | {
      readonly kind: 'shown';
      readonly job: number;
      readonly share: number;
      readonly shown: readonly ShownHit[];
      readonly wrongBlocks: readonly number[];
    }
  | { readonly kind: 'answer'; readonly job: number; readonly result: SearchResult }
  | { readonly kind: 'indexed'; readonly job: number }
  | {
      readonly kind: 'failed';
      readonly job: number;
      readonly message: string;
      /** What the system's error means, for people, where it was one. */
      readonly reason?: string;
      /** The text file is shorter than its snapshot. */
      readonly textTooShort: boolean;
    };

/** The memory of messages that is handed over with them and not copied: the fields of records. */
export function ownedBuffers(messages: readonly (Order | Report)[]): ArrayBuffer[] {
  return messages.flatMap(buffersOf);
}

function buffersOf(message: Order | Report): ArrayBuffer[] {
  if (message.kind === 'part' || message.kind === 'conclude')
    return recordBuffers(message.part.records ?? []);
  const text = message.kind === 'answer' ? message.result.records?.text : undefined;
  return text === undefined ? [] : [text.buffer];
}

/** What has to be read for a search. */
export interface Plan {
  readonly pieces: Pieces;
  /** Whether an index has ruled out the rest. */
  readonly indexed: boolean;
  /**
   * Whether one worker has to do it alone, because where a match ends decides where the next may
   * start.
   */
  readonly solo: boolean;
}

/** A search as a worker sees it. */
export interface SearchTask {
  readonly text: SharedText;
  /** What of it is searched. */
  readonly scope: Scope;
  readonly query: SearchQuery;
  /** Where an earlier answer of the same query ended. */
  readonly after?: number | undefined;
  /** What the asker should know, found before the search began. */
  readonly note?: string;
  readonly control: Control;
}

/** A part of the index to build, as a worker sees it. */
export interface IndexTask {
  readonly spans: readonly TextSpan[];
  readonly indexDir: string;
  readonly blocks: TextBlocks;
  /** Where the last block ends. */
  readonly endBytes: number;
  readonly checks?: BlockChecks;
  /** Absent: what lies behind the last whole group. */
  readonly segment?: number;
  /** Groups of 64 blocks that a segment's index shall cover. */
  readonly groups: number;
  readonly control: Control;
}

/** Shared between all who work on a search: the next chunk to claim, and whether to stop. */
export type Control = Int32Array<SharedArrayBuffer>;

/** Place in {@link Control}: the number of the next chunk to claim. */
export const nextChunk = 0;
/** Place in {@link Control}: 1 once the work is to stop. */
export const stopFlag = 1;

/** Control blocks that lie side by side. */
const controlsEach = 512;
let controls: Control = new Int32Array(new SharedArrayBuffer(0));
let controlsUsed = 0;

/**
 * A fresh control block. To make shared memory, and to hand it over, costs some microseconds a
 * piece: searches that begin together have theirs in one.
 */
export function createControl(): Control {
  if (2 * controlsUsed === controls.length) {
    controls = new Int32Array(new SharedArrayBuffer(8 * controlsEach));
    controlsUsed = 0;
  }
  const first = 2 * controlsUsed++;
  return controls.subarray(first, first + 2);
}

/** A hit to show: a byte of its line, and where the match ends if `at` is known to be its start. */
export interface Hit {
  readonly at: number;
  readonly end?: number;
}

/** A shown hit, and the bytes [startBytes, endBytes) of the line that it starts in. */
export interface ShownHit {
  readonly match: SearchMatch;
  readonly startBytes: number;
  readonly endBytes: number;
}

/** What one worker found in the chunks it claimed. */
export interface SearchPart {
  /** Matching lines, or matches where those are listed. */
  readonly total: number;
  /** The best hits in the query's order, at most one more than asked for. */
  readonly hits: readonly Hit[];
  readonly bytesRead: number;
  readonly blocksRead: number;
  /** Whether it ended before the text did. */
  readonly stopped: boolean;
  readonly engine: SearchResult['work']['engine'];
  readonly indexed: boolean;
  /** Blocks that are not as their checksums say. */
  readonly wrongBlocks: readonly number[];
  /** Lines that were given up because one alone took too long. */
  readonly skippedLines: number;
  /** What the asker should know of the pattern. */
  readonly note: string | undefined;
  /** What each worker has counted, for an aggregate. */
  readonly tallies?: readonly TallyTable[];
  /** What each worker has collected, for records. */
  readonly records?: readonly RecordPart[];
  /** What each worker has weighed, for a ranked search. */
  readonly rankings?: readonly RankTable[];
  /** Whether there were too many different values to count. */
  readonly overflowed?: boolean;
}

/*
 * Regular expression search over one large, growing UTF-8 text, without a child process and
 * without a copy of the text in memory.
 *
 * The question is grep's: which lines match, how many are there in all, what do the newest (or
 * oldest) of them say. The answer is exact whatever the index says, and comes in time whatever the
 * pattern is. Four ideas carry it:
 *
 * 1. Bytes. Decoding UTF-8 to JavaScript strings costs fifteen times what reading it does, so
 *    nothing is decoded but the lines that are shown. A pattern is parsed by our own parser
 *    (`pattern/pattern.ts`: JavaScript, Python and RE2 spellings; what is not an expression is
 *    searched as text), its letter case and classes are folded into sets of code points
 *    (`pattern/code-points.ts`), and these are compiled into a machine over UTF-8 bytes
 *    (`automaton/nfa.ts`).
 *
 * 2. Linear time. The machine is made deterministic state by state as the text asks for it
 *    (`automaton/determinizer.ts`, `automaton/line-dfa.ts`), in a table of fixed size. A newline
 *    leads back to the start, so a piece of text is one loop and no line is ever cut out; four
 *    parts of the piece are walked in one loop, because a walk waits for memory and four wait
 *    together. Where the text keeps asking for new states, a set of positions moved in parallel
 *    takes over (`automaton/bit-lines.ts`). Bytes know no words but those of ASCII: where a
 *    pattern asks for others, lines with other characters are looked at once more
 *    (`automaton/line-check.ts`). Where a match starts and ends is asked for shown and grouped
 *    lines only: one walk backwards over characters, one forwards (`automaton/span-finder.ts`), as
 *    in RE2; the second one carries where a capture group begins and ends
 *    (`automaton/tag-table.ts`). Lookaround and backreferences need V8
 *    (`automaton/v8-matcher.ts`); it sees candidate lines only, under a guard that stops it in the
 *    middle of a line.
 *
 * 3. Literals first. From the tree follows what every match must hold (`pattern/literals.ts`):
 *    texts of which all, or at least one, must be there. The rarest are looked for at memory speed
 *    (one literal by its two rarest bytes, several by nibble masks over four of their bytes, after
 *    Hyperscan's Teddy) and only lines that have one are shown to the automaton. Where they are
 *    too frequent, they are left alone.
 *
 * 4. An index that is only a filter. Russ Cox's codesearch keeps, for each trigram, the files that
 *    have it, and asks for the trigrams that a match must hold; zoekt keeps their positions. Text
 *    that is appended to all day, in which a "file" is anything, asks for less: the text is cut
 *    into blocks of 32 KiB, and for each block a bitmap says which hashed sequences of three and
 *    four bytes are in it (ASCII letters in lower case). The bitmaps of 1,024 blocks lie turned
 *    over, a row per sequence with a bit per block, so that a query reads some rows of 128 bytes,
 *    the rarest first, and knows which blocks may match (`index/index-file.ts` has the format). It
 *    stops when the few blocks that are left cost less to search than to ask about, after ten rows
 *    or so. It may admit too much and never too little; every admitted block is searched as if
 *    there were no index. That is 20 % of the text on disk, nothing in memory, and a cache: it
 *    carries checksums of the text it was made from and of its own rows, is never believed
 *    otherwise, and can be deleted at any time. Blocks at the end that are not indexed yet (2 MiB
 *    at most once the builder has run; where the text has come to rest none, or less than 512 KiB
 *    of a small one) are searched always. Where most blocks are admitted, everything is read in
 *    order.
 *
 * One query, step by step: the engine (this file, main thread, no work of its own) hands it to the
 * least busy worker (`run/worker.ts`). That one makes the program (`automaton/program.ts`), asks
 * the index (`index/index-reader.ts`) and cuts what is left into chunks of 256 KiB
 * (`text/pieces.ts`). If that is little it searches them and answers; else it says so, and when
 * there is a place for a large search (`run/turn-queue.ts`) all workers claim chunks from one
 * shared counter, newest first or oldest first, each keeping the count and the best hits of its
 * own chunks (`run/scan-job.ts`), or its matches and their values (`run/match-jobs.ts`); the counts
 * are added and the hits merged (`run/search-run.ts`). Then the workers share the hits that are
 * shown: each reads the blocks of its own again, compares them with their checksums if it was
 * given any, and makes text, line numbers and offsets of them (`run/hit-text.ts`,
 * `text/line-view.ts`). A worker takes orders between chunks, and gives all its small searches a
 * step for each step of a large one, the large ones in turn, so that none waits for long. Orders of
 * one turn of the event loop go in one message, and so do answers to the same question; a text that
 * a worker knows is told by a number (`run/told-texts.ts`): many small texts are asked at the price
 * of a few messages, whatever their number; building the index waits for all of them. A search sees
 * the text as it was when it was asked: committed totals are part of the question, and of the
 * cursor.
 *
 * Stopping: at the deadline, or when the asker is gone, a flag in shared memory ends every job at
 * its next chunk; what was found is the answer, marked partial. A worker that does not come back
 * is not waited for, and killed a little later; a warm spare takes its place, and searches that
 * lost a part to it start again.
 *
 * The hot loops are WebAssembly (`kernels/`), because V8 has no SIMD for JavaScript and
 * bounds-checks it; `kernels/kernels-twins.ts` says what they mean. Tests compare the whole with
 * V8 line by line, with ripgrep on files, and every state of the index with none.
 */

import { availableParallelism } from 'node:os';
import { ProxyError } from '../errors.ts';
import type { Clock } from '../clock.ts';
import { decodeCursor } from './run/cursor.ts';
import { shareRanges } from './text/ranges.ts';
import type { Report, SearchTask } from './run/protocol.ts';
import { SearchRun } from './run/search-run.ts';
import { IndexUpkeep } from './run/index-upkeep.ts';
import { SharedBlocks } from './text/shared-blocks.ts';
import { scopeOf, SharedTexts } from './text/shared-texts.ts';
import { damageNote, goneNote, soundRanges } from './text/block-checks.ts';
import { QueuePlace, TurnQueue } from './run/turn-queue.ts';
import type { Corpus, SearchEngine, SearchOptions, SearchQuery, SearchResult } from './types.ts';
import { WorkerPool, type PoolEvents, type PoolWorker } from './run/worker-pool.ts';

/** What the engine is opened with. */
interface EngineOptions {
  readonly clock: Clock;
  /** Number of workers; default: one per core, at most 4. */
  readonly workers?: number;
  /**
   * For who asks once and ends, as a command does: workers start when there is work for them, none
   * is kept warm for the next question.
   */
  readonly isBrief?: boolean;
}

/**
 * Searches at once at most; more wait their turn. All of them together have to find room in a
 * worker's memory. A search is planned, and done if the index has cut it small, in a lane of its
 * own, so that it does not wait behind those that read everything.
 */
const maxSmallRuns = 6;
const maxLargeRuns = 5;

/**
 * A search starts over at most this often because text was found to be damaged. By the second
 * time almost all of the damage is known.
 */
const maxLooks = 5;

/**
 * Starts the workers, or will. Dispose of the engine to stop them; they do not keep the process
 * alive.
 */
export function openSearchEngine(options: EngineOptions): SearchEngine {
  return new Engine(options);
}

class Engine implements SearchEngine {
  readonly #clock: Clock;
  readonly #pool: WorkerPool;
  readonly #blocks = new SharedBlocks();
  readonly #texts = new SharedTexts(this.#blocks);
  readonly #runs = new Map<number, SearchRun>();
  readonly #upkeep: IndexUpkeep;
  readonly #small = new TurnQueue(maxSmallRuns);
  readonly #large = new TurnQueue(maxLargeRuns);
  #nextJob = 1;
  #closed = false;

  constructor({ clock, workers, isBrief = false }: EngineOptions) {
    this.#clock = clock;
    const size = workers ?? Math.min(availableParallelism(), 4);
    const events: PoolEvents = {
      report: (worker, report) => this.#report(worker, report),
      lost: (worker) => {
        for (const run of this.#runs.values()) run.lost(worker);
        this.#upkeep.lost(worker);
        this.#sweep();
      },
    };
    this.#pool = new WorkerPool(size, events, { isBrief });
    this.#upkeep = new IndexUpkeep({
      pool: this.#pool,
      blocks: this.#blocks,
      clock,
      nextJob: () => this.#nextJob++,
    });
  }

  async search(corpus: Corpus, query: SearchQuery, options: SearchOptions): Promise<SearchResult> {
    return (await this.#searchSound(corpus, query, options, false))!;
  }

  async searchSmall(
    corpus: Corpus,
    query: SearchQuery,
    options: SearchOptions,
  ): Promise<SearchResult | undefined> {
    return this.#searchSound(corpus, query, options, true);
  }

  /** Undefined only where it is large and none of these is wanted. */
  async #searchSound(
    corpus: Corpus,
    query: SearchQuery,
    options: SearchOptions,
    isSmallOnly: boolean,
  ): Promise<SearchResult | undefined> {
    let known = corpus;
    for (let attempt = 1; ; attempt++) {
      const result = await this.#searchOnce(known, query, options, isSmallOnly);
      if (result === undefined) return undefined;
      const { wrongBlocks = [] } = result.work;
      if (wrongBlocks.length === 0 || known.checks === undefined) {
        const { ranges } = query;
        const notes = [damageNote(known, ranges), goneNote(known, ranges), result.note];
        const note = notes.filter((each) => each !== undefined).join(' ');
        return note === '' ? result : { ...result, note };
      }
      // What was found there may be what was never stored: once more, when it is known what is
      // damaged.
      if (attempt === maxLooks) throw changesAllTheTime();
      known = await known.checks.recheck([...new Set(wrongBlocks)]);
    }
  }

  async #searchOnce(
    corpus: Corpus,
    query: SearchQuery,
    options: SearchOptions,
    isSmallOnly: boolean,
  ): Promise<SearchResult | undefined> {
    const { signal, deadlineMs } = options;
    if (signal.aborted) throw cancelled();
    if (this.#closed) throw closing();
    const job = this.#nextJob++;
    const task = this.#task(corpus, query);
    const place = new QueuePlace(this.#small, options.owner ?? signal, options.group);
    const run = new SearchRun({
      job,
      pool: this.#pool,
      clock: this.#clock,
      deadlineMs,
      task,
      large: isSmallOnly ? 'left' : (spread) => place.change(this.#large, spread),
    });
    const abort = (): void => {
      run.fail(cancelled());
      this.#sweep();
    };
    signal.addEventListener('abort', abort, { once: true });
    this.#runs.set(job, run);
    place.wait(() => run.start());
    try {
      return await run.result;
    } finally {
      signal.removeEventListener('abort', abort);
      place.leave();
      this.#sweep();
    }
  }

  async index(corpus: Corpus, signal: AbortSignal, isQuiet = false): Promise<void> {
    await this.#upkeep.index(corpus, signal, isQuiet);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const run of this.#runs.values()) run.fail(closing());
    this.#upkeep.close(closing());
    await this.#pool.close();
  }

  #task(corpus: Corpus, query: SearchQuery): Omit<SearchTask, 'control'> {
    const cursor = query.cursor === undefined ? undefined : decodeCursor(query, query.cursor);
    const endBytes = Math.min(cursor?.endBytes ?? Infinity, corpus.totals.bytes);
    const { ranges: _ranges, ...asked } = query;
    const ranges = shareRanges(soundRanges(corpus, query.ranges), endBytes);
    const text = this.#texts.share(corpus);
    return {
      text,
      scope: scopeOf(text, endBytes, ranges),
      query: asked,
      after: cursor?.after,
      ...(query.cursor !== undefined && cursor === undefined ? { note: foreignCursor } : {}),
    };
  }

  #report(worker: PoolWorker, report: Report): void {
    if (report.kind === 'ready') return;
    this.#runs.get(report.job)?.take(worker, report);
    this.#upkeep.report(worker, report);
    this.#sweep();
  }

  /** Forgets what is over and lets the next ones in. */
  #sweep(): void {
    for (const [job, run] of this.#runs) if (run.finished) this.#runs.delete(job);
  }
}

function changesAllTheTime(): ProxyError {
  return new ProxyError('store_corrupt', 'The stored text changes while it is searched.', {
    hint: 'Run `rlm-opencode doctor`, and see whether another program writes to the data directory.',
  });
}

const foreignCursor = 'The cursor belongs to another query; this is the first page.';

function cancelled(): ProxyError {
  return new ProxyError('cancelled', 'The search was cancelled.');
}

function closing(): ProxyError {
  return new ProxyError('shutting_down', 'The search engine is closing.');
}

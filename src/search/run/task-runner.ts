import { Aggregation } from './aggregation.ts';
import { answerBase, listAnswer } from './answer.ts';
import { HitText } from './hit-text.ts';
import { IndexJob } from './index-job.ts';
import { IndexReader } from '../index/index-reader.ts';
import { LineView } from '../text/line-view.ts';
import { MatchList, MultilineList } from './hit-lists.ts';
import { MatchJob, MultilineJob, type SpanParts } from './match-jobs.ts';
import { BlockSlots } from '../text/block-slots.ts';
import { cutPieces } from '../text/pieces.ts';
import type { Program } from '../automaton/program.ts';
import { ProgramCache } from '../automaton/program-cache.ts';
import type {
  Hit,
  IndexTask,
  Order,
  Plan,
  Report,
  SearchPart,
  SearchTask,
  ShownHit,
} from './protocol.ts';
import { ScanJob, type Job } from './scan-job.ts';
import type { TakeOccurrence } from '../automaton/span-finder.ts';
import { TextFile } from '../text/text-file.ts';
import type { Aggregate } from '../types.ts';

/** Below this much text one worker is done before a second one has started. */
const aloneBytes = 2_097_152;

/** What a job over matches has come to, beside what every part has. */
type Found = Pick<SearchPart, 'total' | 'hits' | 'tallies'>;

/** Turns orders into jobs and their results into reports. One per worker. */
export class TaskRunner {
  readonly #report: (report: Report) => void;
  readonly #programs = new ProgramCache();
  readonly #slots = new BlockSlots(this.#programs.memory);
  readonly #index = new IndexReader();

  constructor(report: (report: Report) => void) {
    this.#report = report;
  }

  /**
   * The first worker to see a search decides how it is done. Undefined where it is large: that is
   * said, and others are to join.
   */
  plan(job: number, task: SearchTask): Job | undefined {
    const program = this.#program(task);
    const plan = this.#plan(task, program);
    if (plan.pieces.bytes <= aloneBytes) {
      return this.#job(task, plan, (part) => this.conclude(job, task, part));
    }
    this.#report({ kind: 'spread', job, plan });
    return undefined;
  }

  /** Does its share of a search that has been planned. */
  join(job: number, task: SearchTask, plan: Plan): Job {
    return this.#job(task, plan, (part) => this.#report({ kind: 'part', job, part }));
  }

  /** Builds a part of the index. */
  index(job: number, task: IndexTask): Job {
    return new IndexJob(task, this.#programs.memory, () => {
      this.#report({ kind: 'indexed', job });
    });
  }

  /** Shows hits of a search whose parts are merged. */
  show({ job, task, share, hits }: Extract<Order, { kind: 'show' }>): void {
    this.#report({ kind: 'shown', job, share, ...this.#shown(task, hits) });
  }

  /** Makes the answer of all that was found. */
  conclude(job: number, task: SearchTask, part: SearchPart): void {
    const { aggregate, maxResults } = task.query;
    if (aggregate === undefined) {
      const { shown, wrongBlocks } = this.#shown(task, part.hits.slice(0, maxResults));
      const read = { ...part, wrongBlocks: [...part.wrongBlocks, ...wrongBlocks] };
      this.#report({ kind: 'answer', job, result: listAnswer(task, read, shown) });
      return;
    }
    const sums = new Aggregation(aggregate);
    for (const table of part.tallies ?? []) sums.merge(table);
    const { note } = findGroup(this.#program(task), aggregate);
    const noted = note === undefined ? task : { ...task, note };
    using file = new TextFile(task.textPath, task.checks);
    const view = new LineView(file, task.scope, this.#slots);
    const sum = sums.result(view);
    const wrongBlocks = [...part.wrongBlocks, ...file.wrong];
    const base = answerBase(noted, { ...part, overflowed: sums.overflowed, wrongBlocks });
    this.#report({ kind: 'answer', job, result: { ...base, ...sum } });
  }

  #shown(
    task: SearchTask,
    hits: readonly Hit[],
  ): { readonly shown: readonly ShownHit[]; readonly wrongBlocks: readonly number[] } {
    if (hits.length === 0) return { shown: [], wrongBlocks: [] };
    using file = new TextFile(task.textPath, task.checks);
    const view = new LineView(file, task.scope, this.#slots);
    const shower = new HitText(view, this.#program(task), task.scope, task.query);
    return { shown: hits.map((hit) => shower.show(hit)), wrongBlocks: [...file.wrong] };
  }

  /**
   * What has to be read: what the index does not rule out. Matches over several lines may lie
   * anywhere.
   */
  #plan(task: SearchTask, program: Program): Plan {
    if (program.pattern.multiline) {
      return { pieces: cutPieces(task.scope), indexed: false, solo: true };
    }
    using file = new TextFile(task.textPath);
    const wanted = this.#index.candidates(task.indexDir, task.scope, file, program.required);
    return { pieces: cutPieces(task.scope, wanted), indexed: wanted !== undefined, solo: false };
  }

  #job(task: SearchTask, plan: Plan, done: (part: SearchPart) => void): Job {
    const program = this.#program(task);
    const file = new TextFile(task.textPath, task.checks);
    program.users++;
    const { aggregate, unit = 'line' } = task.query;
    if (aggregate === undefined && unit === 'line' && !program.pattern.multiline) {
      return new ScanJob({ task, plan, program, file }, (part) => {
        program.users--;
        done(part);
      });
    }
    const group =
      aggregate === undefined || aggregate.kind === 'count'
        ? undefined
        : findGroup(program, aggregate).group;
    const sums = aggregate === undefined ? undefined : new Aggregation(aggregate);
    const finish = (found: Found, stopped: boolean): void => {
      program.users--;
      const read = partOf(program, file, stopped);
      file[Symbol.dispose]();
      const tallies = sums === undefined ? {} : { tallies: [sums.table()] };
      done({ ...read, ...found, ...tallies, indexed: plan.indexed });
    };
    const parts = { task, program, file, group };
    return program.pattern.multiline
      ? this.#multilineJob(parts, sums, finish)
      : matchJob(parts, plan, sums, finish);
  }

  #multilineJob(
    parts: Omit<SpanParts, 'take'>,
    sums: Aggregation | undefined,
    finish: (found: Found, stopped: boolean) => void,
  ): Job {
    const { task, file } = parts;
    const list =
      task.query.unit === 'match' && sums === undefined
        ? new MatchList(task)
        : new MultilineList(task, new LineView(file, task.scope, this.#slots));
    const take: TakeOccurrence = (start, end, value) => {
      list.add(start, end);
      sums?.add(value, start);
    };
    return new MultilineJob({ ...parts, take }, (stopped) => {
      finish({ total: list.total, hits: sums === undefined ? list.hits : [] }, stopped);
    });
  }

  #program({ query }: SearchTask): Program {
    return this.#programs.get(query);
  }
}

function matchJob(
  parts: Omit<SpanParts, 'take'>,
  plan: Plan,
  sums: Aggregation | undefined,
  finish: (found: Found, stopped: boolean) => void,
): Job {
  if (sums !== undefined) {
    const take: TakeOccurrence = (start, _end, value) => sums.add(value, start);
    return new MatchJob({ ...parts, take }, plan, ({ lines, stopped }) => {
      finish({ total: lines, hits: [] }, stopped);
    });
  }
  const list = new MatchList(parts.task);
  const take: TakeOccurrence = (start, end) => list.add(start, end);
  return new MatchJob({ ...parts, take }, plan, ({ stopped }) => {
    finish({ total: list.total, hits: list.hits }, stopped);
  });
}

function partOf(program: Program, { bytesRead, wrong }: TextFile, stopped: boolean): SearchPart {
  return {
    wrongBlocks: [...wrong],
    total: 0,
    hits: [],
    bytesRead,
    blocksRead: Math.ceil(bytesRead / 32_768),
    stopped,
    engine: program.engine,
    indexed: false,
    skippedLines: program.takeSkippedLines(),
    note: program.note,
  };
}

function findGroup(
  { pattern }: Program,
  { group = 0 }: Aggregate,
): { readonly group: number; readonly note?: string } {
  const index = typeof group === 'number' ? group : pattern.groupNames.get(group);
  if (index !== undefined && index >= 0 && index <= pattern.groupCount) return { group: index };
  return { group: 0, note: `The pattern has no group ${group}; the whole match was taken.` };
}

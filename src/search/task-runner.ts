import { AggregateJob } from './aggregate-job.ts';
import { Aggregation } from './aggregation.ts';
import { answerBase, listAnswer } from './answer.ts';
import { HitText } from './hit-text.ts';
import { IndexJob } from './index-job.ts';
import { IndexReader } from './index-reader.ts';
import { LineView } from './line-view.ts';
import { MultilineJob } from './multiline-job.ts';
import { MultilineList } from './multiline-list.ts';
import { BlockSlots } from './block-slots.ts';
import { cutPieces } from './pieces.ts';
import type { Program } from './program.ts';
import { ProgramCache } from './program-cache.ts';
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
import { TextFile } from './text-file.ts';
import type { Aggregate } from './types.ts';

/** Below this much text one worker is done before a second one has started. */
const aloneBytes = 2_097_152;

/** Turns orders into jobs and their results into reports. One per worker. */
export class TaskRunner {
  readonly #report: (report: Report) => void;
  readonly #programs = new ProgramCache();
  readonly #slots = new BlockSlots(this.#programs.memory);
  readonly #index = new IndexReader();

  constructor(report: (report: Report) => void) {
    this.#report = report;
  }

  /** The first worker to see a search decides how it is done. */
  plan(job: number, task: SearchTask): Job {
    const program = this.#program(task);
    const { aggregate } = task.query;
    if (aggregate !== undefined) return this.#aggregate(job, task, program, aggregate);
    if (program.pattern.multiline) return this.#listMultiline(job, task, program);
    const plan = this.#plan(task, program);
    if (plan.pieces.bytes <= aloneBytes) {
      return this.#scan(task, program, plan, (part) => this.#answer(job, task, part));
    }
    this.#report({ kind: 'spread', job, plan });
    return this.join(job, task, plan);
  }

  /** Helps with a search that another worker has planned. */
  join(job: number, task: SearchTask, plan: Plan): Job {
    return this.#scan(task, this.#program(task), plan, (part) => {
      this.#report({ kind: 'part', job, part });
    });
  }

  /** Builds a part of the index. */
  index(job: number, task: IndexTask): Job {
    return new IndexJob(task, this.#programs.memory, () => {
      this.#report({ kind: 'indexed', job });
    });
  }

  /** Shows hits of a search whose parts are merged. */
  show({ job, task, share, hits }: Extract<Order, { kind: 'show' }>): void {
    this.#report({ kind: 'shown', job, share, shown: this.#shown(task, hits) });
  }

  #answer(job: number, task: SearchTask, part: SearchPart): void {
    const shown = this.#shown(task, part.hits.slice(0, task.query.maxResults));
    this.#report({ kind: 'answer', job, result: listAnswer(task, part, shown) });
  }

  #shown(task: SearchTask, hits: readonly Hit[]): readonly ShownHit[] {
    if (hits.length === 0) return [];
    using file = new TextFile(task.textPath);
    const view = new LineView(file, task.scope, this.#slots);
    const shower = new HitText(view, this.#program(task), task.scope, task.query);
    return hits.map((hit) => shower.show(hit));
  }

  #scan(task: SearchTask, program: Program, plan: Plan, done: (part: SearchPart) => void): Job {
    const file = new TextFile(task.textPath);
    program.users++;
    return new ScanJob({ task, plan, program, file }, (part) => {
      program.users--;
      done(part);
    });
  }

  /** What has to be read: what the index does not rule out. */
  #plan(task: SearchTask, program: Program): Plan {
    using file = new TextFile(task.textPath);
    const wanted = this.#index.candidates(task.indexDir, task.scope, file, program.required);
    return { pieces: cutPieces(task.scope, wanted), indexed: wanted !== undefined };
  }

  #listMultiline(job: number, task: SearchTask, program: Program): Job {
    const file = new TextFile(task.textPath);
    const view = new LineView(file, task.scope, this.#slots);
    const list = new MultilineList(task, view);
    program.users++;
    return new MultilineJob(
      { task, program, file, group: undefined },
      (start, end) => list.add(start, end),
      (stopped) => {
        program.users--;
        file[Symbol.dispose]();
        const read = partOf(program, file.bytesRead, stopped);
        this.#answer(job, task, { ...read, total: list.total, hits: list.hits });
      },
    );
  }

  /** Aggregates go through the text in order, so one worker does it alone. */
  #aggregate(job: number, given: SearchTask, program: Program, aggregate: Aggregate): Job {
    const { group, note } = findGroup(program, aggregate);
    const task = note === undefined ? given : { ...given, note };
    const file = new TextFile(task.textPath);
    const view = new LineView(file, task.scope, this.#slots);
    const sums = new Aggregation(aggregate);
    program.users++;
    const asked = aggregate.kind === 'count' ? undefined : group;
    const finish = (total: number, stopped: boolean, skippedLines: number): void => {
      const read = partOf(program, file.bytesRead, stopped || sums.overflowed);
      const skipped = read.skippedLines + skippedLines;
      const base = answerBase(task, { ...read, total, skippedLines: skipped });
      this.#report({ kind: 'answer', job, result: { ...base, ...sums.result(view) } });
      program.users--;
      file[Symbol.dispose]();
    };
    if (program.pattern.multiline) {
      const list = new MultilineList(task, view);
      return new MultilineJob(
        { task, program, file, group: asked },
        (start, end, value) => {
          list.add(start, end);
          sums.add(value, start);
        },
        (stopped) => finish(list.total, stopped, 0),
      );
    }
    return new AggregateJob(
      { task, ...this.#plan(task, program), program, file, group: asked },
      (start, _end, value) => sums.add(value, start),
      (end) => finish(end.total, end.stopped, end.skippedLines),
    );
  }

  #program({ query }: SearchTask): Program {
    return this.#programs.get(query);
  }
}

function partOf(program: Program, bytesRead: number, stopped: boolean): SearchPart {
  return {
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

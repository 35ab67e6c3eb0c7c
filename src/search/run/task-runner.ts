import { Aggregation, chainBase, planAggregate, type TallyTable } from './aggregation.ts';
import { answerBase, listAnswer } from './answer.ts';
import { HitText } from './hit-text.ts';
import { IndexJob } from './index-job.ts';
import { IndexReader } from '../index/index-reader.ts';
import { LineView } from '../text/line-view.ts';
import { MatchList, MultilineList } from './hit-lists.ts';
import { Ranking } from './ranking.ts';
import { mergeRecords, RecordList, recordShape } from './record-list.ts';
import { MatchJob, MultilineJob, type SpanParts } from './match-jobs.ts';
import { BlockSlots } from '../text/block-slots.ts';
import { cutPieces, sharePieces } from '../text/pieces.ts';
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
import type { GroupTexts, TakeOccurrence } from '../automaton/occurrence.ts';
import { TailJob } from './tail-job.ts';
import { TextFile } from '../text/text-file.ts';
import type { GroupKey, RankQuery } from '../types.ts';

/** Below this much text one worker is done before a second one has started. */
const aloneBytes = 2_097_152;

/** What a job over matches has come to, beside what every part has. */
type Found = Pick<SearchPart, 'total' | 'hits'>;

/** Takes in what is not listed. */
interface Sums {
  add(held: GroupTexts, at: number): void;
  /** What it has come to, as a part of the search. */
  found(): Pick<SearchPart, 'tallies' | 'records' | 'rankings'>;
}

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
    using opened = new DisposableStack();
    const file = opened.use(new TextFile(task.text.spans, task.text.checks));
    const plan = this.#plan(task, program, file);
    // What is read is what the index was asked about.
    if (plan.pieces.bytes > 0 && !file.open()) return this.plan(job, task);
    if (plan.pieces.bytes <= aloneBytes) {
      const whole = this.#job(task, plan, file, (part) => this.conclude(job, task, part));
      opened.move();
      return whole;
    }
    this.#report({ kind: 'spread', job, plan: { ...plan, pieces: sharePieces(plan.pieces) } });
    return undefined;
  }

  /** Does its share of a search that has been planned. */
  join(job: number, task: SearchTask, plan: Plan): Job {
    using opened = new DisposableStack();
    const file = opened.use(new TextFile(task.text.spans, task.text.checks));
    const done = (part: SearchPart): void => this.#report({ kind: 'part', job, part });
    const share = this.#job(task, plan, file, done);
    opened.move();
    return share;
  }

  /** Builds a part of the index. */
  index(job: number, task: IndexTask): Job {
    const done = (): void => this.#report({ kind: 'indexed', job });
    const { memory } = this.#programs;
    return task.segment === undefined
      ? new TailJob(task, memory, done)
      : new IndexJob({ ...task, segment: task.segment }, memory, done);
  }

  /** Shows hits of a search whose parts are merged. */
  show({ job, task, share, hits }: Extract<Order, { kind: 'show' }>): void {
    this.#report({ kind: 'shown', job, share, ...this.#shown(task, hits) });
  }

  /** Makes the answer of all that was found. */
  conclude(job: number, task: SearchTask, part: SearchPart): void {
    const { aggregate, records, rank, maxResults } = task.query;
    if (rank !== undefined) {
      this.#concludeRank(job, task, rank, part);
      return;
    }
    if (records !== undefined) {
      const shape = recordShape(this.#program(task).pattern);
      const table = mergeRecords(part.records ?? [], shape, records);
      const base = answerBase(task, { ...part, overflowed: false });
      this.#report({ kind: 'answer', job, result: { ...base, records: table } });
      return;
    }
    if (aggregate === undefined) {
      const { shown, wrongBlocks } = this.#shown(task, part.hits.slice(0, maxResults));
      const read = { ...part, wrongBlocks: [...part.wrongBlocks, ...wrongBlocks] };
      this.#report({ kind: 'answer', job, result: listAnswer(task, read, shown) });
      return;
    }
    const { by, group = 0, measures = {} } = aggregate;
    const asked = [
      ...(by ?? [group]),
      ...Object.values(measures).filter((one) => one !== undefined),
    ];
    const { note, groupOf } = groupFinder(this.#program(task), asked);
    const sums = new Aggregation(aggregate, planAggregate(aggregate, groupOf), task.scope.entries);
    const { chain } = aggregate;
    const baseBytes = chain === undefined ? 0 : chainBase(chain.corpus);
    // Those before have made them, in this form.
    for (const table of chain?.carried ?? []) sums.merge(table as TallyTable);
    for (const table of part.tallies ?? []) sums.merge(table, baseBytes);
    const noted = note === undefined ? task : { ...task, note };
    if (chain?.goesOn === true) {
      const base = answerBase(noted, { ...part, overflowed: sums.overflowed });
      this.#report({ kind: 'answer', job, result: { ...base, carried: sums.table() } });
      return;
    }
    using file = new TextFile(task.text.spans, task.text.checks);
    const view = new LineView(file, task.scope, this.#slots);
    const sum = sums.result(view);
    const wrongBlocks = [...part.wrongBlocks, ...file.wrong];
    const base = answerBase(noted, { ...part, overflowed: sums.overflowed, wrongBlocks });
    this.#report({ kind: 'answer', job, result: { ...base, ...sum } });
  }

  #concludeRank(job: number, task: SearchTask, rank: RankQuery, part: SearchPart): void {
    const ranking = new Ranking(rank, task.scope.entries);
    for (const table of part.rankings ?? []) ranking.merge(table);
    const { ranges } = task.scope;
    let searchedBytes = 0;
    for (let i = 0; i < ranges.length; i += 2) searchedBytes += ranges[i + 1]! - ranges[i]!;
    const places = ranking.best(searchedBytes).slice(0, task.query.maxResults);
    const { shown, wrongBlocks } = this.#shown(
      task,
      places.map((at) => ({ at })),
    );
    const read = {
      ...part,
      overflowed: ranking.overflowed,
      wrongBlocks: [...part.wrongBlocks, ...wrongBlocks],
    };
    // Words of one line are shown by it once.
    const lines = new Map(shown.map(({ match, startBytes }) => [startBytes, match]));
    const base = answerBase(task, read);
    const result = { ...base, matches: [...lines.values()], words: ranking.wordCounts() };
    this.#report({ kind: 'answer', job, result });
  }

  #shown(
    task: SearchTask,
    hits: readonly Hit[],
  ): { readonly shown: readonly ShownHit[]; readonly wrongBlocks: readonly number[] } {
    if (hits.length === 0) return { shown: [], wrongBlocks: [] };
    using file = new TextFile(task.text.spans, task.text.checks);
    const view = new LineView(file, task.scope, this.#slots);
    const shower = new HitText(view, this.#program(task), task.scope, task.query);
    return { shown: hits.map((hit) => shower.show(hit)), wrongBlocks: [...file.wrong] };
  }

  /**
   * What has to be read: what the index does not rule out. Matches over several lines may lie
   * anywhere.
   */
  #plan(task: SearchTask, program: Program, file: TextFile): Plan {
    if (program.pattern.multiline) {
      return { pieces: cutPieces(task.scope), indexed: false, solo: true };
    }
    const wanted = this.#index.candidates(task.text.indexDir, task.scope, file, program.required);
    return { pieces: cutPieces(task.scope, wanted), indexed: wanted !== undefined, solo: false };
  }

  #job(task: SearchTask, plan: Plan, file: TextFile, done: (part: SearchPart) => void): Job {
    const program = this.#program(task);
    const { aggregate, records, rank, unit = 'line' } = task.query;
    const isListed = [aggregate, records, rank].every((one) => one === undefined);
    if (isListed && unit === 'line' && !program.pattern.multiline) {
      return new ScanJob({ task, plan, program, file }, done);
    }
    const { groups, sums } = sumsOf(task, program);
    const finish = (found: Found, stopped: boolean): void => {
      const read = partOf(program, file, stopped);
      done({ ...read, ...found, ...sums?.found(), indexed: plan.indexed });
    };
    const parts = { task, program, file, groups };
    return program.pattern.multiline
      ? this.#multilineJob(parts, sums, finish)
      : matchJob(parts, plan, sums, finish);
  }

  #multilineJob(
    parts: Omit<SpanParts, 'take'>,
    sums: Sums | undefined,
    finish: (found: Found, stopped: boolean) => void,
  ): Job {
    const { task, file } = parts;
    const list =
      task.query.unit === 'match' && sums === undefined
        ? new MatchList(task)
        : new MultilineList(task, new LineView(file, task.scope, this.#slots));
    const take: TakeOccurrence = (start, end, held) => {
      list.add(start, end);
      sums?.add(held, start);
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
  sums: Sums | undefined,
  finish: (found: Found, stopped: boolean) => void,
): Job {
  if (sums !== undefined) {
    const take: TakeOccurrence = (start, _end, held) => sums.add(held, start);
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

/** What a search that lists nothing computes, and the groups that it needs. */
function sumsOf(
  { query: { aggregate, records, rank }, scope: { entries } }: SearchTask,
  program: Program,
): { readonly groups: readonly number[]; readonly sums: Sums | undefined } {
  const { groupOf } = groupFinder(program, []);
  if (aggregate !== undefined) {
    const plan = planAggregate(aggregate, groupOf);
    const sums = new Aggregation(aggregate, plan, entries);
    const found = (): Pick<SearchPart, 'tallies'> => ({ tallies: [sums.table()] });
    return { groups: plan.groups, sums: { add: (held, at) => sums.add(held, at), found } };
  }
  if (records !== undefined) {
    const { groups } = recordShape(program.pattern);
    const list = new RecordList(records, groups.length, entries);
    const found = (): Pick<SearchPart, 'records'> => ({ records: [list.part()] });
    return { groups, sums: { add: (held, at) => list.add(held, at), found } };
  }
  if (rank !== undefined) {
    const ranking = new Ranking(rank, entries);
    const found = (): Pick<SearchPart, 'rankings'> => ({ rankings: [ranking.table()] });
    return { groups: [0], sums: { add: (held, at) => ranking.add(held.text(0), at), found } };
  }
  return { groups: [], sums: undefined };
}

/** Finds groups by number or name; `note` names those of `asked` that the pattern does not have. */
function groupFinder(
  { pattern }: Program,
  asked: readonly GroupKey[],
): { readonly groupOf: (group: number | string) => number; readonly note?: string } {
  const numberOf = (group: number | string): number | undefined => {
    const index = typeof group === 'number' ? group : pattern.groupNames.get(group);
    return index !== undefined && index >= 0 && index <= pattern.groupCount ? index : undefined;
  };
  const groupOf = (group: number | string): number => numberOf(group) ?? 0;
  const unknown = asked
    .filter((key) => typeof key !== 'object')
    .filter((key) => numberOf(key) === undefined);
  if (unknown.length === 0) return { groupOf };
  const what = `group${unknown.length === 1 ? '' : 's'} ${unknown.join(', ')}`;
  return { groupOf, note: `The pattern has no ${what}; the whole match was taken.` };
}

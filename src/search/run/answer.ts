import { encodeCursor } from './cursor.ts';
import { HitOrder } from './hit-order.ts';
import type { SearchPart, SearchTask, ShownHit } from './protocol.ts';
import type { SearchResult } from '../types.ts';

/** Puts an answer together from what was counted and what is shown. */
export function listAnswer(
  task: SearchTask,
  part: SearchPart,
  shown: readonly ShownHit[],
): SearchResult {
  const last = shown.at(-1);
  const hasMore = last !== undefined && part.hits.length > shown.length;
  const { query, scope } = task;
  return {
    ...answerBase(task, part),
    matches: shown.map(({ match }) => match),
    ...(hasMore
      ? {
          nextCursor: encodeCursor(query, {
            endBytes: scope.endBytes,
            after: new HitOrder(task).endOf(last),
          }),
        }
      : {}),
  };
}

/** What every answer has. */
export function answerBase(
  task: SearchTask,
  part: SearchPart,
): Omit<SearchResult, 'matches'> & { readonly matches: readonly [] } {
  const notes = [
    part.note,
    task.note,
    part.skippedLines > 0 ? givenUp(part.skippedLines) : undefined,
    part.stopped ? outOfTime : undefined,
    part.overflowed === true ? tooManyValues : undefined,
  ].filter((note) => note !== undefined);
  return {
    matches: [],
    total: part.total,
    partial: part.stopped || part.skippedLines > 0 || part.overflowed === true,
    ...(part.stopped ? { outOfTime: true } : {}),
    ...(part.skippedLines > 0 ? { linesGivenUp: part.skippedLines } : {}),
    ...(notes.length > 0 ? { note: notes.join(' ') } : {}),
    work: {
      engine: part.engine,
      bytesRead: part.bytesRead,
      blocksRead: part.blocksRead,
      blocksTotal: task.scope.blocks.count,
      indexed: part.indexed,
      ...(part.wrongBlocks.length > 0 ? { wrongBlocks: part.wrongBlocks } : {}),
    },
  };
}

const tooManyValues =
  'There are too many different values to count them all: group_count is a lower bound, and values that were met late are missing.';

/** What to say where the deadline came first. */
export const outOfTime =
  'The search ran out of time: total is a lower bound. Narrow it by entry, path, tool or since, or make the pattern more specific.';

function givenUp(lines: number): string {
  const they = lines === 1 ? '1 line was' : `${lines} lines were`;
  return `${they} given up, so total is a lower bound: the pattern backtracks too long on ${lines === 1 ? 'it' : 'them'}. Without lookaround, backreferences and nested repeats it would not.`;
}

/** The parts of several workers as one. */
export function mergeParts(task: SearchTask, parts: readonly SearchPart[]): SearchPart {
  const order = new HitOrder(task);
  const hits = parts.flatMap((part) => part.hits).sort((a, b) => order.compare(a.at, b.at));
  const sum = (of: (part: SearchPart) => number): number =>
    parts.reduce((total, part) => total + of(part), 0);
  return {
    total: sum((part) => part.total),
    hits: hits.slice(0, task.query.maxResults + 1),
    bytesRead: sum((part) => part.bytesRead),
    wrongBlocks: parts.flatMap((part) => part.wrongBlocks),
    blocksRead: sum((part) => part.blocksRead),
    stopped: parts.some((part) => part.stopped),
    engine: parts[0]?.engine ?? 'dfa',
    indexed: parts.some((part) => part.indexed),
    skippedLines: sum((part) => part.skippedLines),
    note: parts[0]?.note,
    tallies: parts.flatMap((part) => part.tallies ?? []),
    records: parts.flatMap((part) => part.records ?? []),
    rankings: parts.flatMap((part) => part.rankings ?? []),
  };
}

import { questionHead, type BenchQuestion, type CaseGenerator } from '../cases.ts';
import { Random } from '../../random.ts';
import { answerForm, itemsOf, scoreSet } from '../scoring.ts';
import { labelGuide } from './aggregate.ts';
import {
  dateOf,
  labels,
  recordChars,
  recordDays,
  recordDocuments,
  recordsOf,
  userName,
  type Label,
} from './records.ts';

const users = 60;

/** So many users should meet a condition, so that there are some tens of pairs. */
const wantedUsers = 10;

/**
 * Which pairs of users meet a condition: work that grows with the square of the users. Scored by
 * F1. Conditions: both asked for a label at least so often; both never asked for one after a date.
 */
export const generatePairs: CaseGenerator = (seed, sizeChars) => {
  const shape = { count: Math.max(200, Math.round(sizeChars / recordChars)), users };
  const random = new Random(seed, 4);
  const [often, rarely] = random.sample(labels, 2) as [Label, Label];
  const day = random.between(100, recordDays - 100);
  const total = Array.from({ length: users + 1 }, () => 0);
  const late = Array.from({ length: users + 1 }, () => 0);
  for (const record of recordsOf(seed, shape)) {
    if (record.label === often) total[record.user] = (total[record.user] ?? 0) + 1;
    if (record.label === rarely && record.day >= day)
      late[record.user] = (late[record.user] ?? 0) + 1;
  }
  const most = bound(total, wantedUsers, 'most');
  const least = bound(late, wantedUsers, 'least');
  return {
    documents: recordDocuments(seed, shape, 'pairs'),
    questions: [
      ask(
        'often',
        `at least ${most} records of each of the two ask for a ${often}`,
        usersWhere(total, (count) => count >= most),
      ),
      ask(
        'rarely',
        `at most ${least} records of each of the two from ${dateOf(day)} on ask for a ${rarely}`,
        usersWhere(late, (count) => count <= least),
      ),
    ],
  };
};

/** The count that about `wanted` users reach, from the top or from the bottom. */
function bound(counts: readonly number[], wanted: number, end: 'most' | 'least'): number {
  const sorted = counts.slice(1).sort((a, b) => (end === 'most' ? b - a : a - b));
  return sorted[wanted - 1] ?? 0;
}

function usersWhere(
  counts: readonly number[],
  meets: (count: number) => boolean,
): readonly number[] {
  return counts.flatMap((count, user) => (user > 0 && meets(count) ? [user] : []));
}

function ask(id: string, condition: string, chosen: readonly number[]): BenchQuestion {
  const pairs = new Set<string>();
  for (const first of chosen)
    for (const second of chosen)
      if (first < second) pairs.add(`${userName(first)} + ${userName(second)}`);
  return {
    id,
    question: `${questionHead('pairs')} ${labelGuide} The users are ${userName(1)} to ${userName(users)}. List all pairs of different users such that ${condition}. Write each pair once, as "user_3 + user_17" with the smaller number first. ${answerForm}, pairs separated by commas.`,
    expected: [...pairs].join(', '),
    scriptable: true,
    score: (answer) => scoreSet(itemsOf(answer, /user_\d+ \+ user_\d+/g), pairs),
  };
}

import { questionHead, type BenchQuestion, type CaseGenerator } from '../cases.ts';
import { Random } from '../../random.ts';
import { answerForm, scoreExact, scoreNumber } from '../scoring.ts';
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

const users = 40;

/**
 * OOLONG's kind of question over dated records of users: how many of a label, which is most
 * frequent, per user, before a date. Labels must be read off the wording. Numbers score 0.75 to the
 * power of the error, the rest exactly.
 */
export const generateAggregate: CaseGenerator = (seed, sizeChars) => {
  const shape = { count: Math.max(60, Math.round(sizeChars / recordChars)), users };
  const random = new Random(seed, 3);
  const [label, other] = random.sample(labels, 2) as [Label, Label];
  const user = random.between(1, 10);
  const day = random.between(60, recordDays - 60);
  const sums = count(seed, shape, { label, other, user, day });
  const questions: readonly BenchQuestion[] = [
    ask('count-label', `How many records ask for a ${label}?`, sums.byLabel.get(label) ?? 0),
    ask(
      'most-frequent',
      'Which kind of answer do the most records ask for?',
      top(sums.byLabel),
      labels,
    ),
    ask('most-active', 'Which user asked most often?', userName(top(sums.byUser)), allUsers()),
    ask('count-user', `How many records of ${userName(user)} ask for a ${label}?`, sums.userLabel),
    ask(
      'top-user',
      `Which user asked most often for a ${other}?`,
      userName(top(sums.byUserOther)),
      allUsers(),
    ),
    ask('before-date', `How many records before ${dateOf(day)} ask for a ${label}?`, sums.before),
    ask(
      'busiest-month',
      `In which month (as YYYY-MM) do the most records ask for a ${other}?`,
      top(sums.byMonthOther),
    ),
  ];
  return { documents: recordDocuments(seed, shape, 'aggregate'), questions };
};

/** What every question of records says first: how labels are meant. */
export const labelGuide = `The stored records are dated questions of users, one a line. Each asks for one kind of answer: ${labels.join(', ')}; tell it by the wording.`;

function ask(
  id: string,
  question: string,
  expected: string | number,
  others: readonly string[] = [],
): BenchQuestion {
  return {
    id,
    question: `${questionHead('aggregate')} ${labelGuide} ${question} ${answerForm}.`,
    expected: String(expected),
    scriptable: true,
    score: (answer) =>
      typeof expected === 'number'
        ? scoreNumber(answer, expected)
        : scoreExact(answer, expected, others),
  };
}

function allUsers(): readonly string[] {
  return Array.from({ length: users }, (_, index) => userName(index + 1));
}

function count(
  seed: number,
  shape: { readonly count: number; readonly users: number },
  asked: {
    readonly label: Label;
    readonly other: Label;
    readonly user: number;
    readonly day: number;
  },
) {
  const sums = {
    byLabel: new Map<Label, number>(),
    byUser: new Map<number, number>(),
    byUserOther: new Map<number, number>(),
    byMonthOther: new Map<string, number>(),
    userLabel: 0,
    before: 0,
  };
  const months = Array.from({ length: recordDays }, (_, day) => dateOf(day).slice(0, 7));
  for (const { user, label, day } of recordsOf(seed, shape)) {
    add(sums.byLabel, label);
    add(sums.byUser, user);
    if (label === asked.other) {
      add(sums.byUserOther, user);
      add(sums.byMonthOther, months[day] as string);
    }
    if (label !== asked.label) continue;
    if (user === asked.user) sums.userLabel += 1;
    if (day < asked.day) sums.before += 1;
  }
  return sums;
}

function add<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** The most frequent key; the one that came first, where two are equal. */
function top<Key>(counts: ReadonlyMap<Key, number>): Key {
  let best: [Key, number] | undefined;
  for (const entry of counts) if (best === undefined || entry[1] > best[1]) best = entry;
  if (best === undefined) throw new Error('nothing was counted');
  return best[0];
}

import type { BenchDocument } from '../cases.ts';
import { Random } from '../../random.ts';

/** Kinds of questions that users asked; a record never names its own, only its wording shows it. */
export const labels = ['person', 'location', 'number', 'date', 'definition', 'reason'] as const;

/** One of {@link labels}. */
export type Label = (typeof labels)[number];

/** Wordings by label. The openings are what gives a label away. */
const wordings: Readonly<Record<Label, readonly string[]>> = {
  person: ['Who invented the', 'Who was the first to repair the', 'Whose name is on the'],
  location: ['Where can one find the', 'In which city stands the', 'Which country is home to the'],
  number: ['How many parts has the', 'How much does it cost to run the', 'How far reaches the'],
  date: [
    'When was the last service of the',
    'In which year began the sale of the',
    'On what day opened the',
  ],
  definition: [
    'What does one call the inside of the',
    'What is meant by the',
    'What is the purpose of the',
  ],
  reason: ['Why did they paint the', 'For what cause stopped the', 'What made them give up the'],
};

const things = [
  'steam tram',
  'river lock',
  'paper mill',
  'brass clock',
  'north tower',
  'cable ferry',
  'salt mine',
  'glass roof',
  'grain silo',
  'water organ',
  'old observatory',
  'night train',
];

/** Size of one stored document, records. */
const documentRecords = 250_000;

/** Average characters of a record: see {@link recordLine}. */
export const recordChars = 78;

const firstDayMs = Date.UTC(2025, 0, 1);
const dayMs = 86_400_000;

/** Days over which records are spread. */
export const recordDays = 365;

/** One record before it is text. */
export interface UserRecord {
  readonly index: number;
  /** From 1. */
  readonly user: number;
  readonly label: Label;
  /** From 0 to {@link recordDays} - 1; records are in order of time. */
  readonly day: number;
}

/** What a set of records looks like. */
export interface RecordShape {
  readonly count: number;
  readonly users: number;
}

/** All records, in order. The same seed and shape give the same ones. */
export function* recordsOf(seed: number, shape: RecordShape): Generator<UserRecord, void, void> {
  const random = new Random(seed, 2);
  // Labels and users are not equally frequent, so that "most frequent" has an answer.
  const labelWeights = random.sample([1, 2, 3, 4, 5, 7], 6);
  const table = labels.flatMap((label, index) =>
    Array.from({ length: labelWeights[index] ?? 1 }, () => label),
  );
  for (let index = 0; index < shape.count; index += 1) {
    const skewed = Math.min(random.below(shape.users * 2), random.below(shape.users * 2));
    yield {
      index,
      user: 1 + (skewed % shape.users),
      label: random.pick(table),
      day: Math.floor((index / shape.count) * recordDays),
    };
  }
}

/** `2025-04-07`. */
export function dateOf(day: number): string {
  return new Date(firstDayMs + day * dayMs).toISOString().slice(0, 10);
}

/** A user's name as records have it. */
export function userName(user: number): string {
  return `user_${user}`;
}

function recordLine(record: UserRecord, random: Random): string {
  const opening = random.pick(wordings[record.label]);
  return `${dateOf(record.day)} ${userName(record.user)} asked: ${opening} ${random.pick(things)} of lot ${random.below(100_000)}?`;
}

/** The records as documents of lines. */
export function recordDocuments(
  seed: number,
  shape: RecordShape,
  name: string,
): readonly BenchDocument[] {
  const count = Math.max(1, Math.ceil(shape.count / documentRecords));
  return Array.from({ length: count }, (_, index) => ({
    path: `${name}/records-${String(index + 1).padStart(3, '0')}.txt`,
    chunks: () => recordChunks(seed, shape, index * documentRecords),
  }));
}

function* recordChunks(
  seed: number,
  shape: RecordShape,
  first: number,
): Generator<string, void, void> {
  const random = new Random(seed, 5000 + first);
  let lines: string[] = [];
  for (const record of recordsOf(seed, shape)) {
    if (record.index < first) continue;
    if (record.index >= first + documentRecords) break;
    lines.push(recordLine(record, random));
    if (lines.length < 2000) continue;
    yield `${lines.join('\n')}\n`;
    lines = [];
  }
  if (lines.length > 0) yield `${lines.join('\n')}\n`;
}

import {
  questionHead,
  type BenchDocument,
  type BenchQuestion,
  type CaseGenerator,
} from '../cases.ts';
import { Random } from '../../random.ts';
import { answerForm, itemsOf, scoreExact, scoreNumber, scoreSet } from '../scoring.ts';

const features = ['login', 'export', 'search', 'billing', 'upload', 'invite', 'report', 'webhook'];
const folders = ['api', 'core', 'web', 'jobs'];
const faults = [
  'TypeError: cannot read properties of undefined',
  'ConnectionError: refused by 127.0.0.1:5432',
  'AssertionError: expected 200 to be 404',
  'SyntaxError: unexpected token',
  'TimeoutError: waited 5000 ms',
];
const chatter = [
  'reading the neighbouring files first',
  'this helper is used in two places',
  'the types already allow it',
  'keeping the change small',
  'nothing else depends on this branch',
];

/** Turns in one stored document. */
const documentTurns = 500;

/** Average characters of a turn: see {@link turnText}. */
const turnChars = 451;

/** What happens in a turn beside chatter. */
interface TurnFacts {
  readonly edited?: string;
  readonly failed?: string;
  readonly said?: string;
}

/**
 * The log of a long agent session, and questions a user asks afterwards: the first error, the files
 * edited before a wish was spoken, what was forbidden, how often the tests failed, the last word on
 * a decision.
 */
export const generateRecall: CaseGenerator = (seed, sizeChars) => {
  const turns = Math.max(40, Math.round(sizeChars / turnChars));
  const random = new Random(seed, 8);
  const { facts, forbidden, wish, wishTurn, color } = plan(turns, random);
  const fails = [...facts].filter(([, one]) => one.failed !== undefined).sort(([a], [b]) => a - b);
  const edits = [...facts].filter(([turn, one]) => one.edited !== undefined && turn < wishTurn);
  const firstEdits = new Set(edits.map(([, one]) => one.edited ?? ''));
  const [first] = fails[0]?.[1].failed?.split(': ') ?? [''];
  const documents: BenchDocument[] = [];
  for (let from = 0; from < turns; from += documentTurns)
    documents.push({
      path: `session/turns-${String(from).padStart(7, '0')}.md`,
      chunks: () => turnChunks(seed, facts, { from, to: Math.min(turns, from + documentTurns) }),
    });
  const questions: readonly BenchQuestion[] = [
    ask(
      'first-error',
      'What kind of error was the first failure of a test run? Give the word before the colon of its message.',
      first ?? '',
      (answer) => scoreExact(answer, first ?? ''),
    ),
    ask(
      'forbidden',
      'Which file did the user say must never be edited? Give its path.',
      forbidden,
      (answer) => scoreExact(answer, forbidden),
    ),
    ask('fail-count', 'How many test runs failed in all?', String(fails.length), (answer) =>
      scoreNumber(answer, fails.length),
    ),
    ask(
      'edited-before',
      `Which files were edited before the user asked for ${wish}? Give their paths.`,
      [...firstEdits].join(', '),
      (answer) => scoreSet(itemsOf(answer, /src\/[\w/-]+\.ts/g), firstEdits),
    ),
    ask(
      'last-decision',
      'The user chose a color for the header several times. Which one holds in the end?',
      color,
      (answer) => scoreExact(answer, color),
    ),
  ];
  return { documents, questions };
};

function plan(turns: number, random: Random) {
  const facts = new Map<number, TurnFacts>();
  const place = (fact: TurnFacts, low: number, high: number): number => {
    for (;;) {
      const turn = random.between(Math.floor(low * turns), Math.ceil(high * turns) - 1);
      if (facts.has(turn)) continue;
      facts.set(turn, fact);
      return turn;
    }
  };
  const forbidden = `src/core/legacy-${random.between(10, 99)}.ts`;
  place({ said: `One thing: never edit ${forbidden}, whatever happens.` }, 0.05, 0.6);
  const wish = `dark mode for the ${random.pick(features)} page`;
  const wishTurn = place({ said: `Now I would like ${wish}.` }, 0.4, 0.6);
  const colors = random.sample(['teal', 'maroon', 'ivory', 'violet', 'orange'], 3);
  for (const [index, color] of colors.entries())
    place(
      { said: `Let us make the color of the header ${color}.` },
      0.1 + index * 0.3,
      0.3 + index * 0.3,
    );
  for (let index = 0; index < 8; index += 1)
    place(
      {
        edited: `src/${random.pick(folders)}/${random.pick(features)}-${random.between(1, 99)}.ts`,
      },
      0,
      1,
    );
  const failures = random.between(3, 9);
  for (let index = 0; index < failures; index += 1)
    place({ failed: `${random.pick(faults)} (run ${random.hex()})` }, 0, 1);
  return { facts, forbidden, wish, wishTurn, color: colors[2] ?? '' };
}

function* turnChunks(
  seed: number,
  facts: ReadonlyMap<number, TurnFacts>,
  range: { readonly from: number; readonly to: number },
): Generator<string, void, void> {
  const random = new Random(seed, 20_000 + range.from);
  for (let turn = range.from; turn < range.to; turn += 1)
    yield turnText(turn, facts.get(turn) ?? {}, random);
}

function turnText(turn: number, { edited, failed, said }: TurnFacts, random: Random): string {
  const lines = [
    `## turn ${turn + 1}`,
    `[user] ${said ?? `Please go on with the ${random.pick(features)} page.`}`,
  ];
  for (let index = random.between(2, 5); index > 0; index -= 1)
    lines.push(`[assistant] ${random.pick(chatter)}, ${random.pick(chatter)} (${random.hex()})`);
  lines.push(
    `[tool read] src/${random.pick(folders)}/${random.pick(features)}-${random.between(1, 99)}.ts: ${random.between(20, 900)} lines`,
  );
  if (edited !== undefined) lines.push(`[tool edit] ${edited}: applied`);
  const run = `[tool test] run ${random.hex()}`;
  lines.push(
    failed === undefined
      ? `${run} passed, ${random.between(50, 400)} tests`
      : `${run} FAILED: ${failed}`,
    '',
  );
  return `${lines.join('\n')}\n`;
}

function ask(
  id: string,
  question: string,
  expected: string,
  score: (answer: string) => number,
): BenchQuestion {
  return {
    id,
    question: `${questionHead('recall')} The store holds the log of a long session with a coding assistant. ${question} ${answerForm}.`,
    expected,
    scriptable: true,
    score,
  };
}

import {
  newestQuestion,
  resultsAfterQuestion,
  type Policy,
  type ScriptedTurn,
} from '../../upstream/demo-policy.ts';
import type { PlainRequest } from '../../wire/types.ts';
import { benchKinds, questionHead, type BenchKind } from './cases.ts';
import {
  capture,
  captured,
  occurrences,
  pathOf,
  program,
  search,
  valueOf,
  type QuestionPlan,
} from './plan.ts';
import {
  callersProgram,
  chainProgram,
  countProgram,
  editedBeforeProgram,
  pairsProgram,
  packagesProgram,
  settingProgram,
  twoCallsProgram,
} from './programs.ts';
import { realPlans } from './real-plans.ts';

/** Stands in every scripted answer. */
const notice = '[scripted policy, not a model]';

/**
 * Plays a model for the benchmark's questions: the calls that a good model would make, one mostly,
 * then the answer from the last result. It reads only what a model would see, the question and the
 * results. Any other conversation is left alone.
 */
export const benchPolicy: Policy = (request: PlainRequest): ScriptedTurn | undefined => {
  const question = newestQuestion(request.messages);
  const kind = benchKinds.find((one) => question.includes(questionHead(one)));
  if (kind === undefined) return undefined;
  const results = resultsAfterQuestion(request.messages);
  for (const plan of plans[kind]) {
    const found = plan.wording.exec(question);
    if (found === null) continue;
    const result = results.at(-1);
    if (result === undefined) return { calls: [plan.call(found)] };
    const next = plan.next?.(results, found);
    if (next !== undefined) return { calls: [next] };
    return { text: `${notice} ANSWER: ${plan.answer(result, found)}` };
  }
  return { text: `${notice} This question needs a model that understands it.` };
};

/** A question over records whose answer is an expression over `sum` and `top`. */
function counting(wording: RegExp, select: (found: RegExpExecArray) => string): QuestionPlan {
  return { wording, call: (found) => program(countProgram(select(found))), answer: valueOf };
}

const needleCode = /is (\d{6})\./;

const plans: Readonly<Record<BenchKind, readonly QuestionPlan[]>> = {
  niah: [
    {
      wording: /project (\S+?)(?:\?| has several)/i,
      call: (found) => search(`project ${capture(found)} is \\d{6}\\.`),
      answer: captured(needleCode),
    },
  ],
  aggregate: [
    counting(
      /How many records ask for a (\w+)\?/,
      (found) => `sum((row) => row.label === '${capture(found)}')`,
    ),
    counting(/Which kind of answer do the most/, () => `top((row) => row.label, () => true)`),
    counting(/Which user asked most often\?/, () => `top((row) => row.user, () => true)`),
    counting(
      /records of (user_\d+) ask for a (\w+)\?/,
      (found) =>
        `sum((row) => row.user === '${capture(found)}' && row.label === '${capture(found, 2)}')`,
    ),
    counting(
      /Which user asked most often for a (\w+)\?/,
      (found) => `top((row) => row.user, (row) => row.label === '${capture(found)}')`,
    ),
    counting(
      /records before (\S+) ask for a (\w+)\?/,
      (found) =>
        `sum((row) => row.day < '${capture(found)}' && row.label === '${capture(found, 2)}')`,
    ),
    counting(
      /In which month .* ask for a (\w+)\?/,
      (found) => `top((row) => row.day.slice(0, 7), (row) => row.label === '${capture(found)}')`,
    ),
  ],
  pairs: [
    {
      wording:
        /user_1 to user_(\d+)\..* at (least|most) (\d+) records of each of the two (?:from (\S+) on )?ask for a (\w+)/,
      call: (found) =>
        program(
          pairsProgram({
            users: Number(found[1]),
            isLeast: found[2] === 'least',
            limit: Number(found[3]),
            from: found[4],
            label: capture(found, 5),
          }),
        ),
      // The program has handed the pairs over by `answer`: they follow this text.
      answer: (result) =>
        result.includes('[answer taken') ? (valueOf(result).split('\n')[0] ?? '') : result,
    },
  ],
  hops: [
    {
      wording: /What number does (\w+) come to\?/,
      call: (found) => program(chainProgram(capture(found))),
      answer: valueOf,
    },
  ],
  codeqa: [
    {
      wording: /file is the function (\w+) defined/,
      call: (found) => search(`export function ${capture(found)}\\(`, { max_results: 1 }),
      answer: pathOf,
    },
    {
      wording: /Which functions call (\w+) directly/,
      call: (found) => program(callersProgram(capture(found))),
      answer: valueOf,
    },
    {
      wording: /How many HTTP routes/,
      call: () => search(String.raw`router\.add\(`, { aggregate: 'count' }),
      answer: occurrences,
    },
    {
      wording: /(\S+) is overridden by (\S+), and that by (\S+)\. .* setting (\S+) have/,
      call: (found) => program(settingProgram(found.slice(1, 4), capture(found, 4))),
      answer: valueOf,
    },
    {
      wording: /Which functions does (\w+) call, and/,
      call: (found) => program(twoCallsProgram(capture(found))),
      answer: valueOf,
    },
  ],
  recall: [
    {
      wording: /first failure of a test run/,
      call: () =>
        search(String.raw`\[tool test\] run \w+ FAILED: `, { order: 'oldest', max_results: 1 }),
      answer: captured(/FAILED: (\w+)/),
    },
    {
      wording: /must never be edited/,
      call: () => search(String.raw`\[user\] .*never edit \S+,`),
      answer: captured(/never edit (\S+),/),
    },
    {
      wording: /How many test runs failed/,
      call: () => search(String.raw`\[tool test\] run \w+ FAILED`, { aggregate: 'count' }),
      answer: occurrences,
    },
    {
      wording: /edited before the user asked for (.+?)\? Give/,
      call: (found) => program(editedBeforeProgram(`I would like ${capture(found)}`)),
      answer: valueOf,
    },
    {
      wording: /chose a color for the header/,
      call: () =>
        search(String.raw`\[user\] .*color of the header \w+`, { order: 'last', max_results: 1 }),
      answer: captured(/header (\w+)/),
    },
  ],
  real: [
    ...realPlans,
    {
      wording: /reached from (\S+) in at most (\d+) steps/,
      call: (found) =>
        program(packagesProgram(`reach(${JSON.stringify(capture(found))}, ${capture(found, 2)})`)),
      answer: valueOf,
    },
    {
      wording: /which packages name (\S+) as the first choice/,
      call: (found) =>
        program(
          packagesProgram(
            `[...depends.keys()].filter((name) => next(name).includes(${JSON.stringify(capture(found))})).join(', ')`,
          ),
        ),
      answer: valueOf,
    },
  ],
};

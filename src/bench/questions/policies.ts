import {
  newestQuestion,
  resultsAfterQuestion,
  type Policy,
  type ScriptedTurn,
} from '../../upstream/demo-policy.ts';
import { readSearch } from '../../upstream/shown-results.ts';
import type { PlainRequest } from '../../wire/types.ts';
import { benchKinds, questionHead, type BenchKind } from './cases.ts';
import { heading, signature } from './generators/real/real-case.ts';
import {
  callersProgram,
  chainProgram,
  countProgram,
  editedBeforeProgram,
  pairsProgram,
  absentProgram,
  mostProgram,
  packagesProgram,
  settingProgram,
  signersProgram,
  twoCallsProgram,
  versionProgram,
} from './programs.ts';

/** Stands in every scripted answer. */
const notice = '[scripted policy, not a model]';

/** One way to answer: a question's wording, the call to make, and the answer in its result. */
interface Plan {
  readonly wording: RegExp;
  readonly call: (found: RegExpExecArray) => Call;
  /** The answer, from the text of the call's result. */
  readonly answer: (result: string) => string;
}

interface Call {
  readonly name: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/**
 * Plays a model for the benchmark's questions: one call that a good model would make, then the
 * answer from its result. It reads only what a model would see, the question and the results. Any
 * other conversation is left alone.
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
    return { text: `${notice} ANSWER: ${plan.answer(result)}` };
  }
  return { text: `${notice} This question needs a model that understands it.` };
};

function search(pattern: string, more: Readonly<Record<string, unknown>> = {}): Call {
  return { name: 'rlm_search', args: { pattern, ...more } };
}

function program(code: string): Call {
  return { name: 'rlm_exec', args: { code } };
}

/** The value a program ended with. */
function valueOf(result: string): string {
  return /^=> ([\s\S]*)/m.exec(result)?.[1]?.trim() ?? result.slice(0, 500);
}

/** What a pattern captures in the hits of a search, each once. */
function captured(pattern: RegExp): (result: string) => string {
  return (result) => {
    const hits = readSearch(result)?.hits ?? [];
    return [...new Set(hits.map((hit) => pattern.exec(hit.text)?.[1] ?? ''))].join(', ');
  };
}

function occurrences(result: string): string {
  return String(readSearch(result)?.occurrences);
}

/** A file's head in a list of hits is its path. */
function pathOf(result: string): string {
  return readSearch(result)?.hits[0]?.label ?? '';
}

function capture(found: RegExpExecArray, number = 1): string {
  return found[number] ?? '';
}

/** A question over records whose answer is an expression over `sum` and `top`. */
function counting(wording: RegExp, select: (found: RegExpExecArray) => string): Plan {
  return { wording, call: (found) => program(countProgram(select(found))), answer: valueOf };
}

/** The heading of a changelog entry with this urgency. */
function urgencyPattern(urgency: string): string {
  return heading.source.replace(String.raw`(\w+)`, `${urgency}(?!\\w)`);
}

const needleCode = /is (\d{6})\./;

const plans: Readonly<Record<BenchKind, readonly Plan[]>> = {
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
    {
      wording: /have the urgency (\w+)\?/,
      call: (found) =>
        program(
          `context.search(${JSON.stringify(urgencyPattern(capture(found)))}, { aggregate: 'count' }).occurrences`,
        ),
      answer: valueOf,
    },
    {
      wording: /Who has signed the most/,
      call: () => program(mostProgram(signature.source, 1)),
      answer: valueOf,
    },
    {
      wording: /In which month were most entries signed/,
      call: () => program(mostProgram(signature.source, 2)),
      answer: valueOf,
    },
    {
      wording: /Take the (\d+) people .* at least (\d+) of the same changelog files/,
      call: (found) =>
        program(
          signersProgram(signature.source, {
            people: Number(capture(found)),
            least: Number(capture(found, 2)),
          }),
        ),
      answer: valueOf,
    },
    {
      wording: /entry number (\d+) from the top .* of the package (\S+)\?/,
      call: (found) => program(versionProgram(capture(found, 2), Number(capture(found)))),
      answer: valueOf,
    },
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
    {
      wording: /Which package closed bug (#\d+)\?/,
      call: (found) => program(absentProgram(capture(found))),
      answer: valueOf,
    },
  ],
};

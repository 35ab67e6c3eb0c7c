import { readSearch } from '../../upstream/shown-results.ts';
import {
  capture,
  escaped,
  program,
  search,
  valueOf,
  type Call,
  type QuestionPlan,
} from './plan.ts';
import {
  bugProgram,
  changesProgram,
  domainProgram,
  folderPairsProgram,
  joinedMailPairsProgram,
  joinedSignersProgram,
  mailPairsProgram,
  mailProgram,
  mostMailsProgram,
  mostSignedProgram,
  signersProgram,
  spamProgram,
  urgencyProgram,
  versionProgram,
} from './real-programs.ts';

/** The files that a question names by their endings, as a filter. */
function filterOf(endings: string): string {
  const all = endings.split(' or ').map((ending) => ending.slice(1));
  return all.length === 1 ? `*.${all[0]}` : `*.{${all.join(',')}}`;
}

/** A question about one place: the paths of the hits, or that there is none, of a whole search. */
function found(result: string): string {
  if (/^0 matching lines: all \d+ characters were searched\.$/m.test(result)) return 'not found';
  const hits = readSearch(result)?.hits ?? [];
  if (hits.length === 0) return 'unknown: not all was searched';
  return [...new Set(hits.map(({ label }) => label))].join(', ');
}

/** A program that hands its answer over: it stands at the end of the reply, behind its own mark. */
function handedOver(result: string): string {
  return result.includes('[answer taken') ? 'as follows' : result;
}

/** A question whose answer is the value of a program, or too long for that and handed over. */
function programPlan(wording: RegExp, code: (found: RegExpExecArray) => string): QuestionPlan {
  return {
    wording,
    call: (words) => program(code(words)),
    answer: (result) => (result.includes('[answer taken') ? 'as follows' : valueOf(result)),
  };
}

/** The lines of a file that begin so, in order. */
function lineSearch(path: string, start: string): Call {
  return search(`^[ \\t]*${escaped(start)}`, { path, order: 'oldest', max_results: 1_000 });
}

/** How the scripted policies answer the questions over real texts, but for the package index. */
export const realPlans: readonly QuestionPlan[] = [
  programPlan(/have the urgency (\w+)\?/, (words) => urgencyProgram(capture(words))),
  programPlan(/Who has signed the most/, () => mostSignedProgram(1)),
  programPlan(/In which month were most entries signed/, () => mostSignedProgram(2)),
  programPlan(
    /Take the (\d+) people .* at least (\d+) of the same (changelog files|months)/,
    (words) =>
      signersProgram(
        capture(words, 3) === 'months' ? 'months' : 'files',
        Number(capture(words)),
        Number(capture(words, 2)),
      ),
  ),
  programPlan(
    /Take the (\d+) people .* at least (\d+) entries with the urgency (\w+) since the beginning of (\d+), .* at least (\d+) with the urgency (\w+)/,
    (words) => {
      const [, people, least, urgency = '', year, otherLeast, otherUrgency = ''] = words;
      return joinedSignersProgram({
        people: Number(people),
        least: Number(least),
        urgency,
        year: Number(year),
        otherLeast: Number(otherLeast),
        otherUrgency,
      });
    },
  ),
  programPlan(/entry number (\d+) from the top .* of the package (\S+)\?/, (words) =>
    versionProgram(capture(words, 2), Number(capture(words))),
  ),
  {
    wording:
      /In the changelog (\S+), (.+) has signed \d+ entries\. Which changes does number (\d+) .* the mark (<<\w+>>)/,
    call: (words) =>
      program(
        changesProgram({
          path: capture(words),
          person: capture(words, 2),
          number: Number(capture(words, 3)),
          mark: capture(words, 4),
        }),
      ),
    answer: handedOver,
  },
  programPlan(/Which sender wrote the most/, mostMailsProgram),
  programPlan(/folders spam-1 and spam-2 are of (\w+ \d+)\?/, (words) =>
    spamProgram(capture(words)),
  ),
  programPlan(/senders have an address at (\S+)\?/, (words) => domainProgram(capture(words))),
  programPlan(/Take the (\d+) senders .* at least (\d+) of the same threads/, (words) =>
    mailPairsProgram(Number(capture(words)), Number(capture(words, 2))),
  ),
  programPlan(
    /Take the (\d+) senders .* at least (\d+) threads, .* at least (\d+) mails in (\w+ \d+)\?/,
    (words) =>
      joinedMailPairsProgram({
        people: Number(capture(words)),
        threads: Number(capture(words, 2)),
        mails: Number(capture(words, 3)),
        month: capture(words, 4),
      }),
  ),
  {
    wording: / (\S+) has sent \d+ of the mails\. What does mail number (\d+) .* the mark (<<\w+>>)/,
    call: (words) =>
      program(mailProgram(capture(words), Number(capture(words, 2)), capture(words, 3))),
    answer: handedOver,
  },
  {
    wording:
      /Of the files whose path ends in (.+): which hold a line that begins, after blanks, with `(.+)`\?/,
    call: (words) =>
      search(`^[ \\t]*${escaped(capture(words, 2))}`, {
        path: filterOf(capture(words)),
        max_results: 1_000,
      }),
    answer: (result) => found(result).replaceAll(', ', '; '),
  },
  programPlan(
    /Of the files whose path ends in (.+): take the folders that have, directly in them, a file that contains `(.+?)` and a file \(the same or another\) that contains `(.+?)`/,
    (words) =>
      folderPairsProgram(
        filterOf(capture(words)),
        escaped(capture(words, 2)),
        escaped(capture(words, 3)),
      ),
  ),
  {
    wording:
      /In the file (\S+), \d+ lines begin, after blanks, with `(.+)`\. Write line number (\d+) of these, counted from the top, and the (\d+) lines behind it\. .* the mark (<<\w+>>)/,
    call: (words) => lineSearch(capture(words), capture(words, 2)),
    next: (results, words) => {
      if (results.length > 1) return undefined;
      // Other paths may contain this one.
      const own = (readSearch(results[0] ?? '')?.hits ?? []).filter(
        ({ label }) => label === capture(words),
      );
      const hit = own[Number(capture(words, 3)) - 1];
      if (hit === undefined) return undefined;
      const { entry, line } = hit;
      return {
        name: 'rlm_get_context',
        args: { entry, line, lines: Number(capture(words, 4)) + 1 },
      };
    },
    // What stands behind the head of what was read.
    answer: (result, words) =>
      `as follows\n${capture(words, 5)}\n${result.slice(result.indexOf('\n') + 1)}`,
  },
  programPlan(/Which changelog names bug #(\d+)\?/, (words) => bugProgram(capture(words))),
  {
    wording: /Which mail contains (<\S+>)\?/,
    call: (words) => ({
      name: 'rlm_find',
      args: { text: capture(words), path: 'mails/**', max_results: 5 },
    }),
    answer: found,
  },
  {
    wording: /begins, after blanks, with def or #define and then (\w+)\?/,
    call: (words) =>
      search(`^[ \\t]*(?:def|#define) ${capture(words)}(?!\\w)`, {
        path: '*.{py,h,hpp}',
        max_results: 5,
      }),
    answer: found,
  },
];

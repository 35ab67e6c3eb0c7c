import { z } from 'zod';
import { keepAnswers } from './kept-answers.ts';
import { mergeAnswers } from './merge.ts';
import {
  mostParts,
  partsToExplore,
  partsToRead,
  streamParts,
  type QueryPart,
} from './query-parts.ts';
import { grouped } from '../../base/numbers.ts';
import { askAll, type SubAnswer, type SubModel } from '../sub-model.ts';
import { storeOfEntry } from '../linked/scope.ts';
import type { Tool, ToolContext } from '../tool.ts';

const args = z.strictObject({
  question: z.string().min(1).max(20_000).describe('Asked of each part, with nothing else.'),
  entries: z.array(z.string()).min(1).max(1000).optional(),
  path: z.string().optional(),
  tool: z.string().optional(),
  since: z.string().optional(),
  pattern: z
    .string()
    .min(1)
    .max(10_000)
    .optional()
    .describe('Only the lines around hits of this expression.'),
  context_lines: z.int().min(0).max(500).default(20),
  max_hits: z.int().min(1).max(1000).default(200),
  offset: z.int().min(0).optional(),
  length: z.int().min(1).optional(),
  chunk_chars: z.int().min(200).optional(),
  reduce: z
    .string()
    .min(1)
    .max(20_000)
    .optional()
    .describe('What to make of all answers, in one more sub-call.'),
  explore: z
    .boolean()
    .default(false)
    .describe('Sub-calls search their part with these tools instead of reading it whole.'),
  max_parts: z.int().min(1).max(mostParts).default(100),
});

type QueryArgs = z.infer<typeof args>;

/** A question over a slice of the context, answered part by part by sub-models. */
export const queryTool: Tool<QueryArgs> = {
  name: 'rlm_query',
  description:
    'Ask a sub-model about text too long to read here, for what needs understanding (rlm_search and rlm_exec count). entries, path, tool, since and pattern together choose the text, or offset and length. It is cut into parts, all asked in parallel. Returns {answers: [{part, answer}], merged}. ' +
    'Example: {"question": "Which endpoints are declared? One path per line; NONE if none.", "path": "src/**", "pattern": "router\\\\.get", "reduce": "One sorted list."}.',
  manual: `rlm_query asks the same question about every part of a text. The sub-model sees the question, which part of what it reads (part 3 of 12: src/x.ts (e7), lines 400-620) and the part, nothing of this conversation: say all it needs, and what to answer where there is nothing.
Choosing the text: entries (["e3", "e7"]), path, tool and since as in rlm_search, and pattern: all given ones hold together. With pattern only the lines around its newest max_hits hits are read, context_lines before and after. Without any of them: offset and length, or everything.
Cutting: parts are about even, at most chunk_chars (default and most: what fits the sub-model's window), and begin where sections or lines do. More than max_parts are refused before anything is asked.
reduce: one more sub-call gets all answers with the names of their parts and does what reduce says. Its answer is merged; the parts' own answers stay for programs: context.answers("q1") in rlm_exec.
explore: each part goes to a sub-call that has these tools over it, for parts longer than a window; without chunk_chars the whole slice is one part.
Examples:
{"question": "Which decisions were made? One per line with its date; NONE if none.", "path": "meetings/**", "reduce": "One list by date, without duplicates."}
{"question": "Does this code handle a missing file? Answer yes or no, with the line.", "pattern": "readFile\\\\(", "context_lines": 30}`,
  args,
  describe: ({ entries, path, tool, pattern, length }, context) => {
    const total = context.session.store.totals.chars;
    const what =
      pattern !== undefined
        ? 'the lines around hits'
        : entries !== undefined
          ? `${entries.length} ${entries.length === 1 ? 'entry' : 'entries'}`
          : path !== undefined || tool !== undefined
            ? 'some entries'
            : `${grouped(Math.min(length ?? total, total))} characters`;
    return `asking a sub-model about ${what}`;
  },
  run: async (asked, context) => JSON.stringify(await runQuery(asked, context)),
};

async function runQuery(asked: QueryArgs, context: ToolContext): Promise<Record<string, unknown>> {
  const { subModel, signal } = context;
  if (subModel === undefined)
    return { error: 'There is no sub-model here; read or search instead.' };
  const fault = faultOf(asked, subModel);
  if (fault !== undefined) return { error: fault };
  const place = await storeOfParts(asked, context);
  if (!place.ok) return { error: place.fault };
  const { asked: inStore, context: storeContext } = place;
  const cut = asked.explore
    ? await partsToExplore(inStore, storeContext)
    : await partsToRead(inStore, storeContext, subModel.maxTextChars);
  if (typeof cut === 'string') return { error: cut };
  const answers = await askAll(streamParts(cut.parts), subModel, signal);
  const failed = answers.filter((answer) => !answer.ok).length;
  const base = {
    asked: answers.length,
    failed,
    slice_note: cut.note,
  };
  const named = answers.flatMap((answer) =>
    answer.ok ? [{ name: answer.asked.name, text: answer.text }] : [],
  );
  if (asked.reduce === undefined || named.length === 0)
    return { ...base, ...shownAnswers(answers, context.maxResultChars) };
  const { question, reduce: instruction } = asked;
  const merged = await mergeAnswers({ question, instruction }, named, { subModel, signal });
  return { ...base, ...merged, ...keptBesideMerged(answers, merged, context) };
}

/**
 * What is shown beside a merged answer: what failed, and where the parts' own answers are. All of
 * them only where the merging came to nothing.
 */
function keptBesideMerged(
  answers: readonly SubAnswer<QueryPart>[],
  merged: Record<string, unknown>,
  { maxResultChars, session }: ToolContext,
): Record<string, unknown> {
  const shown = shownAnswers(answers, maxResultChars);
  if (!('merged' in merged)) return shown;
  const failures = answers.filter((answer) => !answer.ok);
  const id = keepAnswers(session, plainAnswers(answers));
  return {
    ...(failures.length === 0 ? {} : shownAnswers(failures, maxResultChars)),
    parts: `The ${answers.length} answers of the parts are kept: context.answers(${JSON.stringify(id)}) in rlm_exec gives them, [{part, spans, answer}].`,
  };
}

/** All answers, uncut. */
function plainAnswers(
  answers: readonly SubAnswer<QueryPart>[],
): readonly Readonly<Record<string, unknown>>[] {
  return answers.map((answer) => {
    const { name: part, spans } = answer.asked;
    return { part, spans, ...(answer.ok ? { answer: answer.text } : { failed: answer.error }) };
  });
}

/** The one store that entries and path are of. */
async function storeOfParts(
  asked: QueryArgs,
  context: ToolContext,
): Promise<
  | { readonly ok: true; readonly asked: QueryArgs; readonly context: ToolContext }
  | { readonly ok: false; readonly fault: string }
> {
  const { path, entries: given } = asked;
  const named = [...(given ?? []), ...(path === undefined ? [] : [path])];
  const places = [];
  for (const name of named) {
    const place = await storeOfEntry(name, context);
    if (!place.ok) return place;
    places.push(place);
  }
  const names = new Set(places.map(({ context: { storeName } }) => storeName));
  if (names.size > 1)
    return { ok: false, fault: 'One question is about texts of one store: ask once for each.' };
  const store = places[0]?.context ?? context;
  if (store.storeName === undefined) return { ok: true, asked, context };
  if (asked.explore)
    return { ok: false, fault: 'explore works in this store only: ask without it.' };
  const rest = places.map(({ entry }) => entry);
  return {
    ok: true,
    context: store,
    asked: {
      ...asked,
      ...(given === undefined ? {} : { entries: rest.slice(0, given.length) }),
      ...(path === undefined ? {} : { path: rest.at(-1) }),
    },
  };
}

function faultOf(asked: QueryArgs, subModel: SubModel): string | undefined {
  const { entries, path, tool, since, pattern } = asked;
  const isChosen = [entries, path, tool, since, pattern].some((one) => one !== undefined);
  if (isChosen && (asked.offset ?? asked.length) !== undefined)
    return 'offset and length do not go with entries, path, tool, since or pattern: name the slice in one way.';
  if (asked.explore && !subModel.mayExplore)
    return 'A sub-call this deep gets no tools: ask without explore.';
  return undefined;
}

/**
 * The answers as the model reads them, all of them, each cut alike where together they are too
 * long.
 */
function shownAnswers(
  answers: readonly SubAnswer<QueryPart>[],
  maxChars: number,
): Record<string, unknown> {
  const shareChars = Math.max(100, Math.floor(maxChars / Math.max(1, answers.length)) - 100);
  let cut = 0;
  const shown = answers.map((answer) => {
    const { name: part } = answer.asked;
    if (!answer.ok) return { part, failed: answer.error };
    if (answer.text.length <= shareChars) return { part, answer: answer.text };
    cut += 1;
    return { part, answer: `${answer.text.slice(0, shareChars).toWellFormed()}…` };
  });
  return {
    answers: shown,
    ...(cut === 0
      ? {}
      : {
          note: `${cut} answers are cut to ${shareChars} characters: ask for shorter ones, or use reduce.`,
        }),
  };
}

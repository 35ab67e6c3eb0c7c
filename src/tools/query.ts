import { z } from 'zod';
import { findEntry } from './entry-choice.ts';
import { mergeAnswers } from './merge.ts';
import { partsToExplore, partsToRead, streamParts, type QueryPart } from './query-parts.ts';
import { askAll, type SubAnswer, type SubModel } from './sub-model.ts';
import type { Tool, ToolContext } from './tool.ts';

const args = z.strictObject({
  question: z
    .string()
    .min(1)
    .max(20_000)
    .describe(
      'What to ask about each part. The sub-model sees only this and the part, so say all it needs.',
    ),
  offset: z
    .int()
    .min(0)
    .optional()
    .describe('First character of the slice. Default: the beginning.'),
  length: z.int().min(1).optional().describe('Characters of the slice. Default: to the end.'),
  entries: z
    .array(z.string())
    .min(1)
    .max(1000)
    .optional()
    .describe('Ask about these entries instead, such as ["e3", "e7"].'),
  pattern: z
    .string()
    .min(1)
    .max(10_000)
    .optional()
    .describe('Ask about the lines around the hits of this regular expression instead.'),
  context_lines: z
    .int()
    .min(0)
    .max(500)
    .default(20)
    .describe('With pattern: lines before and after each hit.'),
  max_hits: z
    .int()
    .min(1)
    .max(1000)
    .default(200)
    .describe('With pattern: hits that are looked at, newest first.'),
  chunk_chars: z
    .int()
    .min(200)
    .optional()
    .describe(
      "Characters of one part. Default and most: what fits the sub-model's window; with explore: the whole slice is one part.",
    ),
  reduce: z
    .string()
    .min(1)
    .max(20_000)
    .optional()
    .describe('If given, one more sub-call merges all answers by this instruction.'),
  explore: z
    .boolean()
    .default(false)
    .describe(
      'true: each part is explored by a sub-call that has these tools over its part, instead of being read whole. For parts longer than a window.',
    ),
  max_parts: z
    .int()
    .min(1)
    .max(1000)
    .default(100)
    .describe('Refuse if the slice makes more parts than this.'),
});

type QueryArgs = z.infer<typeof args>;

/** A question over a slice of the context, answered part by part by sub-models. */
export const queryTool: Tool<QueryArgs> = {
  name: 'rlm_query',
  description:
    'Ask a sub-model a question about a slice of the context that is too long to read here: characters offset/length, entries, or the lines around the hits of a pattern. The slice is cut at line borders into parts that fit, all asked in parallel. ' +
    'Returns {asked, failed, answers: [{spans, answer}], merged}. Example: {"question": "Which endpoints are declared here? One per line, path only; NONE if none.", "pattern": "router\\\\.(get|post)", "reduce": "Merge into one sorted list without duplicates."}. ' +
    'Meaning needs a model; to count or compare, use rlm_search with aggregate or rlm_exec.',
  args,
  describe: ({ entries, pattern, length }, context) => {
    const total = context.session.store.totals.chars;
    const what =
      entries !== undefined
        ? `${entries.length} entries`
        : pattern !== undefined
          ? 'the lines around hits'
          : `${Math.min(length ?? total, total)} characters`;
    return `asking a sub-model about ${what}`;
  },
  run: async (asked, context) => JSON.stringify(await runQuery(asked, context)),
};

async function runQuery(asked: QueryArgs, context: ToolContext): Promise<Record<string, unknown>> {
  const { subModel, signal } = context;
  if (subModel === undefined)
    return { error: 'There is no sub-model here; read or search instead.' };
  const fault = faultOf(asked, context, subModel);
  if (fault !== undefined) return { error: fault };
  const cut = asked.explore
    ? await partsToExplore(asked, context)
    : await partsToRead(asked, context, subModel.maxTextChars);
  if (typeof cut === 'string') return { error: cut };
  const answers = await askAll(streamParts(cut.parts), subModel, signal);
  const failed = answers.filter((answer) => !answer.ok).length;
  const texts = answers.filter((answer) => answer.ok).map((answer) => answer.text);
  const merged =
    asked.reduce === undefined || texts.length === 0
      ? {}
      : await mergeAnswers(
          `${asked.question}\n\nBelow are the answers that this question got for the parts of a longer text. ${asked.reduce}`,
          texts,
          { subModel, signal },
        );
  return {
    asked: answers.length,
    failed,
    ...merged,
    ...(cut.note === undefined ? {} : { slice_note: cut.note }),
    ...shownAnswers(answers, context.maxResultChars),
  };
}

function faultOf(asked: QueryArgs, context: ToolContext, subModel: SubModel): string | undefined {
  const { store } = context.session;
  const ways = [asked.offset ?? asked.length, asked.entries, asked.pattern];
  if (ways.filter((way) => way !== undefined).length > 1)
    return 'Name the slice in one way: offset and length, or entries, or pattern.';
  for (const name of asked.entries ?? []) {
    const found = findEntry(store, name);
    if (!found.ok) return found.fault;
  }
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
    const { spans } = answer.asked;
    if (!answer.ok) return { spans, failed: answer.error };
    if (answer.text.length <= shareChars) return { spans, answer: answer.text };
    cut += 1;
    return { spans, answer: `${answer.text.slice(0, shareChars).toWellFormed()}…` };
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

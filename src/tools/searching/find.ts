import { z } from 'zod';
import { filterArgs } from '../filters.ts';
import { answerSearch } from './search-answer.ts';
import { quote } from './search.ts';
import type { Tool } from '../tool.ts';

const args = z.strictObject({
  text: z.string().min(1).max(100_000).describe('The exact text; it may span several lines.'),
  max_results: z
    .int()
    .min(1)
    .max(1_000)
    .default(100)
    .describe('Hits returned; the total is exact all the same.'),
  case_sensitive: z.boolean().default(true).describe('false ignores case.'),
  ...filterArgs,
});

/** Exact text search over everything the session holds. */
export const findTool: Tool<z.infer<typeof args>> = {
  name: 'rlm_find',
  description:
    'Find exact text in the context store; nothing in it is special. Same result and filters as rlm_search. Use it for code, paths and messages with brackets, dots or backslashes.',
  args,
  describe: ({ text }, { session }) =>
    `finding ${quote(text)} in ${session.store.totals.chars} characters`,
  run: async ({ text, ...asked }, context) =>
    answerSearch(asked, { pattern: text, literal: true }, context),
};

import { z } from 'zod';
import { plainFilterArgs } from '../filters.ts';
import { plainScopeArg } from '../linked/scope.ts';
import { answerSearch } from './search-answer.ts';
import { grouped } from '../../base/numbers.ts';
import { quote } from './search.ts';
import type { Tool } from '../tool.ts';

const args = z.strictObject({
  text: z.string().min(1).max(100_000).describe('May span several lines.'),
  max_results: z.int().min(1).max(1_000).default(100),
  case_sensitive: z.boolean().default(true),
  ...plainFilterArgs,
  ...plainScopeArg,
});

/** Exact text search over everything the session holds. */
export const findTool: Tool<z.infer<typeof args>> = {
  name: 'rlm_find',
  description:
    'Find exact text; nothing in it is special: for code, paths and messages with brackets, dots or backslashes. Result and filters as in rlm_search.',
  args,
  describe: ({ text }, { session }) =>
    `finding ${quote(text)} in ${grouped(session.store.totals.chars)} characters`,
  run: async ({ text, ...asked }, context) =>
    answerSearch(asked, { pattern: text, literal: true }, context),
};

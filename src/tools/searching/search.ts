import { z } from 'zod';
import { filterArgs } from '../filters.ts';
import { scopeArg } from '../linked/scope.ts';
import { answerSearch } from './search-answer.ts';
import { groupRef } from './grouping.ts';
import { grouped } from '../../base/numbers.ts';
import { faultText } from '../result-form.ts';
import type { Tool } from '../tool.ts';
import { wordSearch } from './words.ts';

const args = z.strictObject({
  pattern: z
    .string()
    .min(1)
    .max(10_000)
    .optional()
    .describe('Regular expression (JavaScript, Python, RE2), within lines; \\n goes over several.'),
  words: z
    .string()
    .min(1)
    .max(1_000)
    .optional()
    .describe('Instead: any of these words, "phrases" and identifiers, the best passages first.'),
  max_results: z.int().min(1).max(1_000).default(50),
  case_sensitive: z.boolean().default(true),
  ...filterArgs,
  aggregate: z
    .enum(['count', 'count_by', 'unique', 'first_last'])
    .optional()
    .describe('Over all hits, instead of a list.'),
  group: z
    .union([z.string(), z.number(), z.array(groupRef)])
    .default(0)
    .describe('Capture group (0: the match), "path", "entry" or "tool"; or a list.'),
  measures: z.record(z.string(), groupRef).optional().describe('{"sum": "ms"}'),
  max_groups: z.int().min(1).max(10_000).default(100),
  ...scopeArg,
});

/** Regular expression search over everything the session holds. */
export const searchTool: Tool<z.infer<typeof args>> = {
  name: 'rlm_search',
  description:
    'Search everything stored, by pattern or by words. Hits come by entry as "line: text", newest entry first, with the exact total of matching lines. ' +
    'Open one with rlm_get_context {"entry": "e12", "line": 340, "around": 15}. Count or group all: {"pattern": "status=(\\\\d+)", "aggregate": "count_by", "group": [1, "path"]}.',
  manual: `rlm_search, in full:
- pattern is matched within lines. (?i) in it, or "case_sensitive": false, ignores case. Lookaround works and is slower.
- words, such as "connection refused" retryCount db: finds any of the phrase, retryCount (also retry_count, retry-count) and db; rare words weigh more, and passages that hold many come first.
- path, tool, entry, since narrow both. A filter that chooses nothing is an error, never a zero.
- order: "newest" (entry by entry), "oldest", or "last": the last lines first, as for the last error of a log. cursor goes on where an answer ended.
- aggregate: count (how often), count_by or unique (values of group), first_last (values with the place of their first and last). measures computes for each group, of a capture group: {"sum": "ms", "max": "ms", "avg": "ms", "min": "ms", "distinct": "user"}.
- format: "json" gives {matches: [{line, storeLine, text, offset, entry, path, title}], total, truncated, next_cursor}.`,
  args,
  describe: ({ pattern, words }, { session }) => {
    const sought = pattern ?? words ?? '';
    // A chat's first call may ask for nothing: it opens what is stored.
    if (sought === '') return 'looking at what is stored';
    return `searching ${grouped(session.store.totals.chars)} characters for ${quote(sought)}`;
  },
  run: async (
    { pattern, words, aggregate, group, measures, max_groups: maxGroups, ...asked },
    context,
  ) => {
    const form = asked.format ?? context.form ?? 'text';
    if (pattern === undefined) {
      const search = wordSearch(words ?? '');
      if (search === undefined) return faultText('Give a pattern, or words to look for.', form);
      return answerSearch(
        { ...asked, case_sensitive: false, cursor: undefined },
        {
          pattern: search.pattern,
          literal: false,
          rank: { words: search.words, passages: asked.max_results },
        },
        context,
      );
    }
    const what = { pattern, literal: false };
    // Whoever names several keys, or what to compute of them, means groups.
    const kind =
      aggregate ?? (Array.isArray(group) || measures !== undefined ? 'count_by' : undefined);
    if (kind === undefined) return answerSearch(asked, what, context);
    const by = kind === 'count' ? [] : Array.isArray(group) ? group : [group];
    const grouping = { kind, maxGroups, by, measures: measures ?? {} };
    return answerSearch(asked, { ...what, grouping }, context);
  },
};

/** A pattern as a progress line shows it: short, on one line. */
export function quote(text: string): string {
  const line = text.replace(/\s+/g, ' ');
  // Not as JSON: a backslash of a pattern stays one.
  return `"${line.length <= 60 ? line : `${line.slice(0, 59)}…`.toWellFormed()}"`;
}

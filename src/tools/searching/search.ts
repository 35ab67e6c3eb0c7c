import { z } from 'zod';
import { filterArgs } from '../filters.ts';
import { answerSearch } from './search-answer.ts';
import { groupRef, readGrouping } from './grouping.ts';
import { faultText } from '../result-form.ts';
import type { Tool } from '../tool.ts';

const args = z.strictObject({
  pattern: z
    .string()
    .min(1)
    .max(10_000)
    .describe(
      'Regular expression, in JavaScript, Python or RE2 spelling. It is matched within lines; write \\n in it to match over several.',
    ),
  max_results: z
    .int()
    .min(1)
    .max(1_000)
    .default(50)
    .describe('Hits returned; the total is exact all the same.'),
  case_sensitive: z
    .boolean()
    .default(true)
    .describe('false, or (?i) in the pattern, ignores case.'),
  ...filterArgs,
  aggregate: z
    .enum(['count', 'count_by', 'unique', 'first_last'])
    .optional()
    .describe(
      'Computes over all hits instead of listing them: count of occurrences; count_by, unique or first_last of group.',
    ),
  group: z
    .union([z.string(), z.number(), z.array(groupRef)])
    .default(0)
    .describe(
      'Capture group by number or name (0: the whole match), path, entry or tool; or a list.',
    ),
  measures: z
    .record(z.string(), groupRef)
    .optional()
    .describe('For each group, of a capture group: {"sum": "ms", "max": "ms"}.'),
  max_groups: z
    .int()
    .min(1)
    .max(10_000)
    .default(100)
    .describe('Groups returned by aggregate, most frequent first.'),
});

/** Regular expression search over everything the session holds. */
export const searchTool: Tool<z.infer<typeof args>> = {
  name: 'rlm_search',
  description:
    'Search everything in the context store with a regular expression. Returns {matches: [{line, text, offset, entry, path, tool}], total, truncated, next_cursor}; newest first, total is the exact number of matching lines however many are returned. ' +
    'Open a hit with rlm_get_context {"offset": <offset>}. With aggregate it counts or groups over all hits, exactly: {"pattern": "status=(\\\\d+)", "aggregate": "count_by", "group": [1, "path"]}.',
  args,
  describe: ({ pattern }, { session }) =>
    `searching ${session.store.totals.chars} characters for ${quote(pattern)}`,
  run: async (
    { pattern, aggregate, group, measures, max_groups: maxGroups, ...asked },
    context,
  ) => {
    const what = { pattern, literal: false };
    // Whoever names several keys, or what to compute of them, means groups.
    const kind =
      aggregate ?? (Array.isArray(group) || measures !== undefined ? 'count_by' : undefined);
    if (kind === undefined) return answerSearch(asked, what, context);
    const by = kind === 'count' ? [] : Array.isArray(group) ? group : [group];
    const { store } = context.session;
    const grouping = readGrouping(pattern, { by, measures: measures ?? {} }, store);
    if (!grouping.ok) return faultText(grouping.fault, asked.format ?? context.form ?? 'text');
    const isMeasured = measures !== undefined && Object.keys(measures).length > 0;
    const computed = {
      kind,
      maxGroups,
      by: grouping.by,
      ...(isMeasured && { measures: grouping.measures }),
    };
    return answerSearch(
      asked,
      { ...what, aggregate: computed, nameGroups: grouping.name, isByKeys: by.length > 1 },
      context,
    );
  },
};

/** A pattern as a progress line shows it: short, on one line. */
export function quote(text: string): string {
  const line = text.replace(/\s+/g, ' ');
  return JSON.stringify(line.length <= 60 ? line : `${line.slice(0, 59)}…`);
}

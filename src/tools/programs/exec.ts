import { z } from 'zod';
import type { SandboxResult } from '../../sandbox/types.ts';
import { createProgramHost } from './program-host.ts';
import type { Tool, ToolContext } from '../tool.ts';

const args = z.strictObject({
  code: z
    .string()
    .min(1)
    .max(200_000)
    .describe('JavaScript. What print writes and the value of the last expression come back.'),
});

/** Programs over the context: the paper's REPL. */
export const execTool: Tool<z.infer<typeof args>> = {
  name: 'rlm_exec',
  description: `Run JavaScript over the whole context, without files, network or modules. Use it for what must be exact over everything: counting, grouping, comparing, joining, following chains; and to ask sub-models about many parts at once. Variables stay for later calls of this chat. All calls below return plain values; no promises needed.
- context.length; context.read(offset, length) -> string; context.lines(from, to) -> strings, 1-based, by storeLine
- context.search(pattern, options), context.find(text, options) -> {matches: [{line, storeLine, text, offset, entry, path}], total, next_cursor}, with the options of rlm_search (max_results, order, path, cursor, aggregate, group, max_groups, ...); aggregate gives {groups: [{value, count, first, last}], group_count, occurrences}, exact and fast at any size
- context.entries({kind, tool, path}) -> [{id, kind, tool, path, offset, length, line, lines, time}]; an error where none fits
- llm_query(prompt, text) -> string; llm_query_batched([{prompt, text}, ...]) -> strings in order, asked in parallel ("[failed: ...]" where one failed). Put many lines into one question: thousands of small ones are slow and run out of budget.
- print(...); answer(value) hands a long result to the user as it is, instead of being typed again

Example 1, exact aggregation over everything:
const counts = {};
for (let at = 0, rest = ''; at < context.length; at += 1e6) {
  const lines = (rest + context.read(at, 1e6)).split('\\n');
  rest = lines.pop();
  if (at + 1e6 >= context.length) lines.push(rest);
  for (const line of lines) {
    const hit = /user=(\\w+) .*status=5\\d\\d/.exec(line);
    if (hit) counts[hit[1]] = (counts[hit[1]] ?? 0) + 1;
  }
}
Object.entries(counts).sort((a, b) => b[1] - a[1]).slice(0, 20)

Example 2, a question to sub-models about every part of some entries, then one about their answers:
const parts = [];
for (const entry of context.entries({ path: 'meeting' }))
  for (let at = 0; at < entry.length; at += 60000)
    parts.push({ prompt: 'List every decision in this text, one per line with its date; NONE if there is none.', text: context.read(entry.offset + at, Math.min(60000, entry.length - at)) });
const found = llm_query_batched(parts).filter((text) => !text.startsWith('NONE'));
llm_query('Merge these lists: remove duplicates, order by date.', found.join('\\n'))`,
  args,
  describe: ({ code }, { session }) =>
    `running a program of ${code.split('\n').length} lines over ${session.store.totals.chars} characters`,
  expect: ({ programs }) => programs?.sandboxes.prepare(programs.chatId),
  run: async ({ code }, context) => {
    const { programs, signal } = context;
    if (programs === undefined) return 'There is no place to run programs here.';
    const result = await programs.sandboxes.run(programs.chatId, code, {
      host: createProgramHost(context),
      signal,
      names: programs.names,
    });
    signal.throwIfAborted();
    if (result.answer !== undefined) programs.onAnswer(result.answer);
    return describeResult(result, context);
  },
};

/** What became of a program, for the model. */
function describeResult(result: SandboxResult, { slice }: ToolContext): string {
  const lines: string[] = [];
  if (result.lostNames.length > 0)
    lines.push(
      `[variables of earlier calls were lost (restart or eviction): ${result.lostNames.join(', ')}]`,
    );
  if (result.output !== '') lines.push(result.output.trimEnd());
  if (result.value !== undefined) lines.push(`=> ${result.value}`);
  if (result.error !== undefined) lines.push(`[error] ${result.error}`);
  if (result.answer !== undefined)
    lines.push(
      `[answer taken: ${result.answer.length} characters; ${slice === undefined ? 'they are shown to the user' : 'they are handed on'} after your reply, do not repeat them]`,
    );
  lines.push(...result.notes.map((note) => `[${note}]`));
  if (lines.length === 0)
    lines.push('[the program ran; it printed nothing and its last expression has no value]');
  return lines.join('\n');
}

import { z } from 'zod';
import type { SandboxResult } from '../../sandbox/types.ts';
import { manual } from './manual.ts';
import { createProgramHost } from './program-host.ts';
import { grouped } from '../../base/numbers.ts';
import { counted } from '../result-form.ts';
import type { Tool, ToolContext } from '../tool.ts';

const args = z.strictObject({
  code: z
    .string()
    .min(1)
    .max(200_000)
    .describe('What print writes and the value of the last expression come back.'),
});

const description = `Run JavaScript (not Python) over the whole context. For what must be exact over everything: counting, grouping, joining, following chains; and to ask sub-models about many parts. Variables stay for later calls.
- context.group(pattern, by, {sum, min, max, avg, distinct, path}) -> [{value, count, sum, ...}]; by: capture groups, "path", "entry"
- context.records(pattern, {path}) -> [[group1, group2, ...], ...] of every match
- context.search(pattern, options), as rlm_search -> {matches: [{entry, path, line, text, offset}], total}
- context.entries({path, tool, kind}) -> [{id, title, path, lines, length, ...}]; context.text(entry); context.lines(entry, from, to); context.read(offset, length); context.length
- llm_map(texts, task, {schema, maxCalls}) -> {results, failed}; llm_query(prompt, text) -> string
- print(...); answer(value) hands a long result to the user as it is. help() shows all calls
Example: context.group(/user=(?<user>\\w+) .*status=5\\d\\d/, 'user').slice(0, 20)`;

/** Programs over the context: the paper's REPL. */
export const execTool: Tool<z.infer<typeof args>> = {
  name: 'rlm_exec',
  description,
  linkedDescription: `${description}
- context.of("api") has the same calls over a linked store; {scope: "linked"} in options means this store and all linked ones; ids such as "api:e7" go everywhere`,
  manual,
  args,
  describe: ({ code }, { session }) =>
    `running a program of ${counted(code.trimEnd().split('\n').length, 'line')} over ${grouped(session.store.totals.chars)} characters`,
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
  if (result.lostNames.length > 0) {
    const why =
      result.areForgotten === true
        ? 'were dropped because texts were forgotten'
        : 'were lost (restart or eviction)';
    lines.push(`[variables of earlier calls ${why}: ${result.lostNames.join(', ')}]`);
  }
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

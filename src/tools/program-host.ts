import { ProxyError } from '../errors.ts';
import type { Sandboxes } from '../sandbox/sandboxes.ts';
import type { NameRecord, SandboxHost, SandboxQuestion, SandboxReply } from '../sandbox/types.ts';
import type { Entry } from '../store/types.ts';
import { checkArguments } from './call-door.ts';
import { findTool } from './find.ts';
import { countChars } from './pieces.ts';
import { searchTool } from './search.ts';
import { isVisible, visibleChars } from './slice.ts';
import { askAll, type SubModel, type SubQuestion } from './sub-model.ts';
import type { Tool, ToolContext } from './tool.ts';

/** Where a chat's programs run. */
export interface Programs {
  readonly sandboxes: Sandboxes;
  /** Whose variables. Unlike those of a sub-call. */
  readonly chatId: string;
  readonly names: NameRecord;
  /** Takes what a program gave to `answer`; the loop puts it into the visible answer as it is. */
  readonly onAnswer: (text: string) => void;
}

/** Search results may be so long inside a program, characters: they are not read by the model. */
const maxSearchChars = 4_000_000;

/** A search inside a program may take so long, milliseconds: it must be exact, and nobody waits for it at a prompt. */
const searchDeadlineMs = 60_000;

/** A program's view of the session: what the tools see, through the same checks. Offsets are those of the whole context. */
export function createProgramHost(context: ToolContext): SandboxHost {
  const { store } = context.session;
  const { startChars, endChars } = visibleChars(store, context.slice);
  return {
    // Offsets are those of the whole context, so a slice ends where it ends; before its start there is nothing.
    lengthChars: endChars,
    read: async (offsetChars, lengthChars) => {
      const start = Math.max(startChars, offsetChars);
      const end = Math.min(endChars, offsetChars + lengthChars);
      return end <= start ? '' : (await store.read(start, end - start)).text;
    },
    lines: async (first, last) => {
      if (last < first) return '';
      const { offsetChars, lengthChars, text } = await store.readLines(first, last);
      const start = Math.max(startChars, offsetChars);
      const end = Math.min(endChars, offsetChars + lengthChars);
      if (start === offsetChars && end === offsetChars + lengthChars) return text;
      return end <= start ? '' : (await store.read(start, end - start)).text;
    },
    search: async (pattern, options, signal) => searchFor(pattern, options, { ...context, signal }),
    entries: async (filter) =>
      store.entries
        .filter((entry) => isVisible(entry, context.slice) && matches(entry, filter))
        .map(entryForProgram),
    query: async (questions, signal) => askFor(questions, context, signal),
  };
}

async function searchFor(
  pattern: string,
  options: unknown,
  context: ToolContext,
): Promise<unknown> {
  const { literal, ...given } = options as Record<string, unknown>;
  const result =
    literal === true
      ? await checkedRun(findTool, { ...given, text: pattern }, context)
      : await checkedRun(searchTool, { ...given, pattern }, context);
  if (typeof result['error'] === 'string') throw new ProxyError('invalid_request', result['error']);
  // A program would take a lower bound for the number.
  if (result['partial'] === true)
    throw new ProxyError(
      'limit_reached',
      typeof result['note'] === 'string'
        ? result['note']
        : 'the search ran out of time: narrow it or read in chunks',
    );
  return result;
}

async function checkedRun<Args>(
  tool: Tool<Args>,
  given: Record<string, unknown>,
  context: ToolContext,
): Promise<Record<string, unknown>> {
  const checked = checkArguments(given, tool);
  if (!checked.ok) throw new ProxyError('invalid_request', checked.fault);
  const text = await tool.run(checked.args as Args, {
    ...context,
    searchDeadlineMs: Math.max(searchDeadlineMs, context.searchDeadlineMs),
    maxResultChars: maxSearchChars,
  });
  const result = JSON.parse(text) as Record<string, unknown>;
  return checked.notes.length === 0
    ? result
    : { ...result, arguments_note: checked.notes.join(' ') };
}

/** An entry as programs see it. */
function entryForProgram(entry: Entry): Record<string, unknown> {
  return {
    id: entry.id,
    kind: entry.kind,
    ...(entry.tool === undefined ? {} : { tool: entry.tool }),
    ...(entry.path === undefined ? {} : { path: entry.path }),
    offset: entry.offsetChars,
    length: entry.lengthChars,
    line: entry.lineNumber,
    lines: entry.lineCount,
    time: new Date(entry.timeMs).toISOString(),
  };
}

/** A filter's members must be equal; `path` must be contained. */
function matches(entry: Entry, filter: unknown): boolean {
  const { id, kind, tool, path } = filter as Record<string, unknown>;
  return (
    (id === undefined || entry.id === id) &&
    (kind === undefined || entry.kind === kind) &&
    (tool === undefined || entry.tool === tool) &&
    (path === undefined || (typeof path === 'string' && entry.path?.includes(path) === true))
  );
}

async function askFor(
  questions: readonly SandboxQuestion[],
  context: ToolContext,
  signal: AbortSignal,
): Promise<readonly SandboxReply[]> {
  const { subModel } = context;
  if (subModel === undefined)
    return questions.map(() => ({ ok: false, error: 'there is no sub-model here' }));
  const { maxTextChars, concurrency, mayExplore } = subModel;
  const ask: SubModel['ask'] = async (question, abort) => {
    const lengthChars = countChars(question.question) + countChars(question.text ?? '');
    if (lengthChars <= maxTextChars) return subModel.ask(question, abort);
    throw new ProxyError(
      'limit_reached',
      `prompt and text have ${lengthChars} characters, the sub-model takes ${maxTextChars}: cut them`,
    );
  };
  const answers = await askAll(
    labelled(questions),
    { maxTextChars, concurrency, mayExplore, ask },
    signal,
  );
  return answers.map((answer) =>
    answer.ok ? { ok: true, text: answer.text } : { ok: false, error: answer.error },
  );
}

async function* labelled(
  questions: readonly SandboxQuestion[],
): AsyncGenerator<SubQuestion, void, void> {
  for (const [index, { prompt, text }] of questions.entries())
    yield {
      question: prompt,
      ...(text === undefined ? {} : { text }),
      label: `question ${index + 1} of ${questions.length}`,
    };
}

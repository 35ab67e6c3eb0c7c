import { readArgumentText } from '../tools/call-door.ts';
import { counted } from '../tools/result-form.ts';
import { isObject } from '../wire/json.ts';
import type { FunctionCall, ToolDefinition } from '../wire/types.ts';

/**
 * The name of the one tool of a dormant chat: that of a tool which it has when it is active, too,
 * so that a history in which it was called names no tool that is gone.
 */
export const openingToolName = 'rlm_search';

/** Longest definition of it, characters of JSON: it stands in every prompt of a dormant chat. */
export const maxOpeningToolChars = 600;

/**
 * The one tool of a dormant chat. A function of the number of texts that can be opened: the same
 * bytes for as long as the chat is dormant.
 */
export function openingTool(texts: number): ToolDefinition {
  return {
    type: 'function',
    function: {
      name: openingToolName,
      description: `Opens the context store of this project: ${counted(texts, 'text')} of earlier work here (tool outputs, files, pasted texts), complete, that are not in this conversation. Call it when something is needed that was seen before, or the user speaks of earlier work, before you ask or run a tool again. It finds passages with any of the words; without words it lists what is there. From then on you have tools to search, read and analyse all of it.`,
      parameters: { type: 'object', properties: { words: { type: 'string' } } },
    },
  };
}

/** What a call has opened. */
export interface Opened {
  /** Of the tools that the model has now. */
  readonly toolNames: readonly string[];
  /** What the store holds, in words. */
  readonly overview: string;
}

/**
 * The result of the call that made a chat active: says which tools there are now. A call that looks
 * for nothing gets what is there, in the place of its own result.
 */
export function openedResult(call: FunctionCall, result: string, opened: Opened): string {
  const { toolNames, overview } = opened;
  const note = `the context store is open, and from here on you have all of its tools: ${toolNames.join(', ')}. The system message says how to use them, under "# Context store".`;
  if (call.function.name === openingToolName && asksNothing(call))
    return `note: ${note}\n${overview}`;
  // Whoever asked for JSON gets JSON.
  return result.startsWith('{') && result.length > 2
    ? `{"note":${JSON.stringify(note)},${result.slice(1)}`
    : `note: ${note}\n${result}`;
}

function asksNothing({ function: called }: FunctionCall): boolean {
  const read = readArgumentText(called.arguments);
  if (!read.ok || !isObject(read.value)) return true;
  return Object.values(read.value).every((value) => value === null || value === '');
}

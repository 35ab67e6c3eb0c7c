import { callName } from '../../src/wire/calls.ts';
import type { Message, ToolDefinition } from '../../src/wire/types.ts';
import { toolResult } from './tool-results.ts';

/** A client's tools: enough that a request is a main one and no helper. */
export const clientTools: readonly ToolDefinition[] = ['bash', 'read'].map((name) => ({
  type: 'function',
  function: { name, description: `runs ${name}`, parameters: { type: 'object', properties: {} } },
}));

/** A system message as OpenCode writes it, for a directory. */
export function systemFor(directory: string): Message {
  const block = [
    'You are a coding assistant.',
    'Here is some useful information about the environment you are running in:',
    '<env>',
    `  Working directory: ${directory}`,
    '  Is directory a git repo: yes',
    '</env>',
    '',
  ];
  return { role: 'system', content: block.join('\n') };
}

/** A user's message. */
export function user(content: string): Message {
  return { role: 'user', content };
}

/** A turn of the assistant with one call of a client tool. */
export function calling(id: string, name: string, args: unknown): Message {
  const call = {
    id,
    type: 'function' as const,
    function: { name, arguments: JSON.stringify(args) },
  };
  return { role: 'assistant', content: '', tool_calls: [call] };
}

/** A client tool's result. */
export function resultOf(id: string, content: string): Message {
  return { role: 'tool', tool_call_id: id, content };
}

/**
 * What a client sends after its command has put out this text: one that is large is stored, and our
 * tools are offered with its stub.
 */
export function outputRequest(
  output: string,
  directory = '/work/project',
): { readonly messages: readonly Message[]; readonly tools: readonly ToolDefinition[] } {
  const messages = [
    systemFor(directory),
    user('What went wrong?'),
    calling('call_tester', 'bash', { command: 'npm test' }),
    resultOf('call_tester', output),
  ];
  return { messages, tools: clientTools };
}

/** Numbered lines that are `lengthChars` long together, about. */
export function longText(lengthChars: number, word = 'line'): string {
  const lines: string[] = [];
  for (let size = 0, number = 1; size < lengthChars; number += 1) {
    const line = `${word} ${number}: the quick brown fox jumps over the lazy dog`;
    lines.push(line);
    size += line.length + 1;
  }
  return lines.join('\n');
}

/** The results of our tools in a message list, parsed. */
export function ownResults(messages: readonly Message[]): readonly Record<string, unknown>[] {
  const ids = new Set(
    messages
      .flatMap((message) => message.tool_calls ?? [])
      .filter((call) => callName(call).startsWith('rlm_'))
      .map((call) => call.id),
  );
  return messages
    .filter((message) => message.role === 'tool' && ids.has(message.tool_call_id ?? ''))
    .map((message) => toolResult(message.content));
}

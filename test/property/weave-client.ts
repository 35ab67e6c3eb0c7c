import { callName, callText } from '../../src/wire/calls.ts';
import type { ContentPart, Message } from '../../src/wire/types.ts';

/**
 * A stream of small numbers: what a client does to its copies is drawn from it, so that a failure
 * can be run again.
 */
export type Draw = (below: number) => number;

/** The mark that OpenCode leaves of an output that it has pruned. */
const prunedMark = '[Old tool result content cleared]';

/**
 * A client's copy of a message, changed in the ways in which clients change what they send back;
 * never in what it says.
 */
export function mangled(message: Message, draw: Draw): Message {
  if (message.role !== 'assistant') return message;
  const copy: Record<string, unknown> = { ...message };
  const ways: (() => void)[] = [
    () => {
      delete copy['reasoning_content'];
      delete copy['reasoning'];
      delete copy['reasoning_details'];
    },
    () => {
      if (typeof copy['reasoning_content'] === 'string')
        copy['reasoning_content'] = copy['reasoning_content'].slice(-3);
    },
    () => {
      if (copy['content'] === null || copy['content'] === '')
        copy['content'] = draw(2) === 0 ? null : '';
    },
    () => {
      if (typeof copy['content'] === 'string') copy['content'] = copy['content'].trim();
    },
    () => {
      const { content } = message;
      if (typeof content === 'string' && content.length > 2)
        copy['content'] = [content.slice(0, 2), content.slice(2)].map((part) => ({
          type: 'text',
          text: part,
        }));
    },
    () => {
      copy['tool_calls'] = message.tool_calls?.map((call) => ({
        id: call.id,
        type: call.type,
        function: { name: callName(call), arguments: respelled(callText(call)) },
      }));
      if (copy['tool_calls'] === undefined) delete copy['tool_calls'];
    },
  ];
  for (let times = draw(3); times > 0; times -= 1) ways[draw(ways.length)]?.();
  return copy as unknown as Message;
}

function respelled(args: string): string {
  try {
    return JSON.stringify(JSON.parse(args === '' ? '{}' : args));
  } catch {
    // Broken arguments go back as they came.
    return args;
  }
}

/** A user's message, at times with a reminder that is gone in the next request. */
export function asked(content: string, reminded: boolean): Message {
  if (!reminded) return { role: 'user', content };
  const parts: ContentPart[] = [
    { type: 'text', text: content },
    { type: 'text', text: '<system-reminder>\nPlan mode is active.\n</system-reminder>' },
  ];
  return { role: 'user', content: parts };
}

/** What a client does to its history besides going on. */
export const edits = {
  /** Takes back everything from the newest question on. */
  undo: (history: readonly Message[]): readonly Message[] => {
    const at = history.findLastIndex((message) => message.role === 'user');
    return at <= 1 ? history : history.slice(0, at);
  },
  /** Changes the first question. */
  edit: (history: readonly Message[], draw: Draw): readonly Message[] => {
    const at = history.findIndex((message) => message.role === 'user');
    return at < 0 ? history : history.with(at, asked(`changed ${draw(1_000)}`, false));
  },
  /** Leaves marks where old outputs were. */
  prune: (history: readonly Message[], draw: Draw): readonly Message[] =>
    history.map((message) =>
      message.role === 'tool' && draw(2) === 0 ? { ...message, content: prunedMark } : message,
    ),
  /** Puts a summary in the place of everything. */
  compact: (history: readonly Message[]): readonly Message[] => [
    ...history.filter((message) => message.role === 'system'),
    { role: 'user', content: 'What did we do so far?' },
    { role: 'assistant', content: 'We looked at files and found that the test fails.' },
  ],
  /** Another system prompt. */
  system: (history: readonly Message[], draw: Draw): readonly Message[] =>
    history.map((message) =>
      message.role === 'system' ? { ...message, content: `Another role ${draw(9)}.` } : message,
    ),
  /** Sends fewer results than there are calls. */
  partial: (history: readonly Message[]): readonly Message[] => {
    const at = history.findLastIndex(
      (message, index) => message.role === 'tool' && history[index - 1]?.role === 'tool',
    );
    return at < 0 ? history : history.toSpliced(at, 1);
  },
  /** Drops the texts that stand before calls. */
  silence: (history: readonly Message[]): readonly Message[] =>
    history.map((message) =>
      message.role === 'assistant' && message.tool_calls !== undefined
        ? { ...message, content: null }
        : message,
    ),
} as const;

/** The name of an edit. */
export type Edit = keyof typeof edits;

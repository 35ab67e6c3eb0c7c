import type { ContentPart, Message } from '../wire/types.ts';
import { countParts, partText, type KeptPart } from './kept-parts.ts';
import type { RequestMessage } from '../history/request-message.ts';
import { visibleText } from '../history/identity.ts';
import type { WovenMessage } from './weave.ts';
import { callName, callText } from '../wire/calls.ts';
import { parsed } from '../wire/unparsed-message.ts';

/**
 * Messages as a text to store and to search: who said what, with reasoning, calls and results. A
 * client's tool output that is an entry of its own is named and not written down twice.
 */
export function transcriptOf(
  woven: readonly WovenMessage[],
  items: readonly RequestMessage[],
  kept: ReadonlyMap<ContentPart, KeptPart>,
): string {
  return woven.map((each) => transcriptPart(each, items, kept)).join('\n\n');
}

function transcriptPart(
  { message: sent, index, hidden }: WovenMessage,
  items: readonly RequestMessage[],
  kept: ReadonlyMap<ContentPart, KeptPart>,
): string {
  const message = parsed(sent);
  const isResult = message.role === 'tool';
  const lines = [
    isResult ? `## result of ${message.tool_call_id ?? 'a call'}` : `## ${message.role}`,
  ];
  for (const name of ['reasoning_content', 'reasoning']) {
    const reasoning = message[name];
    if (typeof reasoning === 'string' && reasoning !== '') lines.push('(thinking)', reasoning, '');
  }
  const captured = isResult && !hidden ? items[index]?.facts.stored?.captured : undefined;
  const entries = new Map((captured ?? []).map(({ part, entry }) => [part, entry]));
  const { content } = message;
  const parts =
    typeof content === 'string'
      ? ([[-1, content]] as const)
      : (content ?? []).map((part, at) => [at, partText(part, kept)] as const);
  for (const [at, text] of parts) {
    const entry = entries.get(at);
    lines.push(entry === undefined ? text : `[entry ${entry.id}: ${entry.lengthChars} characters]`);
  }
  for (const call of message.tool_calls ?? [])
    lines.push(`call ${call.id}: ${callName(call)} ${callText(call)}`);
  return lines.join('\n');
}

/** How much of the first request the note repeats, code units: what all of it was about. */
const firstRequestLength = 600;
/** Entries that the note names; the older ones are found by searching. */
const maxNamedEntries = 12;

/**
 * What stands in a prompt for the turns that have left it: how many, where they are, and what the
 * conversation was about.
 */
export function noteOf(
  entries: readonly string[],
  {
    count,
    request,
    parts,
  }: {
    readonly count: number;
    /** The first message of the user, if there is one. */
    readonly request: Message | undefined;
    /** What kinds of parts that are no text have left with them, each by its noun. */
    readonly parts: readonly string[];
  },
): string {
  const named = entries.slice(-maxNamedEntries).join(', ');
  const older =
    entries.length > maxNamedEntries
      ? ` (the newest ${maxNamedEntries} of ${entries.length}; all are of kind "message")`
      : '';
  const asked =
    request === undefined ? '' : visibleText(request).slice(0, firstRequestLength).toWellFormed();
  return [
    `[rlm] The earlier part of this conversation, ${count} messages, is in the context store, its texts word for word: ${entries.length === 1 ? 'entry' : 'entries'} ${named}${older}.`,
    'Search it with rlm_search and "entry", or read it with rlm_get_context, when you need what was said or done before.',
    ...(parts.length === 0
      ? []
      : [
          `Left out with it: ${countParts(parts)}. The bytes are kept beside the store, but nothing can show them to you again: ask the user to send one once more if you need to see it.`,
        ]),
    ...(asked === '' ? [] : ['It began with this request of the user:', asked]),
  ].join('\n');
}

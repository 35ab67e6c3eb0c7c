import type { Totals } from '../store/types.ts';

/**
 * What a chat is told about the store, once. The sizes are those from before the chat's own first
 * text and are remembered, never updated: a number that changed from turn to turn would cost the
 * provider's prompt cache from here on. Names no identity.
 */
export function instructionsFor(totals: Totals, toolNames: readonly string[]): string {
  const holds =
    totals.entries === 0
      ? 'It was empty at the start of this conversation and fills as outputs arrive.'
      : `At the start of this conversation it held ${totals.chars} characters in ${counted(totals.lines, 'line', 'lines')} and ${counted(totals.entries, 'entry', 'entries')}, from earlier work in this project.`;
  const has = (name: string): boolean => toolNames.includes(name);
  const lines = [
    '# Context store',
    'Large tool outputs, pasted texts and attachments of this project are not in the conversation. They lie, complete and byte for byte, in a context store outside it; the conversation holds stubs that name their entry.',
    holds,
    'Reach it with these tools; they run beside the client, need no permission and cost no space until you ask:',
    '- rlm_search: regular expression over everything stored, newest first, exact total. Start here when you look for something.',
    '- rlm_find: the same for exact text.',
    '- rlm_get_context: reads by entry, or by offset and length in characters. Open a hit with its offset.',
    '- rlm_stats: how much is stored, of which kinds, and the newest entries.',
  ];
  if (has('rlm_query'))
    lines.push(
      '- rlm_query: asks a model a question over a slice too long to read, in parallel chunks.',
    );
  if (has('rlm_exec'))
    lines.push(
      '- rlm_exec: runs JavaScript over the whole context; use it to count, compare and aggregate exactly.',
    );
  lines.push(
    'When something you need was seen earlier but is no longer in the conversation, search for it before you ask the user or run a tool again. Quote what you read, not what you remember. Several of these calls can be made at once.',
  );
  return lines.join('\n');
}

function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

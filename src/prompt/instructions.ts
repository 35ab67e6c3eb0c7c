import type { StoreLink, Totals } from '../store/types.ts';
import { counted, onOneLine } from '../tools/result-form.ts';

/**
 * What a chat is told about the store, once: sizes and a map of what was there before the chat's
 * own first text. It is remembered and never updated: a number that changed from turn to turn would
 * cost the provider's prompt cache from here on. Names no identity.
 */
export function instructionsFor(
  totals: Pick<Totals, 'chars' | 'lines' | 'entries'>,
  map: string,
  {
    toolNames,
    links = [],
  }: { readonly toolNames: readonly string[]; readonly links?: readonly StoreLink[] },
): string {
  const holds =
    totals.entries === 0
      ? 'It was empty at the start of this conversation and fills as outputs arrive.'
      : `At the start of this conversation it held ${totals.chars} characters in ${counted(totals.lines, 'line')} and ${counted(totals.entries, 'entry', 'entries')}, from earlier work in this project:\n${map}`;
  const has = (name: string): boolean => toolNames.includes(name);
  const lines = [
    '# Context store',
    'Large tool outputs, pasted texts and attachments of this project are not in the conversation. They lie, complete and byte for byte, in a context store outside it; the conversation holds stubs that name their entry.',
    holds,
    'Reach it with these tools; they run beside the client, need no permission and cost no space until you ask:',
    '- rlm_search: by regular expression or by words, over everything stored, exact total. Start here when you look for something.',
    '- rlm_find: the same for exact text.',
    '- rlm_get_context: reads lines of an entry, as hits and stubs name them.',
    '- rlm_stats: lists what is stored by title, tool, path, folder or time.',
  ];
  if (has('rlm_query'))
    lines.push(
      '- rlm_query: asks a model a question over a slice too long to read, in parallel chunks.',
    );
  if (has('rlm_exec'))
    lines.push(
      '- rlm_exec: runs JavaScript over the whole context; use it to count, compare and aggregate exactly.',
    );
  if (links.length > 0) lines.push(linkedLine(links));
  lines.push(
    'When something you need was seen earlier but is no longer in the conversation, search for it before you ask the user or run a tool again. Quote what you read, not what you remember. Several of these calls can be made at once.',
  );
  return lines.join('\n');
}

/** Where else there is something to find, and how. */
function linkedLine(links: readonly StoreLink[]): string {
  const named = links.map(({ as, directory }) =>
    directory === undefined ? as : `${as} (${onOneLine(directory, 200)})`,
  );
  const [first] = links;
  return `The stores of other projects are linked and can be read, too: ${named.join(', ')}. "scope": "linked" in rlm_search, rlm_find and rlm_stats asks this store and all of them, "scope": ${JSON.stringify(first?.as)} one alone. Their entries have its name in front, as in ${first?.as}:e7: use that id wherever an entry is named.`;
}

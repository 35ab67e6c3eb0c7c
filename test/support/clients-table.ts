import type { ClientKind } from '../../src/clients/client.ts';
import { allClients } from '../../src/clients/known-clients.ts';
import { replacePart } from './readme.ts';

/**
 * The page of clients with the table of their rows made anew: what stands between `<!-- clients
 * -->` and `<!-- /clients -->`.
 */
export function freshClients(text: string): string {
  return replacePart(text, 'clients', table());
}

/**
 * The page with what plays of the real clients have shown, a row each: client with version, then
 * what was seen, as `head` names it. Stands between `<!-- plays -->` and `<!-- /plays -->`.
 */
export function withPlays(
  text: string,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  return replacePart(text, 'plays', tableOf(head, rows));
}

const columns: Readonly<Record<string, (client: ClientKind) => string>> = {
  client: ({ name }) => name,
  'known by': knownBy,
  'its folder': ({ home }) =>
    home === undefined
      ? '–'
      : `${code(['~', ...home.folders].join('/'))}, ${home.variables.map(code).join(', ')}`,
  directory: ({ directory }) =>
    [...new Set(directory.map(({ stands }) => `${stands} message`))].join(', '),
  conversation: conversationOf,
  'whole outputs': wholeOutputsOf,
  'cut, and kept nowhere': ({ cuts, spills }) =>
    cuts.length > 0 ? 'noted' : spills.length > 0 ? 'where the file is gone' : '–',
  pruned: ({ prunedMarkers }) => prunedMarkers.map(code).join(', ') || '–',
  'helper requests': ({ helpers }) =>
    helpers.map(({ what, goes }) => `${what}: ${goes}`).join(', ') || '–',
  reasoning: ({ reasoning }) => reasoning,
};

function table(): string {
  const rows = allClients.map((client) => Object.values(columns).map((cell) => cell(client)));
  return tableOf(Object.keys(columns), rows);
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => '---'), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function knownBy({ known }: ClientKind): string {
  const ways = [
    ...(known.userAgent === undefined ? [] : ['user agent']),
    ...(known.headers ?? []).map(code),
    ...(known.prompt === undefined ? [] : ['words of its prompt']),
  ];
  return ways.join(', then ') || '–';
}

function conversationOf({ conversation }: ClientKind): string {
  const { headers, agentHeader } = conversation;
  // What is found within a text is a name of earlier versions.
  const members = conversation.members.filter((way) =>
    way.every((step) => typeof step === 'string'),
  );
  const names = [...headers, ...(agentHeader === undefined ? [] : [`+ ${agentHeader}`])];
  const shown = [...names, ...members.map((way) => way.join('.'))].map(code);
  return shown.join(', ') || 'by our answers in it';
}

function wholeOutputsOf({ spills }: ClientKind): string {
  const places = new Set(spills.map(({ own }) => placeOf(own)));
  const kept = spills.find(({ keepsRows }) => keepsRows !== undefined)?.keepsRows?.rows;
  const limit =
    kept === undefined ? '' : ` (of a command the last ${kept.toLocaleString('en')} rows)`;
  return [...places].map((place) => `${place}${limit}`).join(', ') || '–';
}

function placeOf({ below, folders, moved }: ClientKind['spills'][number]['own']): string {
  const base = { data: '~/.local/share', home: '~', temp: '$TMPDIR' }[below];
  const elsewhere = (moved?.variables ?? []).map((name) =>
    code([`$${name}`, ...(moved?.folders ?? [])].join('/')),
  );
  return [code([base, ...folders].join('/')), ...elsewhere].join(', ');
}

function code(text: string): string {
  return `\`${text}\``;
}

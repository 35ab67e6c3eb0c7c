import {
  ProtocolError,
  ProtocolErrorCode,
  ResourceNotFoundError,
} from '@modelcontextprotocol/server';
import { toProxyError } from '../errors.ts';
import { isObject, parseJson } from '../wire/json.ts';
import type { AskStores, StoreChoice } from './stores.ts';

/**
 * Entries on a page of the list, some 600 KB: the official client reads 64 pages by itself, which
 * are 128,000 entries.
 */
const pageSize = 2_000;

/** Of an entry that is read whole, characters at most; what is left is read by ranges. */
const maxReadChars = 50_000;

const mimeType = 'text/plain';

/** How the resources of a store are named. Entries of linked stores bear its name: `api:e7`. */
export const templates = [
  {
    name: 'entry',
    title: 'A stored text',
    uriTemplate: 'rlm://{session}/{entry}',
    description: `An entry, such as rlm://sess_1/e42, or api:e7 of a linked store. Of a long one the first ${maxReadChars} characters, and where to read on.`,
    mimeType,
  },
  {
    name: 'lines',
    title: 'Lines of a stored text',
    uriTemplate: 'rlm://{session}/{entry}{?line,lines}',
    description: 'So many lines from a line on, counted from 1.',
    mimeType,
  },
  {
    name: 'range',
    title: 'A range of a stored text',
    uriTemplate: 'rlm://{session}/{entry}{?offset,length}',
    description: 'So many characters from a character on, counted from 0.',
    mimeType,
  },
] as const;

interface ListedEntry {
  readonly id: string;
  readonly kind: string;
  readonly tool?: string;
  readonly title: string;
  readonly sizeBytes: number;
  readonly lines: number;
  readonly timeMs: number;
}

/** A resource as a list names it. */
interface ListedResource {
  uri: string;
  name: string;
  title: string;
  description: string;
  mimeType: string;
  size: number;
  annotations: { lastModified: string };
}

/** A page of a store's entries, the newest first. */
export async function listResources(
  ask: AskStores,
  choice: StoreChoice,
  cursor: string | undefined,
  signal: AbortSignal,
): Promise<{ resources: ListedResource[]; nextCursor?: string }> {
  if (cursor !== undefined && !/^[1-9]\d{0,14}$/.test(cursor))
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'This cursor is of no page.');
  const before = cursor === undefined ? {} : { before: Number(cursor) };
  const page = (await ask('entries', { ...choice, ...before, limit: pageSize }, { signal })) as {
    readonly session: string;
    readonly entries: readonly ListedEntry[];
    readonly next?: number;
  } | null;
  if (page === null) return { resources: [] };
  const resources = page.entries.map(({ id, kind, tool, title, sizeBytes, lines, timeMs }) => ({
    uri: `rlm://${page.session}/${id}`,
    name: id,
    title: title === '' ? id : title,
    description: `${tool ?? kind}, ${lines === 1 ? '1 line' : `${lines} lines`}`,
    mimeType,
    size: sizeBytes,
    annotations: { lastModified: new Date(timeMs).toISOString() },
  }));
  return { resources, ...(page.next !== undefined && { nextCursor: String(page.next) }) };
}

/** An entry that is meant, and which part of it. */
interface Wanted {
  readonly session: string;
  readonly entry: string;
  readonly range: Readonly<Record<string, number>>;
}

/** Reads an entry, or a part of one. Bounded; says how to read on. */
export async function readResource(
  ask: AskStores,
  choice: StoreChoice,
  uri: string,
  signal: AbortSignal,
): Promise<{ contents: { uri: string; mimeType: string; text: string }[] }> {
  const wanted = wantedBy(uri);
  if (wanted === undefined) throw new ResourceNotFoundError(uri);
  const { session, entry, range } = wanted;
  const args = {
    entry,
    format: 'json',
    ...('line' in range ? {} : { length: maxReadChars }),
    ...range,
  };
  const answer = await ask(
    'tool',
    { ...choice, name: 'rlm_get_context', arguments: args },
    { signal },
  ).catch((caught: unknown) => {
    throw new ProtocolError(ProtocolErrorCode.InternalError, toProxyError(caught).message);
  });
  // Only the store of this connection: an id of another project's opens nothing.
  if (!isObject(answer) || answer['session'] !== session) throw new ResourceNotFoundError(uri);
  const found = parseJson(String(answer['text']));
  if (!isObject(found)) throw new ResourceNotFoundError(uri);
  const { error } = found;
  // The tombstone of a forgotten text is what there is to read of it.
  if (typeof error === 'string' && /^The text of \S+ was forgotten on /.test(error))
    return { contents: [{ uri, mimeType, text: `[${error}]` }] };
  if (typeof error === 'string')
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, error, { uri });
  const { has_more: hasMore, next_offset: next, total } = found;
  const text = String(found['text']);
  const note = typeof found['note'] === 'string' ? `[${found['note']}]` : '';
  const contents = [{ uri, mimeType, text: text === '' ? note : text }];
  if (hasMore === true && !('lines' in range)) {
    const rest = `rlm://${session}/${entry}?offset=${String(next)}&length=${maxReadChars}`;
    const said = `[This is a part of ${entry}, which has ${String(total)} characters. Read on with ${rest}]`;
    contents.push({ uri: rest, mimeType, text: said });
  }
  return { contents };
}

/** What a URI names; undefined where it is none of ours. */
function wantedBy(uri: string): Wanted | undefined {
  const [, session, name, query] = /^rlm:\/\/([\w-]+)\/([^/?#]+)(?:\?([^#]*))?$/.exec(uri) ?? [];
  const entry = decoded(name ?? '');
  if (session === undefined || !/^(?:[a-z0-9-]+:)?[ep][0-9a-f]+$/.test(entry)) return undefined;
  const range: Record<string, number> = {};
  for (const [key, value] of new URLSearchParams(query ?? '')) {
    if (!['line', 'lines', 'offset', 'length'].includes(key) || !/^\d{1,12}$/.test(value))
      return undefined;
    range[key] = Number(value);
  }
  return { session, entry, range };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

import { basename } from 'node:path';
import type { StoreEvent, StoreLink } from '../types.ts';

/** Links of one store at most: each of them is searched in turn. */
export const maxLinks = 32;

/** Longest name of a link, characters: it stands in front of every id of the other store. */
const maxNameChars = 32;

/** The links that are there after all events, oldest first. */
export function linksOf(events: readonly StoreEvent[]): readonly StoreLink[] {
  const links = new Map<string, StoreLink>();
  for (const event of events) {
    if (event.type === 'unlink') links.delete(event.as);
    if (event.type !== 'link') continue;
    const { as, sessionId, directory, timeMs } = event;
    links.set(as, { as, sessionId, timeMs, ...(directory === undefined ? {} : { directory }) });
  }
  return [...links.values()];
}

/**
 * What keeps a name from being that of a link, in a sentence. A name is never taken for an id
 * (`e7`), a number or a word of the scope.
 */
export function linkNameFault(name: string): string | undefined {
  const shown = JSON.stringify(name.slice(0, 2 * maxNameChars));
  if (!/^[a-z0-9-]+$/.test(name))
    return `The name ${shown} cannot be used: it may have a to z, 0 to 9 and "-" only.`;
  if (name.length > maxNameChars)
    return `The name ${shown} is too long: at most ${maxNameChars} characters.`;
  if (!/[a-z]/.test(name) || name.startsWith('-'))
    return `The name ${shown} cannot be used: it needs a letter, and a "-" only behind it.`;
  if (isReserved(name))
    return `The name ${shown} cannot be used: it would be taken for an id or a word of ours.`;
  return undefined;
}

/**
 * The name that a link gets where none was given: the directory's own, as far as it can be one,
 * with a number behind it where that is taken.
 */
export function nameForLink(directory: string | undefined, taken: ReadonlySet<string>): string {
  const plain = basename(directory ?? '')
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, maxNameChars - 4)
    .replaceAll(/^-+|-+$/g, '');
  const base = linkNameFault(plain) === undefined ? plain : `store-${plain}`.replace(/-$/, '');
  let name = base;
  for (let number = 2; taken.has(name); number += 1) name = `${base}-${number}`;
  return name;
}

/** Ids of entries, sessions, answers and texts, and the words of `scope`. */
function isReserved(name: string): boolean {
  return /^(?:[a-z]?\d+|session|linked|all|this|own|line|lines|http|https|file)$/.test(name);
}

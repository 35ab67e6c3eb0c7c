import { createHash } from 'node:crypto';
import type { SearchQuery } from '../types.ts';

/** Where an answer ended, and the snapshot it was about. */
export interface Cursor {
  /** The text as it was then: later pages count and list the same hits, however much is added. */
  readonly endBytes: number;
  /** How far the list has come, in bytes of the text: see `HitOrder.isNew`. */
  readonly after: number;
}

/** A cursor as text. It is good for the same pattern, order and filters only. */
export function encodeCursor(query: SearchQuery, cursor: Cursor): string {
  return [identify(query), cursor.endBytes.toString(36), cursor.after.toString(36)].join('.');
}

/** Reads a cursor; undefined if it is not valid, or another query's. */
export function decodeCursor(query: SearchQuery, text: string): Cursor | undefined {
  const match = /^([0-9a-f]{8})\.([0-9a-z]{1,11})\.([0-9a-z]{1,11})$/.exec(text);
  if (match === null || match[1] !== identify(query)) return undefined;
  return { endBytes: Number.parseInt(match[2]!, 36), after: Number.parseInt(match[3]!, 36) };
}

function identify(query: SearchQuery): string {
  const { pattern, literal, caseSensitive, order, unit = 'line' } = query;
  const identity = JSON.stringify([pattern, literal, caseSensitive, order, unit]);
  return createHash('sha256').update(identity).digest('hex').slice(0, 8);
}

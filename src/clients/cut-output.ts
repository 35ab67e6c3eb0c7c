import type { ClientKind } from './client.ts';
import { knownClients } from './known-clients.ts';

/** What is noted of an entry whose text its client had cut before it came. */
export const cutNote = 'cut by the client';

/** Whether an entry's note says that its client had cut the text. */
export function isCutNote(note: string | undefined): boolean {
  return note === cutNote || note?.startsWith(`${cutNote};`) === true;
}

/** A longer text is not what a client has cut, bytes: the longest that one sends has 1 MiB. */
const maxCutBytes = 4_194_304;

/**
 * Whether a tool output has a mark by which its client says that it has cut it: the client's own,
 * or of one that is not known, any client's.
 */
export function isCutByClient(text: string | Uint8Array, client: ClientKind | undefined): boolean {
  const rows = client === undefined ? knownClients : [client];
  if (rows.every(({ cuts }) => cuts.length === 0) || text.length > maxCutBytes) return false;
  const whole = typeof text === 'string' ? text : Buffer.from(text).toString();
  return rows.some(({ cuts }) => cuts.some((mark) => mark.test(whole)));
}

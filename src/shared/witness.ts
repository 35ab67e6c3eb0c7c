import { hash } from 'node:crypto';
import { ProxyError } from '../errors.ts';
import type { StoredRow } from './database/database.ts';

/** Rows whose hashes are kept of each store that is open, the newest. */
const keptRows = 1_024;

/** The row that a writer saw last: its number and {@link rowHash}. */
export type SeenRow = readonly [pos: number, hash: string];

/** A row that was read, as far as it can be told from others. */
interface MarkedRow {
  readonly pos: number;
  readonly writer: string;
  readonly n: number;
  readonly hash: string;
  /** Absent in the first of a store, or where its writer did not know the row before it. */
  readonly seen?: SeenRow | undefined;
}

/**
 * What tells a row from every other one: all that the log says of it, as it stands there; of a text
 * in pieces their name. 128 bits of SHA-256, base64url.
 */
export function rowHash(row: StoredRow): string {
  const { session, pos, timeMs, writer, n, facts, text = nothing, upload = '' } = row;
  const head = JSON.stringify([session, pos, timeMs, writer, n, upload, facts.length]);
  const digest = hash('sha256', Buffer.concat([Buffer.from(head), facts, text]), 'base64url');
  return digest.slice(0, 22);
}

const nothing = Buffer.alloc(0);

/**
 * The newest rows of a store as this machine has read them. Each row names the one that its writer
 * saw last, and with it all before that; so rows that were exchanged, left out, repeated or taken
 * back are noticed at the next row of a writer who has seen them. What its writer saw before the
 * rows that are kept is not compared.
 */
export class Witness {
  readonly #hashes = new Map<number, string>();
  readonly #places = new Map<string, number>();

  /**
   * Takes in the next row. @throws ProxyError `store_corrupt` where it contradicts those before it:
   * nothing of it is kept then
   */
  take(session: string, { pos, writer, n, hash: own, seen }: MarkedRow): void {
    const key = `${writer}/${n}`;
    if ((this.#places.get(key) ?? pos) !== pos)
      throw contradiction(session, pos, 'was there before');
    if (seen !== undefined) {
      const [before, expected] = seen;
      if (before >= pos) throw contradiction(session, pos, `was written behind row ${before}`);
      if ((this.#hashes.get(before) ?? expected) !== expected)
        throw contradiction(session, pos, `was written behind another row ${before}`);
    }
    this.note(pos, own);
    this.#places.set(key, pos);
    for (const [old, at] of this.#places) {
      if (at > pos - keptRows) break;
      this.#places.delete(old);
    }
  }

  /** What the row of a number is, of which nothing else is known. */
  note(pos: number, own: string): void {
    this.#hashes.set(pos, own);
    this.#hashes.delete(pos - keptRows);
  }
}

/** Rows do not fit together. */
class Contradiction extends ProxyError {}

function contradiction(session: string, pos: number, what: string): Contradiction {
  return new Contradiction(
    'store_corrupt',
    `The shared store is damaged: row ${pos} of ${session} ${what}.`,
    {
      hint: 'Nothing from there on is replayed; what stands before it stays readable. How to go on: docs/team.md, a damaged log.',
    },
  );
}

/** The log has not, or not any more, what it had confirmed. */
export function wentBack(session: string): ProxyError {
  return new Contradiction(
    'store_corrupt',
    `The shared store has lost rows of ${session} that it had confirmed.`,
    { hint: 'What there is of them is fetched anew (docs/team.md, standbys).' },
  );
}

/** Whether rows do not fit to those that are here: other ones may be in the log by now. */
export function isContradiction(error: unknown): error is ProxyError {
  return error instanceof Contradiction;
}

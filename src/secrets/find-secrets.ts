import { mask } from '../base/text-spans.ts';
import { maxBehindChars, maxReachChars, nextAnchor, secretAt } from './secret-at.ts';
import { TextRuns } from './text-runs.ts';
import type { SecretKind } from './token-shapes.ts';

/** A secret in a text. */
export interface SecretRange {
  readonly kind: SecretKind;
  /** UTF-16 code units [start, end) of the text. */
  readonly start: number;
  readonly end: number;
  /** Bytes [startBytes, endBytes) of the text in UTF-8. */
  readonly startBytes: number;
  readonly endBytes: number;
  /** What can stand in its place: as long in UTF-8, and what held the text together still does. */
  readonly masked: string;
}

/**
 * Keys, tokens and passwords in a text, ascending and disjoint. A pure function of the text, also
 * where it comes in pieces, cut anywhere. Takes time in proportion to its length, whatever it
 * holds.
 */
export function findSecrets(text: string | Iterable<string>): readonly SecretRange[] {
  const scan = new SecretScan();
  const found: SecretRange[] = [];
  for (const piece of typeof text === 'string' ? [text] : text) found.push(...scan.add(piece));
  found.push(...scan.end());
  return found;
}

/** The text with its secrets masked; the same one where it has none. */
export function maskSecrets(text: string): string {
  return masked(text, findSecrets(text));
}

/** The text with these secrets of its own masked. */
export function masked(text: string, secrets: readonly SecretRange[]): string {
  const parts: string[] = [];
  let at = 0;
  for (const { start, end, masked: standIn } of secrets) {
    parts.push(text.slice(at, start), standIn);
    at = end;
  }
  return parts.length === 0 ? text : parts.join('') + text.slice(at);
}

/**
 * Other characters in the place of a secret, as `mask` chooses them. What holds a text together
 * stays: white space, quotes, what follows a backslash; so JSON stays JSON.
 */
function standInFor(secret: string): string {
  return secret.replaceAll(
    /(\\.|[\s"'`,:{}\\]+)|[^\s"'`,:{}\\]+/gs,
    (some, kept: string | undefined) => (kept === undefined ? maskAll(some) : some),
  );
}

function maskAll(text: string): string {
  const bytes = Buffer.from(text);
  mask(bytes);
  return bytes.toString();
}

/** So much of a text is looked through at once, code units. */
const partChars = 1 << 20;

/**
 * Finds secrets in a text that comes in pieces. Of what came it holds some million code units at
 * most: a secret may go on in the next piece.
 */
export class SecretScan {
  #held = '';
  /** How much of the text stands before what is held. */
  #beforeChars = 0;
  #beforeBytes = 0;
  /** Up to where in what is held everything is decided. */
  #decided = 0;

  /** Goes on with the text. @returns Secrets that are whole now */
  add(piece: string): readonly SecretRange[] {
    const found: SecretRange[] = [];
    for (let at = 0; at < piece.length; at += partChars) {
      this.#held += piece.slice(at, at + partChars);
      if (this.#held.length >= partChars) found.push(...this.#look(false));
    }
    return found;
  }

  /** Ends the text. @returns The rest of its secrets */
  end(): readonly SecretRange[] {
    return this.#look(true);
  }

  #look(isLast: boolean): readonly SecretRange[] {
    const text = this.#held;
    const stop = isLast ? text.length : text.length - maxReachChars;
    const runs = new TextRuns(text);
    const found: SecretRange[] = [];
    let counted = { chars: 0, bytes: this.#beforeBytes };
    const bytesTo = (chars: number): number => {
      const bytes = counted.bytes + Buffer.byteLength(text.slice(counted.chars, chars));
      counted = { chars, bytes };
      return bytes;
    };
    let at = this.#decided;
    for (;;) {
      const hit = nextAnchor(text, at);
      if (hit === undefined || hit.index >= stop) break;
      const secret = secretAt(runs, hit.index, hit.anchor);
      at = secret?.end ?? hit.index + 1;
      if (secret === undefined) continue;
      const { kind, start, end } = secret;
      const [startBytes, endBytes] = [bytesTo(start), bytesTo(end)];
      const before = this.#beforeChars;
      const standIn = standInFor(text.slice(start, end));
      const place = { start: before + start, end: before + end, startBytes, endBytes };
      found.push({ kind, ...place, masked: standIn });
      this.#decided = end;
    }
    this.#decided = Math.max(this.#decided, stop);
    this.#letGo(wholeCharAt(text, this.#decided - maxBehindChars));
    return found;
  }

  /** Lets go of what nobody looks at any more: all before `chars`. */
  #letGo(chars: number): void {
    this.#beforeBytes += Buffer.byteLength(this.#held.slice(0, chars));
    this.#beforeChars += chars;
    this.#decided -= chars;
    this.#held = this.#held.slice(chars);
  }
}

/** The place, or the one before where it would cut a code point of two units in two. */
function wholeCharAt(text: string, place: number): number {
  const unit = text.charCodeAt(place);
  return Math.max(0, unit >= 0xdc00 && unit < 0xe000 ? place - 1 : place);
}

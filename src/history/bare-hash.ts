import { createHash, hash } from 'node:crypto';

/**
 * Hash of a text without its white space, taken in pieces. A piece must not end between the halves
 * of a surrogate pair.
 */
export class BareHash {
  readonly #sum = createHash('sha256');
  #isBlank = true;

  add(text: string): void {
    const bare = text.replace(/\s+/g, '');
    this.#isBlank &&= bare === '';
    this.#sum.update(bare);
  }

  /** Base64url; empty for a text of white space only. */
  digest(): string {
    return this.#isBlank ? '' : this.#sum.digest('base64url');
  }
}

/**
 * Hash of a text without its white space, so that trimming, joining and splitting do not matter.
 */
export function hashText(text: string): string {
  if (text.length <= hashedAtOnce) {
    const bare = text.replace(/\s+/g, '');
    return bare === '' ? '' : hash('sha256', bare, 'base64url');
  }
  const sum = new BareHash();
  for (let start = 0, end = 0; start < text.length; start = end) {
    end = Math.min(start + hashedAtOnce, text.length);
    // A pair that was cut in two would become two replacement characters.
    if (end < text.length && (text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end -= 1;
    sum.add(text.slice(start, end));
  }
  return sum.digest();
}

/**
 * Code units that are freed of white space at once: done in one go, 60 million characters take 600
 * MB for a moment.
 */
const hashedAtOnce = 65_536;

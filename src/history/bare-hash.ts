import { createHash } from 'node:crypto';

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

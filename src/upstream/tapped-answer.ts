import type { HttpAnswer } from './http-answer.ts';
import { withoutSecrets } from './secrets.ts';
import type { AnswerTap } from './upstream.ts';

/**
 * Sends a request and lets a tap hear its answer: the head, every piece of the body as it is
 * taken, and the end.
 * @param secrets Masked in the body, as {@link withoutSecrets} does: some providers repeat the key
 *   that they refuse
 * @throws Error what `send` throws
 */
export async function tappedAnswer(
  send: () => Promise<HttpAnswer>,
  tap: AnswerTap,
  secrets: readonly string[],
): Promise<HttpAnswer> {
  let answer: HttpAnswer;
  try {
    answer = await send();
  } catch (error) {
    tap.end(error);
    throw error;
  }
  const { body } = answer;
  const filter = new SecretFilter(secrets);
  const end = (error?: unknown): void => {
    void tap.piece(filter.end());
    tap.end(error);
  };
  tap.head(answer.statusCode, answer.headers);
  return {
    ...answer,
    body: {
      next: async () => {
        try {
          const piece = await body.next();
          if (piece === undefined) end();
          else await tap.piece(filter.push(piece));
          return piece;
        } catch (error) {
          end(error);
          throw error;
        }
      },
      destroy: (reason) => {
        end(reason ?? new Error('The answer is not wanted any more.'));
        body.destroy(reason);
      },
    },
  };
}

/** Masks secrets in bytes that come in pieces, wherever the pieces are cut. */
export class SecretFilter {
  readonly #secrets: readonly string[];
  readonly #longest: number;
  /** What may be the beginning of a secret; one character a byte. */
  #held = '';

  constructor(secrets: readonly string[]) {
    this.#secrets = secrets;
    this.#longest = Math.max(0, ...secrets.map((secret) => secret.length));
  }

  /** What is certain of all bytes so far and was not given out before. */
  push(bytes: Uint8Array): Uint8Array {
    if (this.#longest === 0) return bytes;
    const text = this.#held + Buffer.from(bytes).toString('latin1');
    let cut = Math.max(0, text.length - this.#longest);
    // No cut goes through a secret, nor through another one before it.
    for (let through = this.#secretAt(text, cut); through >= 0;) {
      cut = through;
      through = this.#secretAt(text, cut);
    }
    this.#held = text.slice(cut);
    return this.#masked(text.slice(0, cut));
  }

  /** The rest. */
  end(): Uint8Array {
    const rest = this.#masked(this.#held);
    this.#held = '';
    return rest;
  }

  /** Where a secret begins that a cut would go through; -1: nowhere. */
  #secretAt(text: string, cut: number): number {
    if (cut === 0) return -1;
    for (const secret of this.#secrets) {
      const at = text.lastIndexOf(secret, cut - 1);
      if (at >= 0 && at + secret.length > cut) return at;
    }
    return -1;
  }

  #masked(text: string): Uint8Array {
    return Buffer.from(withoutSecrets(text, this.#secrets), 'latin1');
  }
}

import { hash, timingSafeEqual } from 'node:crypto';
import type { Clock, Ids } from '../clock.ts';
import type { Logger } from '../log.ts';

/** A code is good for so long, milliseconds. */
export const codeLifeMs = 60_000;

/** Codes that are good at once; a further one takes the place of the oldest. */
const maxCodes = 4;

/** Browsers that are in at once; a further one takes the place of who was seen the longest ago. */
const maxVisitors = 16;

/** Who has not been seen for so long is out, milliseconds: 30 days. */
const idleMs = 30 * 86_400_000;

/** A secret whose plain form is not kept. */
interface KeptSecret {
  readonly digest: Buffer;
  /** Until then it is good, in the clock's elapsed milliseconds. */
  untilMs: number;
}

/**
 * Who may see the owner's page: whoever brings what a one-time code was exchanged for. All of it is
 * in memory, as hashes, so it ends with the server.
 */
export class PageAccess {
  readonly #clock: Clock;
  readonly #ids: Ids;
  readonly #log: Logger;
  #codes: KeptSecret[] = [];
  /** Who was seen last stands last. */
  #visitors: KeptSecret[] = [];
  #wrongCodes = 0;

  constructor(parts: { readonly clock: Clock; readonly ids: Ids; readonly log: Logger }) {
    this.#clock = parts.clock;
    this.#ids = parts.ids;
    this.#log = parts.log;
  }

  /** A new code, of 256 random bits; good once, for {@link codeLifeMs}. */
  newCode(): string {
    const code = this.#randomText();
    this.#codes = [...this.#good(this.#codes), this.#kept(code, codeLifeMs)].slice(-maxCodes);
    return code;
  }

  /** What stands for the visitor from now on, 256 random bits; undefined for a wrong code. */
  enter(code: string): string | undefined {
    const codes = this.#good(this.#codes);
    const found = find(codes, code);
    this.#codes = codes.filter((other) => other !== found);
    if (found === undefined) {
      this.#wrongCodes += 1;
      // Whoever tries them one after the other does not fill the log.
      if (Number.isInteger(Math.log2(this.#wrongCodes)))
        this.#log.warn({ count: this.#wrongCodes }, 'a wrong code for the page was handed in');
      return undefined;
    }
    const token = this.#randomText();
    this.#visitors = [...this.#good(this.#visitors), this.#kept(token, idleMs)].slice(-maxVisitors);
    return token;
  }

  /** Whether a visitor is in; it counts as seen. */
  admits(token: string): boolean {
    const visitors = this.#good(this.#visitors);
    const found = find(visitors, token);
    if (found === undefined) return false;
    found.untilMs = this.#clock.elapsedMs() + idleMs;
    this.#visitors = [...visitors.filter((other) => other !== found), found];
    return true;
  }

  #good(secrets: readonly KeptSecret[]): readonly KeptSecret[] {
    const nowMs = this.#clock.elapsedMs();
    return secrets.filter(({ untilMs }) => untilMs > nowMs);
  }

  #kept(text: string, lifeMs: number): KeptSecret {
    return { digest: digestOf(text), untilMs: this.#clock.elapsedMs() + lifeMs };
  }

  #randomText(): string {
    // A name has 64 random bits.
    return [1, 2, 3, 4].map(() => this.#ids.next('')).join('');
  }
}

/** Compares digests, so that neither content nor length shows in the time it takes. */
function find(secrets: readonly KeptSecret[], text: string): KeptSecret | undefined {
  const digest = digestOf(text);
  return secrets.find((kept) => timingSafeEqual(kept.digest, digest));
}

function digestOf(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}

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

/** A code's kind. */
export interface CodeUse {
  /**
   * It goes to a browser by the arguments of a program, which all users of a machine can read: it
   * is good for programs of this user alone.
   */
  readonly isInArguments: boolean;
}

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
  readonly #ownUser: number | undefined;
  #codes: (KeptSecret & CodeUse)[] = [];
  /** Who was seen last stands last. `user`: whose program has come in, where that was known. */
  #visitors: (KeptSecret & { readonly user: number | undefined })[] = [];
  #wrongCodes = 0;

  /** @param parts.ownUser Id of the user that the server runs as, where the system has such ids */
  constructor(parts: {
    readonly clock: Clock;
    readonly ids: Ids;
    readonly log: Logger;
    readonly ownUser?: number | undefined;
  }) {
    this.#ownUser = parts.ownUser;
    this.#clock = parts.clock;
    this.#ids = parts.ids;
    this.#log = parts.log;
  }

  /** A new code, of 256 random bits; good once, for {@link codeLifeMs}. */
  newCode({ isInArguments }: CodeUse): string {
    const code = this.#randomText();
    const kept = { ...this.#kept(code, codeLifeMs), isInArguments };
    this.#codes = [...this.#good(this.#codes), kept].slice(-maxCodes);
    return code;
  }

  /**
   * What stands for the visitor from now on, 256 random bits; undefined for a wrong code.
   * @param peerUser Tells whose program hands it in, where that can be found out
   */
  async enter(
    code: string,
    peerUser: () => Promise<number | undefined>,
  ): Promise<string | undefined> {
    if (find(this.#good(this.#codes), code)?.isInArguments === true) {
      const user = await peerUser();
      if (user !== undefined && user !== this.#ownUser) {
        // It stays good: whose it is comes a moment later.
        this.#log.warn({ user }, 'another user of this machine has handed in a code for the page');
        return undefined;
      }
    }
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
    const visitor = { ...this.#kept(token, idleMs), user: await peerUser() };
    this.#visitors = [...this.#good(this.#visitors), visitor].slice(-maxVisitors);
    return token;
  }

  /**
   * Whether a visitor is in; it counts as seen. One who has come in as a program of one user does
   * not come back as another's: a browser shows its cookies to all servers of a host.
   */
  async admits(token: string, peerUser: () => Promise<number | undefined>): Promise<boolean> {
    const known = find(this.#good(this.#visitors), token);
    if (known === undefined) return false;
    const user = known.user === undefined ? undefined : await peerUser();
    if (user !== undefined && user !== known.user) {
      this.#log.warn({ user }, 'another user of this machine has brought the cookie of the page');
      return false;
    }
    const visitors = this.#good(this.#visitors);
    const found = find(visitors, token);
    if (found === undefined) return false;
    found.untilMs = this.#clock.elapsedMs() + idleMs;
    this.#visitors = [...visitors.filter((other) => other !== found), found];
    return true;
  }

  #good<Kept extends KeptSecret>(secrets: readonly Kept[]): readonly Kept[] {
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
function find<Kept extends KeptSecret>(secrets: readonly Kept[], text: string): Kept | undefined {
  const digest = digestOf(text);
  return secrets.find((kept) => timingSafeEqual(kept.digest, digest));
}

function digestOf(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}

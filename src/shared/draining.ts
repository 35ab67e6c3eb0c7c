import { toProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Availability } from './database/availability.ts';
import type { SharedLog } from './shared-log.ts';
import type { Spool } from './spool.ts';

/** What {@link Draining} needs. */
interface DrainingParts {
  readonly spool: Spool;
  readonly availability: Availability;
  readonly log: Logger;
  readonly logOf: (sessionId: string) => Promise<SharedLog>;
  /** Opens what could not be opened while the database was away. */
  readonly begin: () => Promise<void>;
}

/** Sends what has waited on this machine for the database. */
export class Draining {
  readonly #parts: DrainingParts;
  #running: Promise<void> | undefined;
  /** Something waits that a look at the spool may have missed. */
  #isToDo = false;
  /** Why the database took nothing the last time, where it was there. */
  #refusal: string | undefined;

  constructor(parts: DrainingParts) {
    this.#parts = parts;
  }

  /** One at a time; what comes meanwhile is sent, too. */
  async run(): Promise<void> {
    this.#isToDo = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }

  /** Resolves when nothing is being sent. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#isToDo) {
      this.#isToDo = false;
      await this.#sendAll();
    }
  }

  async #sendAll(): Promise<void> {
    const { spool, log, availability, begin } = this.#parts;
    try {
      await begin();
    } catch (error) {
      log.error({ err: error }, 'what is remembered beside all projects cannot be opened');
    }
    for (const id of spool.sessions) {
      try {
        const rows = await this.#sendOf(id);
        if (rows === 0) continue;
        this.#refusal = undefined;
        log.info({ session: id, rows }, 'what has waited is in the shared store now');
      } catch (error) {
        const { code, message } = toProxyError(error);
        if (code === 'store_away') {
          // When the database is back next it goes on; one that refuses is asked at the next text.
          if (!availability.isAway) this.#sayRefused(message);
          return;
        }
        log.error(
          { err: error, session: id, reason: message },
          'what waits for a shared store cannot be sent',
        );
      }
    }
  }

  /** Once as long as the reason is the same: it is asked several times in each turn. */
  #sayRefused(reason: string): void {
    if (this.#refusal !== reason)
      this.#parts.log.warn({ reason }, 'the shared store takes nothing: it waits on this machine');
    this.#refusal = reason;
  }

  /** @returns How many rows were sent */
  async #sendOf(sessionId: string): Promise<number> {
    const { spool, log, logOf } = this.#parts;
    let rows = 0;
    for (;;) {
      const row = await spool.first(sessionId);
      if (row === undefined) return rows;
      try {
        await (await logOf(sessionId)).send(row);
        rows += 1;
      } catch (error) {
        if (toProxyError(error).code !== 'unknown_session') throw error;
        log.warn(
          { session: sessionId, texts: row.text.length },
          'what has waited for a store that was deleted meanwhile is gone with it',
        );
      }
      await spool.dropFirst(sessionId);
    }
  }
}

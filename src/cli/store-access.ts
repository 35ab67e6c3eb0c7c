import { systemClock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import type { RunOperation } from '../operations/operations.ts';
import { readOwner } from '../store/disk/owner.ts';
import { readOperation } from '../wire/operation-lines.ts';
import { dataDirOf } from './data-dir-flag.ts';
import {
  fetchLines,
  openHere,
  type OwnStores,
  serverGoneCode,
  serverOf,
} from './operations-client.ts';

/** The stores are given back so soon after the last question, milliseconds. */
const keepMs = 250;

/** So long it is tried again where the stores change hands, milliseconds. */
const patienceMs = 10_000;

const retryMs = 100;

/**
 * The stores for a process that lives long and asks now and then, beside servers and commands that
 * come and go: each question goes through the server that holds the stores at that moment, and
 * where there is none they are opened for it and given back soon.
 */
export class StoreAccess implements AsyncDisposable {
  readonly #flags: object;
  #own: Promise<OwnStores> | undefined;
  #users = 0;
  #cancelClosing: (() => void) | undefined;
  #closing: Promise<void> = Promise.resolve();

  /** @param flags Those of the settings, as commander gives them */
  constructor(flags: object) {
    this.#flags = flags;
  }

  /** Runs an operation. @throws ProxyError what it throws, `store_locked`, `cancelled` */
  async ask(
    operation: string,
    args: object,
    how: {
      readonly signal: AbortSignal;
      readonly onProgress?: (said: unknown) => void | Promise<void>;
    },
  ): Promise<unknown> {
    const body = Buffer.from(JSON.stringify(args));
    const untilMs = systemClock.elapsedMs() + patienceMs;
    for (;;) {
      try {
        return await this.#with(async (run) =>
          readOperation(run({ operation, body, signal: how.signal }), how.onProgress),
        );
      } catch (error) {
        if (how.signal.aborted || systemClock.elapsedMs() > untilMs || !isBetween(error))
          throw error;
        // A server that starts holds the stores before it can be asked; one that stops still names
        // itself; a command holds them for a moment.
        await systemClock.sleep(retryMs);
      }
    }
  }

  async #with<Result>(use: (run: RunOperation) => Promise<Result>): Promise<Result> {
    const server = serverOf(await readOwner(await dataDirOf(this.#flags)));
    if (server !== undefined) return use((call) => fetchLines(server, call));
    this.#cancelClosing?.();
    this.#users += 1;
    await this.#closing;
    const own = (this.#own ??= openHere(this.#flags, true));
    try {
      return await use((await own).run);
    } finally {
      this.#users -= 1;
      // What could not be opened is tried anew.
      await own.catch(() => (this.#own = undefined));
      if (this.#users === 0) this.#cancelClosing = systemClock.after(keepMs, () => this.#close());
    }
  }

  #close(): void {
    if (this.#users > 0) return;
    const own = this.#own;
    this.#own = undefined;
    this.#closing = (async () => (await own)?.[Symbol.asyncDispose]())().catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#cancelClosing?.();
    this.#close();
    await this.#closing;
  }
}

/** Whether the stores are on their way from one process to another. */
function isBetween(error: unknown): boolean {
  if (!(error instanceof ProxyError)) return false;
  return (
    ['store_locked', 'shutting_down'].includes(error.code) ||
    error.parts.wireCode === serverGoneCode
  );
}

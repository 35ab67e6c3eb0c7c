import { LruMap } from '../base/lru-map.ts';
import type { Clock } from '../clock.ts';
import { compileQuickJs } from './quickjs.ts';
import { Sandbox, type SandboxEnd } from './sandbox.ts';
import type {
  NameRecord,
  SandboxHost,
  SandboxLimits,
  SandboxResult,
  SandboxWork,
} from './types.ts';

/** Names of variables that are remembered per chat at most. */
const maxRemembered = 200;

/** Chats whose next program is told that texts were forgotten, at most; others hear "lost". */
const maxUntold = 1_000;

/** What {@link openSandboxes} needs. */
interface SandboxesOptions {
  readonly clock: Clock;
  readonly limits: SandboxLimits;
  /**
   * Sandboxes alive at once, one a chat; the one idle longest goes first. Programs beyond it wait
   * for a free one.
   */
  readonly maxSandboxes: number;
  /** A sandbox without a program for so long is ended, milliseconds. */
  readonly idleMs: number;
}

/** One program to run. */
interface SandboxRun {
  readonly host: SandboxHost;
  readonly signal: AbortSignal;
  readonly names: NameRecord;
}

/** The programs of all chats. */
export interface Sandboxes {
  /**
   * Runs a program with the chat's variables. Programs of one chat run one after the other.
   * Whatever the program does comes back as text; rejects only when `names` cannot be read or
   * written.
   */
  run(chatId: string, code: string, options: SandboxRun): Promise<SandboxResult>;
  /**
   * Says that a chat's program is on its way. A thread takes some 70 ms to start: so it starts
   * while the model writes. Does nothing where one stands ready, or where there is no room for
   * another.
   */
  prepare(chatId: string): void;
  /** Ends a chat's sandbox, with its variables, whatever runs in it. */
  end(chatId: string): Promise<void>;
  /** The chats that have variables at present. */
  readonly chats: readonly string[];
  /**
   * Throws a chat's variables away, because texts were forgotten that may be in them: at once, or
   * when the program ends that is running. The next program is told so.
   */
  forget(chatId: string): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

interface Slot {
  sandbox: Sandbox | undefined;
  /** Ends when the chat's newest program has ended. */
  last: Promise<void>;
  queued: number;
  usedMs: number;
  stopIdle: () => void;
  /** Its variables may hold what was forgotten. */
  isForgotten: boolean;
}

/** Opens the place where programs run. No thread exists before the first program. */
export function openSandboxes(options: SandboxesOptions): Sandboxes {
  return new SandboxPool(options);
}

class SandboxPool implements Sandboxes {
  readonly #options: SandboxesOptions;
  readonly #slots = new Map<string, Slot>();
  readonly #waiting: (() => void)[] = [];
  /** Chats that are still to be told that their variables are gone because texts were forgotten. */
  readonly #untold = new LruMap<string, true>(maxUntold);
  #quickJs: Promise<WebAssembly.Module> | undefined;
  /** Stands ready for the first program of some chat. */
  #spare: { readonly sandbox: Sandbox; readonly stopIdle: () => void } | undefined;
  #isClosed = false;

  constructor(options: SandboxesOptions) {
    this.#options = options;
  }

  prepare(chatId: string): void {
    if (this.#slots.get(chatId)?.sandbox !== undefined) return;
    // A module that does not compile is told to the program that comes.
    void this.#prepare().catch(() => undefined);
  }

  async #prepare(): Promise<void> {
    const { clock, limits, maxSandboxes, idleMs } = this.#options;
    const quickJs = await this.#compiled();
    const isWanted = this.#spare === undefined && this.#alive() < maxSandboxes && !this.#isClosed;
    if (!isWanted) return;
    const sandbox = new Sandbox(clock, limits, quickJs);
    const stopIdle = clock.after(idleMs, () => void this.#takeSpare()?.close());
    this.#spare = { sandbox, stopIdle };
  }

  #takeSpare(): Sandbox | undefined {
    const spare = this.#spare;
    this.#spare = undefined;
    spare?.stopIdle();
    return spare?.sandbox.alive === true ? spare.sandbox : undefined;
  }

  async #compiled(): Promise<WebAssembly.Module> {
    this.#quickJs ??= compileQuickJs();
    try {
      return await this.#quickJs;
    } catch (error) {
      this.#quickJs = undefined;
      throw error;
    }
  }

  async run(chatId: string, code: string, options: SandboxRun): Promise<SandboxResult> {
    const slot = this.#slot(chatId);
    slot.queued += 1;
    slot.stopIdle();
    const turn = Promise.withResolvers<undefined>();
    const before = slot.last;
    slot.last = turn.promise;
    try {
      await before;
      const result = await this.#runIn(slot, code, options);
      const isTold = result.lostNames.length === 0 || options.signal.aborted;
      if (isTold || !this.#untold.delete(chatId)) return result;
      return { ...result, areForgotten: true };
    } finally {
      if (slot.isForgotten) await this.#endThread(slot);
      slot.isForgotten = false;
      slot.queued -= 1;
      slot.usedMs = this.#options.clock.elapsedMs();
      if (slot.queued === 0)
        slot.stopIdle = this.#options.clock.after(
          this.#options.idleMs,
          () => void this.end(chatId),
        );
      turn.resolve(undefined);
      this.#waiting.shift()?.();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#takeSpare()?.close();
    await Promise.all([...this.#slots.keys()].map((chatId) => this.end(chatId)));
  }

  #slot(chatId: string): Slot {
    const known = this.#slots.get(chatId);
    if (known !== undefined) return known;
    const slot: Slot = {
      sandbox: undefined,
      last: Promise.resolve(),
      queued: 0,
      usedMs: 0,
      stopIdle: () => undefined,
      isForgotten: false,
    };
    this.#slots.set(chatId, slot);
    return slot;
  }

  async #runIn(slot: Slot, code: string, options: SandboxRun): Promise<SandboxResult> {
    const remembered = await options.names.load();
    if (slot.sandbox?.alive === false) slot.sandbox = undefined;
    const lostNames = slot.sandbox === undefined ? remembered : [];
    if (options.signal.aborted) return ended({ dead: true, error: 'cancelled' }, lostNames);
    await this.#makeRoom(slot, options.signal);
    if (options.signal.aborted) return ended({ dead: true, error: 'cancelled' }, lostNames);
    const quickJs = await this.#compiled();
    slot.sandbox ??=
      this.#takeSpare() ?? new Sandbox(this.#options.clock, this.#options.limits, quickJs);
    const end = await slot.sandbox.run(code, options.host, options.signal);
    if (end.dead) {
      await this.#endThread(slot);
      // What is remembered stays, so that the next call names it too.
      return ended(end, lostNames);
    }
    const names = end.end.names.slice(0, maxRemembered);
    if (names.join() !== remembered.join()) await options.names.save(names);
    if (end.end.isFull) await this.#endThread(slot);
    return ended(end, lostNames);
  }

  /**
   * Waits until this slot may have a thread: ends the idle one that rested longest, or waits for a
   * program to end.
   */
  async #makeRoom(slot: Slot, signal: AbortSignal): Promise<void> {
    while (slot.sandbox === undefined && this.#alive() >= this.#options.maxSandboxes) {
      if (signal.aborted || this.#spare !== undefined) return;
      const idle = [...this.#slots]
        .filter(([, other]) => other.sandbox !== undefined && other.queued === 0)
        .sort(([, a], [, b]) => a.usedMs - b.usedMs)[0];
      if (idle !== undefined) {
        await this.end(idle[0]);
        continue;
      }
      const freed = Promise.withResolvers<undefined>();
      const wake = (): void => freed.resolve(undefined);
      this.#waiting.push(wake);
      signal.addEventListener('abort', wake, { once: true });
      await freed.promise;
      signal.removeEventListener('abort', wake);
    }
  }

  get chats(): readonly string[] {
    const withThread = [...this.#slots].filter(([, { sandbox }]) => sandbox !== undefined);
    return withThread.map(([chatId]) => chatId);
  }

  async forget(chatId: string): Promise<void> {
    const slot = this.#slots.get(chatId);
    if (slot?.sandbox === undefined) return;
    this.#untold.set(chatId, true);
    if (slot.queued === 0) await this.end(chatId);
    else slot.isForgotten = true;
  }

  async #endThread(slot: Slot): Promise<void> {
    await slot.sandbox?.close();
    slot.sandbox = undefined;
  }

  #alive(): number {
    let count = this.#spare === undefined ? 0 : 1;
    for (const slot of this.#slots.values()) if (slot.sandbox !== undefined) count += 1;
    return count;
  }

  async end(chatId: string): Promise<void> {
    const slot = this.#slots.get(chatId);
    if (slot === undefined) return;
    this.#slots.delete(chatId);
    slot.stopIdle();
    await slot.sandbox?.close();
  }
}

const memoryFull = 'the memory was full, so all variables were thrown away: keep less in variables';

const noWork: SandboxWork = { computeMs: 0, hostCalls: 0, subCalls: 0, charsRead: 0 };

function ended(end: SandboxEnd, lostNames: readonly string[]): SandboxResult {
  if (end.dead) {
    const notes =
      end.error === 'cancelled'
        ? []
        : ['all variables of this chat are lost: the next call starts anew'];
    return { output: '', error: end.error, lostNames, notes, work: noWork };
  }
  const { output, value, error, answer, resetReason, isFull, work } = end.end;
  const notes = [
    ...(resetReason === undefined ? [] : [resetReason]),
    ...(isFull ? [memoryFull] : []),
  ];
  return {
    output,
    value,
    error,
    answer,
    lostNames,
    notes,
    work,
  };
}

import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { compileCacheEnv } from '../../base/compile-cache-env.ts';
import type { Clock } from '../../clock.ts';

/** A text's way into the thread: its port and the memory that its pieces are put into. */
export interface DigestBegin {
  readonly port: MessagePort;
  readonly memory: SharedArrayBuffer;
  readonly slotBytes: number;
}

/** To the thread. Pieces are hashed in the order in which they are sent. */
export type DigestOrder =
  | { readonly kind: 'piece'; readonly slot: number; readonly lengthBytes: number }
  | { readonly kind: 'end' };

/** From the thread. */
export type DigestAnswer =
  | { readonly kind: 'free'; readonly slot: number }
  | { readonly kind: 'digest'; readonly sha256: string };

/** A piece of a text is copied in parts of this size; a copy costs a tenth of hashing the same. */
const slotBytes = 256 * 1024;

/** How far the text may be ahead of its hash, slots. */
const slotCount = 8;

/**
 * An idle thread is kept so long for the next text, milliseconds: most come one after the other.
 */
const idleMs = 10_000;

/** One thread for all texts of the process. */
class DigestThread {
  readonly #worker: Worker;
  readonly #texts = new Set<TextDigest>();
  #stopTimer: (() => void) | undefined;
  isGone = false;

  constructor() {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const url = new URL(`./digest-thread.${extension}`, import.meta.url);
    this.#worker = new Worker(url, {
      name: 'rlm-digest',
      env: compileCacheEnv(),
      execArgv: [],
      stdin: false,
    });
    this.#worker.unref();
    this.#worker.on('error', (error) => this.#end(error));
    this.#worker.on('exit', () => this.#end(new Error('The thread that hashes texts has ended.')));
  }

  add(text: TextDigest, begin: DigestBegin): void {
    this.#stopTimer?.();
    this.#texts.add(text);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#worker.postMessage(begin, [begin.port]);
  }

  remove(text: TextDigest, clock: Clock): void {
    this.#texts.delete(text);
    this.#stopTimer?.();
    if (this.#texts.size === 0) this.#stopTimer = clock.after(idleMs, () => this.#close());
  }

  #close(): void {
    this.isGone = true;
    void this.#worker.terminate();
  }

  #end(error: unknown): void {
    this.isGone = true;
    for (const text of this.#texts) text.fail(error);
  }
}

let thread: DigestThread | undefined;

/**
 * SHA-256 of a long text that comes in pieces, computed in a thread of its own: on the event loop
 * it was half of what storing a large file costs there. Holds 2 MiB. Ends with {@link
 * TextDigest.sha256} or {@link TextDigest.abandon}.
 */
export class TextDigest {
  readonly #clock: Clock;
  readonly #thread: DigestThread;
  readonly #port: MessagePort;
  readonly #memory = new SharedArrayBuffer(slotBytes * slotCount);
  readonly #free = Array.from({ length: slotCount }, (_, slot) => slot);
  #failure: { readonly error: unknown } | undefined;
  /** Whoever waits for the thread: for a free slot, or for the end. */
  #wake: (() => void) | undefined;
  #sha256: string | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    if (thread === undefined || thread.isGone) thread = new DigestThread();
    this.#thread = thread;
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    port1.on('message', (answer: DigestAnswer) => this.#take(answer));
    thread.add(this, { port: port2, memory: this.#memory, slotBytes });
  }

  /**
   * Takes a copy of the next piece; resolves when there is room for the one after it. @throws Error
   * where the thread has died
   */
  async update(piece: Uint8Array): Promise<void> {
    for (let at = 0; at < piece.length; at += slotBytes) {
      const part = piece.subarray(at, at + slotBytes);
      const slot = await this.#freeSlot();
      new Uint8Array(this.#memory, slot * slotBytes).set(part);
      this.#send({ kind: 'piece', slot, lengthBytes: part.length });
    }
  }

  /** The hash of all pieces, hexadecimal. @throws Error where the thread has died */
  async sha256(): Promise<string> {
    this.#send({ kind: 'end' });
    while (this.#sha256 === undefined) await this.#answer();
    this.abandon();
    return this.#sha256;
  }

  /** Nobody wants the hash any more. */
  abandon(): void {
    this.#port.close();
    this.#thread.remove(this, this.#clock);
  }

  /** The thread is gone. */
  fail(error: unknown): void {
    this.#failure = { error };
    this.#wake?.();
  }

  async #freeSlot(): Promise<number> {
    for (;;) {
      const slot = this.#free.pop();
      if (slot !== undefined) return slot;
      await this.#answer();
    }
  }

  async #answer(): Promise<void> {
    if (this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #take(answer: DigestAnswer): void {
    if (answer.kind === 'free') this.#free.push(answer.slot);
    else this.#sha256 = answer.sha256;
    this.#wake?.();
  }

  #send(order: DigestOrder): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#port.postMessage(order);
  }
}

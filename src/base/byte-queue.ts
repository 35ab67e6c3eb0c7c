/** Who sends what a {@link ByteQueue} takes. */
export interface Sender {
  pause(): unknown;
  resume(): unknown;
}

/**
 * Bytes that come by callback and are pulled by one reader. While too many wait, their sender is
 * held up.
 */
export class ByteQueue {
  readonly #maxWaitingBytes: number;
  readonly #sender: Sender;
  #pieces: Buffer[] = [];
  #waitingBytes = 0;
  #isPaused = false;
  #isOver = false;
  #fault: Error | undefined;
  #wake: (() => void) | undefined;

  /** @param maxWaitingBytes The sender is held up from so many on */
  constructor(maxWaitingBytes: number, sender: Sender) {
    this.#maxWaitingBytes = maxWaitingBytes;
    this.#sender = sender;
  }

  /** Whether {@link end} was called. Some pieces may still wait. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** What broke off the sending. */
  get fault(): Error | undefined {
    return this.#fault;
  }

  push(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#waitingBytes += piece.length;
    if (!this.#isPaused && this.#waitingBytes >= this.#maxWaitingBytes) {
      this.#isPaused = true;
      this.#sender.pause();
    }
    this.#wake?.();
  }

  /** Nothing more comes, because of `fault` where there is one. The first call counts. */
  end(fault?: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#fault = fault;
    this.#wake?.();
  }

  /**
   * Resolves when there is something to take, at once where there is: true; false at the end.
   * @throws what {@link end} was given, once everything before it is taken
   */
  async arrived(): Promise<boolean> {
    while (this.#pieces.length === 0 && !this.#isOver) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#pieces.length > 0) return true;
    if (this.#fault !== undefined) throw this.#fault;
    return false;
  }

  /** The first piece that waits, as it came; undefined where none does. */
  take(): Buffer | undefined {
    const piece = this.#pieces.shift();
    if (piece !== undefined) this.#taken(piece.length);
    return piece;
  }

  /**
   * All that waits in one piece; undefined where nothing does. A copy, unless it is one piece
   * already.
   */
  takeAll(): Buffer | undefined {
    if (this.#pieces.length < 2) return this.take();
    const all = Buffer.concat(this.#pieces, this.#waitingBytes);
    this.#pieces = [];
    this.#taken(all.length);
    return all;
  }

  #taken(sizeBytes: number): void {
    this.#waitingBytes -= sizeBytes;
    if (!this.#isPaused || this.#waitingBytes >= this.#maxWaitingBytes) return;
    this.#isPaused = false;
    this.#sender.resume();
  }
}

import type { Clock } from '../clock.ts';

/** How far an ingest is. */
export interface IngestProgress {
  readonly files: number;
  readonly bytes: number;
  /** Absent where they are not known (stdin). */
  readonly totalFiles?: number;
  readonly totalBytes?: number;
  readonly bytesPerSecond: number;
  /** Absent while the rate or the total is not known. */
  readonly secondsLeft?: number;
  /** What is being read. */
  readonly path: string;
}

/** Tells progress at most ten times a second. */
const everyMs = 100;

/** Counts what is read and tells it. */
export class ProgressMeter {
  readonly #clock: Clock;
  readonly #tell: (progress: IngestProgress) => void;
  readonly #startMs: number;
  #toldMs = Number.NEGATIVE_INFINITY;
  #files = 0;
  #bytes = 0;
  #total: { readonly files: number; readonly bytes: number } | undefined;

  constructor(clock: Clock, tell: (progress: IngestProgress) => void) {
    this.#clock = clock;
    this.#tell = tell;
    this.#startMs = clock.elapsedMs();
  }

  /** How much there is in all. */
  expect(files: number, bytes: number): void {
    this.#total = { files, bytes };
  }

  /** So many more bytes of `path` are done. */
  addBytes(bytes: number, path: string): void {
    this.#bytes += bytes;
    this.#report(path, false);
  }

  /** A file is done, read or not. */
  addFile(path: string): void {
    this.#files += 1;
    this.#report(path, false);
  }

  /** Everything is done: tells it, however short ago it told. */
  finish(): void {
    this.#report('', true);
  }

  #report(path: string, always: boolean): void {
    const nowMs = this.#clock.elapsedMs();
    if (!always && nowMs - this.#toldMs < everyMs) return;
    this.#toldMs = nowMs;
    const seconds = (nowMs - this.#startMs) / 1000;
    const bytesPerSecond = seconds > 0 ? this.#bytes / seconds : 0;
    const total = this.#total;
    this.#tell({
      files: this.#files,
      bytes: this.#bytes,
      ...(total && { totalFiles: total.files, totalBytes: total.bytes }),
      bytesPerSecond,
      ...(total &&
        bytesPerSecond > 0 && {
          secondsLeft: Math.max(0, total.bytes - this.#bytes) / bytesPerSecond,
        }),
      path,
    });
  }
}

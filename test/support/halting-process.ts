import type { Clock } from '../../src/clock.ts';
import { systemClock } from '../../src/clock.ts';
import { realFiles, type Files, type OpenFile } from '../../src/store/disk/files.ts';

/**
 * A process that ends in the middle: from one step on, of those that change a file or send
 * something, nothing that it does comes about any more, and nothing comes back to it.
 */
export class HaltingProcess {
  #left: number;
  #steps = 0;
  readonly #halted = Promise.withResolvers<void>();

  /** @param steps After so many it halts */
  constructor(steps = Infinity) {
    this.#left = steps;
  }

  /** Steps so far. */
  get steps(): number {
    return this.#steps;
  }

  get isHalted(): boolean {
    return this.#left < 0;
  }

  /** Resolves when it halts. */
  get halted(): Promise<void> {
    return this.#halted.promise;
  }

  /** Halts so many steps from now. */
  haltIn(steps: number): void {
    this.#left = steps;
  }

  /** A step: resolves at once, or never. */
  readonly step = async (): Promise<void> => {
    this.#steps += 1;
    this.#left -= 1;
    if (this.#left >= 0) return;
    this.#halted.resolve();
    await new Promise(() => {});
  };

  /** The machine's disk, as long as the process lives. Without syncs: no power is cut here. */
  readonly files: Files = {
    ...realFiles,
    open: async (path, options) => {
      if (options.create) await this.step();
      return this.#fileOf(await realFiles.open(path, options));
    },
    createExclusive: this.#stepping(async (path: string, bytes: Uint8Array) =>
      realFiles.createExclusive(path, bytes),
    ),
    makeDirectory: this.#stepping(async (path: string) => realFiles.makeDirectory(path)),
    rename: this.#stepping(async (from: string, to: string) => realFiles.rename(from, to)),
    link: this.#stepping(async (from: string, to: string) => realFiles.link(from, to)),
    remove: this.#stepping(async (path: string) => realFiles.remove(path)),
    syncDirectory: async () => undefined,
  };

  /** The machine's clock, whose timers do nothing once the process has ended. */
  readonly clock: Clock = {
    now: () => systemClock.now(),
    elapsedMs: () => systemClock.elapsedMs(),
    after: (ms, run) =>
      systemClock.after(ms, () => {
        if (!this.isHalted) run();
      }),
    sleep: async (ms, signal) => {
      await systemClock.sleep(ms, signal);
      if (this.isHalted) await new Promise(() => {});
    },
  };

  #fileOf(file: OpenFile): OpenFile {
    return {
      ...file,
      write: this.#stepping(async (bytes: Uint8Array, at: number) => file.write(bytes, at)),
      truncate: this.#stepping(async (sizeBytes: number) => file.truncate(sizeBytes)),
      datasync: async () => undefined,
    };
  }

  #stepping<Args extends unknown[], Result>(
    call: (...args: Args) => Promise<Result>,
  ): (...args: Args) => Promise<Result> {
    return async (...args) => {
      await this.step();
      return call(...args);
    };
  }
}

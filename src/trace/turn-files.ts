import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { type Files, type OpenFile, writeFully } from '../store/disk/files.ts';
import { TraceFault, type TraceRoom } from './trace-room.ts';

/** Bytes of one turn that may wait for the disk; from there on the turn waits, too. */
export const maxWaitingBytes = 16 * 1024 ** 2;

/**
 * So long, summed, a turn waits for the disk; then it goes on and its trace is given up.
 * Milliseconds.
 */
export const maxWaitMs = 1_000;

/** What a turn's folder is written with. */
export interface TurnFilesOptions {
  readonly room: TraceRoom;
  readonly files: Files;
  readonly clock: Clock;
  /** Hears once why the turn could not be written down. */
  readonly onFault: (error: unknown) => void;
}

interface GrowingFile {
  readonly file: OpenFile;
  sizeBytes: number;
}

/**
 * The folder of one turn. Everything is written in the order in which it comes, behind the turn's
 * back: no call fails, and whoever writes waits only while more than {@link maxWaitingBytes} wait.
 * What cannot be written costs the whole folder, so that half a trace is never taken for one.
 */
export class TurnFiles {
  readonly #name: string;
  readonly #options: TurnFilesOptions;
  readonly #open = new Map<string, GrowingFile>();
  #path = '';
  /** Settled when all that was asked for so far is done; never rejects. */
  #tail: Promise<void>;
  #waitingBytes = 0;
  #waitedMs = 0;
  #isGivenUp = false;

  /** @param name As `TraceRoom.nameOf` gives it */
  constructor(name: string, options: TurnFilesOptions) {
    this.#name = name;
    this.#options = options;
    this.#tail = this.#tried(async () => {
      this.#path = await options.room.begin(name);
    });
  }

  /** Whether what is written still arrives anywhere. */
  get isGivenUp(): boolean {
    return this.#isGivenUp;
  }

  /**
   * Appends to a file of the folder, made with mode 0600. Nobody may change the bytes afterwards.
   * @returns What to wait for before more is written; nothing where there is room
   */
  append(name: string, bytes: Uint8Array): Promise<void> | undefined {
    if (this.#isGivenUp) return undefined;
    this.#waitingBytes += bytes.length;
    const written = this.#then(async () => {
      try {
        await this.#write(name, bytes);
      } finally {
        this.#waitingBytes -= bytes.length;
      }
    });
    return this.#waitingBytes > maxWaitingBytes ? this.#patient(written) : undefined;
  }

  /** A whole file of our own: JSON that begins with the version of the form. */
  json(name: string, value: Readonly<Record<string, unknown>>): void {
    void this.append(name, jsonBytes({ version: traceVersion, ...value }));
  }

  /** Nothing more comes to a file. */
  finish(name: string): void {
    void this.#then(async () => {
      const growing = this.#open.get(name);
      this.#open.delete(name);
      await growing?.file.close();
    });
  }

  /** Nothing more comes to any. Resolves when all of it is written, or given up; never rejects. */
  async close(): Promise<void> {
    await this.#then(() => this.#closeAll());
    this.#options.room.end(this.#name);
  }

  /**
   * Gives the folder up, whatever comes yet. @param why What its owner hears. Resolves when nothing
   * of it is left; never rejects
   */
  async giveUp(why: unknown): Promise<void> {
    this.#giveUp(why);
    await this.#then(() => this.#discard());
  }

  async #write(name: string, bytes: Uint8Array): Promise<void> {
    if (this.#isGivenUp) return;
    await this.#options.room.take(this.#name, bytes.length);
    let growing = this.#open.get(name);
    if (growing === undefined) {
      const file = await this.#options.files.open(join(this.#path, name), { create: true });
      growing = { file, sizeBytes: 0 };
      this.#open.set(name, growing);
    }
    await writeFully(growing.file, bytes, growing.sizeBytes);
    growing.sizeBytes += bytes.length;
  }

  #then(work: () => Promise<void>): Promise<void> {
    this.#tail = this.#tail.then(() => this.#tried(work));
    return this.#tail;
  }

  async #tried(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#giveUp(error);
      await this.#discard();
    }
  }

  /** Waits for the disk, but not for ever. */
  async #patient(written: Promise<void>): Promise<void> {
    const { clock } = this.#options;
    const sinceMs = clock.elapsedMs();
    const timeUp = Promise.withResolvers<void>();
    const cancel = clock.after(maxWaitMs - this.#waitedMs, () => {
      this.#giveUp(new TraceFault('too_slow', 'the disk is slower than the turn'));
      void this.#then(() => this.#discard());
      timeUp.resolve();
    });
    await Promise.race([written, timeUp.promise]);
    cancel();
    this.#waitedMs += clock.elapsedMs() - sinceMs;
  }

  #giveUp(error: unknown): void {
    if (this.#isGivenUp) return;
    this.#isGivenUp = true;
    this.#options.onFault(error);
  }

  /** What is left of the folder goes, if the disk lets it. */
  async #discard(): Promise<void> {
    try {
      await this.#closeAll();
      await this.#options.room.drop(this.#name);
    } catch {
      // That this disk does not do as it is told has been said.
    }
  }

  async #closeAll(): Promise<void> {
    const open = [...this.#open.values()];
    this.#open.clear();
    await Promise.allSettled(open.map(({ file }) => file.close()));
  }
}

/** Version of all JSON files of a trace. */
const traceVersion = 1;

function jsonBytes(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`);
}

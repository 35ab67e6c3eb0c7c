import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import { type Files, replaceFile } from '../store/disk/files.ts';
import { sizesOnDisk } from '../store/disk/sizes-on-disk.ts';
import type { ReplicaSessions } from '../store/sessions.ts';

/** A store that was used so recently is in use, milliseconds. */
const inUseMs = 3_600_000;
/** Between two looks, milliseconds. */
const everyMs = 3_600_000;

/** How much of shared stores stays on this machine, for how long; absent: all of it, for ever. */
export interface ReplicaBounds {
  /** Of all replicas with their indexes, bytes. */
  readonly maxBytes?: number | undefined;
  /** A replica goes so long after it was used last, milliseconds. */
  readonly maxAgeMs?: number | undefined;
}

/** What {@link Evictions} needs. */
export interface EvictionParts {
  readonly dataDir: string;
  readonly files: Files;
  readonly replicas: ReplicaSessions;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: ReplicaBounds;
  /** When stores were used by this process, by id; milliseconds since 1970. */
  readonly used: () => ReadonlyMap<string, number>;
  /** Whether the log cannot be reached: then what is here is all that there is. */
  readonly isAway: () => boolean;
  /** Whether something of a store waits on this machine for the database: then it stays. */
  readonly hasWaiting: (id: string) => boolean;
  /** Stores that never go. */
  readonly isKept: (id: string) => boolean;
  /** @returns False where a branch reads it by now: then it is as it was */
  readonly drop: (id: string) => Promise<boolean>;
}

/**
 * Lets go of replicas, each whole, those first that were used longest ago: the log has everything,
 * and the next use fetches it again. Looks at the start and once an hour. When stores were used is
 * kept in `mappings/replica-use.json`.
 */
export class Evictions {
  readonly #parts: EvictionParts;
  /** Of earlier processes. */
  #usedBefore: ReadonlyMap<string, number> | undefined;
  #stop: (() => void) | undefined;
  #running: Promise<readonly string[]> = Promise.resolve([]);

  constructor(parts: EvictionParts) {
    this.#parts = parts;
  }

  /** Looks now, without anybody waiting for it, and then once an hour. */
  start(): void {
    const { maxBytes, maxAgeMs } = this.#parts.bounds;
    if (maxBytes === undefined && maxAgeMs === undefined) return;
    void this.#look();
  }

  /** One at a time. @returns The ids of those that went */
  async run(): Promise<readonly string[]> {
    const running = this.#running.catch(() => []).then(async () => this.#run());
    this.#running = running;
    return running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop?.();
    await this.#running.catch(() => undefined);
    await this.#noteUse().catch((error: unknown) => {
      this.#parts.log.debug({ err: error }, 'when shared stores were used could not be kept');
    });
  }

  async #look(): Promise<void> {
    const { clock, log } = this.#parts;
    try {
      await this.run();
    } catch (error) {
      log.warn({ err: error }, 'what is here of shared stores could not be made less');
    }
    this.#stop = clock.after(everyMs, () => {
      void this.#look();
    });
  }

  async #run(): Promise<readonly string[]> {
    const { replicas, clock, log, bounds, isAway, hasWaiting, isKept, drop } = this.#parts;
    const { dataDir, used } = this.#parts;
    const usedMs = await this.#noteUse();
    const listed = await replicas.list();
    const read = new Set(listed.flatMap(({ bases = [] }) => bases.map((base) => base.sessionId)));
    const sizes = await sizesOnDisk(dataDir);
    const all = listed
      .map(({ id, updatedMs }) => ({ id, usedMs: usedMs.get(id) ?? updatedMs }))
      .toSorted((a, b) => a.usedMs - b.usedMs);
    let bytes = all.reduce((sum, { id }) => sum + (sizes.get(id) ?? 0), 0);
    const gone: string[] = [];
    for (const { id, usedMs: lastMs } of all) {
      if (isAway()) break;
      const isTooOld = clock.now() - lastMs > (bounds.maxAgeMs ?? Infinity);
      if (!isTooOld && bytes <= (bounds.maxBytes ?? Infinity)) continue;
      // It may have been used since the list was made.
      const openMs = used().get(id);
      if (openMs !== undefined && clock.now() - openMs < inUseMs) continue;
      if (isKept(id) || read.has(id) || hasWaiting(id)) continue;
      const sizeBytes = sizes.get(id) ?? 0;
      if (!(await drop(id))) continue;
      bytes -= sizeBytes;
      gone.push(id);
      log.info(
        { session: id, bytes: sizeBytes, why: isTooOld ? 'age' : 'size' },
        'a shared store is not kept on this machine any more; the next use fetches it',
      );
    }
    return gone;
  }

  /** When stores were used last, by this process or an earlier one; written down. */
  async #noteUse(): Promise<ReadonlyMap<string, number>> {
    const { files, dataDir, used } = this.#parts;
    const path = join(dataDir, 'mappings', 'replica-use.json');
    this.#usedBefore ??= await readUse(files, path);
    const all = new Map([...this.#usedBefore, ...used()]);
    const text = `${JSON.stringify(Object.fromEntries(all))}\n`;
    await replaceFile(files, path, Buffer.from(text));
    return (this.#usedBefore = all);
  }
}

/** Nothing is known where the file is missing or none: then it counts what was written last. */
async function readUse(files: Files, path: string): Promise<ReadonlyMap<string, number>> {
  const bytes = await files.readWhole(path);
  if (bytes === undefined) return new Map();
  try {
    const found = Object.entries(Object(JSON.parse(bytes.toString())) as object);
    return new Map(found.flatMap(([id, ms]) => (typeof ms === 'number' ? [[id, ms]] : [])));
  } catch {
    return new Map();
  }
}

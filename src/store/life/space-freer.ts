import { dirname, join } from 'node:path';
import { replaceFile, writeFully, type Files, type OpenFile } from '../disk/files.ts';
import { sessionPaths, type SessionPaths } from '../disk/session-paths.ts';
import { encodeRecord, isWholeRecord } from '../format.ts';
import { pieceMaxBytes } from '../text/text-pieces.ts';
import type { OwnText } from '../session/session-store.ts';

/** What it took to give room back. */
export interface FreedSpace {
  /** Text that was copied, bytes. */
  readonly copiedBytes: number;
  /** How much of it while nobody could use the stores. */
  readonly closedBytes: number;
}

/** What {@link SpaceFreer} needs. */
interface SpaceFreerPorts {
  readonly files: Files;
  readonly dataDir: string;
  /** What is known of a session's own text; undefined where there is no such session any more. */
  readonly ownText: (sessionId: string) => Promise<OwnText | undefined>;
  /**
   * Runs `work` while nobody has a session's text open, and nothing else is done to sessions as a
   * whole.
   */
  readonly whileClosed: (sessionId: string, work: () => Promise<void>) => Promise<void>;
}

/** A copy that a forgetting has come in between of is begun again so often. */
const maxTries = 3;

/**
 * Gives the room back that texts took which are gone: their session's text is copied without them
 * while chats go on, and closed only for what has come meanwhile and to change the names. Which
 * sessions are to be copied is on the disk (`mappings/freeing.json`), so that it is done whatever
 * happens.
 */
export class SpaceFreer {
  readonly #ports: SpaceFreerPorts;
  readonly #pending: Set<string>;
  #current:
    | { readonly path: string; readonly stop: AbortController; readonly copied: Promise<unknown> }
    | undefined;
  #freeing: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  /** `pending`: as {@link readPending} gives them. */
  constructor(ports: SpaceFreerPorts, pending: readonly string[]) {
    this.#ports = ports;
    this.#pending = new Set(pending);
  }

  /** Whether there is anything to give back. */
  get isPending(): boolean {
    return this.#pending.size > 0;
  }

  /** Texts are about to go from sessions' own files. */
  async note(sessionIds: readonly string[]): Promise<void> {
    for (const id of sessionIds) this.#pending.add(id);
    await this.#keep();
  }

  /** Copies what is to be copied, one session after the other. @throws the file system's errors */
  async free(): Promise<FreedSpace> {
    const freed = this.#freeing.then(async () => this.#freeAll());
    this.#freeing = freed.catch(() => undefined);
    return freed;
  }

  /**
   * Nothing of a text may be left in a copy that is being made: it is thrown away, and made again
   * later. Called while the text that is copied is closed.
   */
  async stop(): Promise<void> {
    if (this.#current === undefined) return;
    const { path, stop, copied } = this.#current;
    stop.abort();
    await copied.catch(() => undefined);
    await this.#ports.files.remove(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.stop();
    await this.#freeing;
  }

  async #freeAll(): Promise<FreedSpace> {
    let copiedBytes = 0;
    let closedBytes = 0;
    for (const id of this.#pending) {
      for (let tries = 0; tries < maxTries && !this.#isClosed; tries += 1) {
        const freed = await this.#freeOne(id);
        if (freed === undefined) continue;
        copiedBytes += freed.copiedBytes;
        closedBytes += freed.closedBytes;
        this.#pending.delete(id);
        await this.#keep();
        break;
      }
    }
    return { copiedBytes, closedBytes };
  }

  /** Undefined where it was stopped. */
  async #freeOne(sessionId: string): Promise<FreedSpace | undefined> {
    const { files, dataDir } = this.#ports;
    const own = await this.#ports.ownText(sessionId);
    if (own === undefined) return { copiedBytes: 0, closedBytes: 0 };
    const paths = sessionPaths(dataDir, sessionId);
    const path = copyPath(paths);
    const stop = new AbortController();
    const copied = copyText(files, paths, own, stop.signal);
    // What is not awaited below is not lost: it is awaited by who stops it.
    this.#current = { path, stop, copied };
    try {
      const copiedBytes = await copied;
      let closedBytes = 0;
      await this.#ports.whileClosed(sessionId, async () => {
        if (!stop.signal.aborted) closedBytes = await finishCopy(files, paths, own);
      });
      if (stop.signal.aborted) return undefined;
      return { copiedBytes: copiedBytes + closedBytes, closedBytes };
    } catch (error) {
      await files.remove(path);
      if (stop.signal.aborted) return undefined;
      throw error;
    } finally {
      this.#current = undefined;
    }
  }

  async #keep(): Promise<void> {
    const { files, dataDir } = this.#ports;
    const path = pendingPath(dataDir);
    if (this.#pending.size === 0) await files.remove(path);
    else {
      const sessions = [...this.#pending];
      await replaceFile(files, path, Buffer.from(encodeRecord({ type: 'freeing', sessions })));
    }
  }
}

/** The sessions whose gone texts still take room; removes copies that a crash has left. */
export async function readPending(files: Files, dataDir: string): Promise<readonly string[]> {
  const bytes = await files.readWhole(pendingPath(dataDir));
  // It only says where room can be had: where it cannot be read, that waits for the next texts.
  if (bytes === undefined || !isWholeRecord(bytes.subarray(0, -1))) return [];
  const { sessions } = JSON.parse(bytes.toString()) as { readonly sessions: readonly string[] };
  for (const id of sessions) await files.remove(copyPath(sessionPaths(dataDir, id)));
  return sessions;
}

function pendingPath(dataDir: string): string {
  return join(dataDir, 'mappings', 'freeing.json');
}

function copyPath({ text }: SessionPaths): string {
  return `${text}.new`;
}

/**
 * Copies what a session's own file holds and will not change any more, but for what is gone, which
 * takes no room in the copy; the number of bytes.
 */
async function copyText(
  files: Files,
  paths: SessionPaths,
  { gone, settledBytes }: OwnText,
  signal: AbortSignal,
): Promise<number> {
  const text = await files.open(paths.text, { create: false });
  try {
    const fresh = await files.open(copyPath(paths), { create: true });
    try {
      await fresh.truncate(0);
      let copiedBytes = 0;
      let at = 0;
      for (const [start, end] of [...gone, [settledBytes, settledBytes] as const]) {
        const stop = Math.min(start, settledBytes);
        copiedBytes += await copyRange(text, fresh, [at, stop], signal);
        at = Math.max(at, end);
      }
      // Here, so that there is little left to be synced while the session is closed.
      await fresh.datasync();
      signal.throwIfAborted();
      return copiedBytes;
    } finally {
      await fresh.close();
    }
  } finally {
    await text.close();
  }
}

/** Copies what is behind that, and puts the copy in the text's place; the number of bytes. */
async function finishCopy(
  files: Files,
  paths: SessionPaths,
  { settledBytes }: OwnText,
): Promise<number> {
  const text = await files.open(paths.text, { create: false });
  let copiedBytes: number;
  try {
    const fresh = await files.open(copyPath(paths), { create: false });
    try {
      const endBytes = await text.sizeBytes();
      copiedBytes = await copyRange(text, fresh, [settledBytes, endBytes]);
      await fresh.truncate(endBytes);
      await fresh.datasync();
    } finally {
      await fresh.close();
    }
  } finally {
    await text.close();
  }
  await files.rename(copyPath(paths), paths.text);
  await files.syncDirectory(dirname(paths.text));
  return copiedBytes;
}

/** Copies bytes [start, end) to the same place; what is all zeros is left out. */
async function copyRange(
  from: OpenFile,
  to: OpenFile,
  [start, end]: readonly [number, number],
  signal?: AbortSignal,
): Promise<number> {
  const scratch = Buffer.allocUnsafe(Math.max(0, Math.min(pieceMaxBytes, end - start)));
  let copiedBytes = 0;
  for (let at = start; at < end; at += scratch.length) {
    const piece = scratch.subarray(0, Math.min(scratch.length, end - at));
    const count = await from.read(piece, at);
    signal?.throwIfAborted();
    const read = piece.subarray(0, count);
    if (read.some((byte) => byte !== 0)) await writeFully(to, read, at);
    copiedBytes += count;
  }
  return copiedBytes;
}

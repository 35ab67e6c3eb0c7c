import type { ChatMemory, Session } from '../types.ts';
import { LruMap } from '../../base/lru-map.ts';

/** Values kept, small ones: a few for each turn of the chats that go on at the moment. */
const maxKept = 10_000;

/** Keys of turns, which can be large; whoever reads those keeps them. */
export const turnKeyPrefix = 'record:';

const memories = new WeakMap<Session, ChatMemory>();

/**
 * The memory of a session, with the small values that were written or read lately at hand: every
 * turn asks for the same ones, and a look at the disk, by way of another thread, takes longer than
 * all else that a short turn does.
 */
export function memoryOf(session: Session): ChatMemory {
  let memory = memories.get(session);
  if (memory === undefined) {
    memory = new RecentMemory(session.memory);
    memories.set(session, memory);
  }
  return memory;
}

/**
 * Makes {@link memoryOf} give for a turn's own view of a session what it gives for the session
 * itself, and tell `onRead` of every value that is read through the view, from what is at hand,
 * too.
 */
export function watchMemory(
  view: Session,
  session: Session,
  onRead: (key: string, value: unknown) => void,
): void {
  const memory = memoryOf(session);
  memories.set(view, {
    has: (key) => memory.has(key),
    put: async (records) => memory.put(records),
    get: async (key) => {
      const value = await memory.get(key);
      onRead(key, value);
      return value;
    },
  });
}

class RecentMemory implements ChatMemory {
  readonly #memory: ChatMemory;
  readonly #kept = new LruMap<string, unknown>(maxKept);

  constructor(memory: ChatMemory) {
    this.#memory = memory;
  }

  has(key: string): boolean {
    return this.#memory.has(key);
  }

  async get(key: string): Promise<unknown> {
    // What the file has forgotten is forgotten here, too.
    if (!this.#memory.has(key)) return undefined;
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    const value = await this.#memory.get(key);
    // What was put meanwhile is newer than what was read.
    if (!this.#kept.has(key)) this.#keep(key, value);
    return this.#kept.get(key) ?? value;
  }

  async put(records: readonly { readonly key: string; readonly value: unknown }[]): Promise<void> {
    await this.#memory.put(records);
    for (const { key, value } of records) this.#keep(key, value);
  }

  #keep(key: string, value: unknown): void {
    if (key.startsWith(turnKeyPrefix)) return;
    this.#kept.set(key, value);
  }
}

import { ProxyError } from '../../errors.ts';
import { isErrno } from '../disk/files.ts';
import type { FileSessionStore } from './session-store.ts';
import type { CheckProgress, Entry, SessionHealth } from '../types.ts';

/**
 * What is damaged in a store, by its checksums: what was compared before, and is the same file
 * since, is not read again.
 */
export async function checkStore(store: FileSessionStore): Promise<SessionHealth> {
  const names = new Set((await store.compare()).map(({ name }) => name));
  return { entries: store.totals.entries, damage: [...names].map((name) => sentence(store, name)) };
}

/** The same by every hash, whatever is known; yields how far it is. */
export async function* checkStoreDeeply(
  store: FileSessionStore,
): AsyncGenerator<CheckProgress, SessionHealth> {
  const { bytes: totalBytes } = store.totals;
  const damage: string[] = [];
  for await (const { doneBytes, damaged } of store.verifyRuns()) {
    damage.push(...damaged.map(({ id }) => sentence(store, id)));
    yield { doneBytes: Math.min(doneBytes, totalBytes), totalBytes };
  }
  for (const entry of store.entries.filter(({ original }) => original !== undefined)) {
    const fault = await originalFault(store, entry);
    if (fault !== undefined) damage.push(fault);
  }
  return { entries: store.totals.entries, damage };
}

/** The health of a store whose damage keeps it from being opened. @throws `error` if it is none */
export function damageHealth(error: unknown): SessionHealth {
  const isOfStore =
    error instanceof ProxyError && ['store_corrupt', 'store_newer'].includes(error.code);
  if (!isOfStore) throw error;
  return { entries: 0, damage: [error.message] };
}

/** Names the file that is damaged: of a branch it may be that of a session it goes on from. */
function sentence(store: FileSessionStore, id: string): string {
  const { sessionId, path } = store.holderOf(id);
  const whose = sessionId === store.sessionId ? '' : `, which is read from ${sessionId},`;
  return `${path}: entry ${id}${whose} is not what was stored`;
}

async function originalFault(store: FileSessionStore, entry: Entry): Promise<string | undefined> {
  try {
    for await (const piece of store.readOriginal(entry)) void piece;
    return undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return `the original bytes of entry ${entry.id} are missing`;
    if (error instanceof ProxyError && error.code === 'store_corrupt') return error.message;
    throw error;
  }
}

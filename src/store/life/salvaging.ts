import { sessionPaths } from '../disk/session-paths.ts';
import { salvageSession } from '../session/salvage.ts';
import { readableLinks } from '../session/session-events.ts';
import { writeMetadata } from '../session/session-metadata.ts';
import type { Salvage } from '../types.ts';
import type { SessionCatalog } from './session-catalog.ts';

/** See `Sessions.salvage`. */
export async function salvage(catalog: SessionCatalog, sessionId: string): Promise<Salvage> {
  await catalog.expect(sessionId);
  await catalog.settled(sessionId);
  return catalog.whileAwaited(sessionId, salvageToNew(catalog, sessionId));
}

async function salvageToNew(catalog: SessionCatalog, sessionId: string): Promise<Salvage> {
  const { files, dataDir, map, open } = catalog;
  const paths = sessionPaths(dataDir, sessionId);
  const id = await catalog.alone(async () => {
    await open.close(sessionId);
    // Under this name what an earlier attempt has left is found again.
    const name = `key:salvage-of-${sessionId}`;
    const half = map.get(name);
    if (half !== undefined) await catalog.delete(half);
    const fresh = catalog.ids.next('sess_');
    // First of all, so that nothing of the attempt is ever without it.
    await map.set(name, fresh);
    return catalog.create(name, fresh);
  });
  try {
    const fresh = await open.get(id);
    const outcome = await fresh.use(async ({ store, events }) => {
      for (const link of await readableLinks(files, paths)) await events.add(link);
      return salvageSession(files, paths, store);
    });
    await catalog.alone(async () => {
      const [name = `key:salvaged-${sessionId}`] = map.namesOf(sessionId);
      const { createdMs } = fresh;
      await writeMetadata(files, dataDir, { id, name, createdMs });
      await map.handOver(sessionId, id, name);
    });
    // Opened under the name of the attempt; now it has a directory.
    await open.forget(id);
    return { session: await catalog.byId(id), ...outcome };
  } catch (error) {
    if (map.get(`key:salvage-of-${sessionId}`) === id) {
      await catalog.alone(async () => catalog.delete(id));
    }
    throw error;
  }
}

import { sessionPaths } from '../disk/session-paths.ts';
import { carryOut, type ForgetOrder } from '../session/forget.ts';
import { salvageSession, type SalvagedGone } from '../session/salvage.ts';
import { readableLinks } from '../session/session-events.ts';
import type { Salvage } from '../types.ts';
import type { SessionCatalog } from './session-catalog.ts';

/** See `Sessions.salvage`. */
export async function salvage(catalog: SessionCatalog, sessionId: string): Promise<Salvage> {
  await catalog.expect(sessionId);
  await catalog.settled(sessionId);
  return catalog.whileAwaited(sessionId, salvageToNew(catalog, sessionId));
}

async function salvageToNew(catalog: SessionCatalog, sessionId: string): Promise<Salvage> {
  for (;;) {
    const salvaged = await trySalvage(catalog, sessionId);
    if (salvaged !== undefined) return salvaged;
  }
}

/**
 * Undefined where texts were forgotten meanwhile, perhaps some of those that were being copied: the
 * copy is thrown away.
 */
async function trySalvage(
  catalog: SessionCatalog,
  sessionId: string,
): Promise<Salvage | undefined> {
  const { files, dataDir, map, open, places } = catalog;
  const paths = sessionPaths(dataDir, sessionId);
  let forgettings = 0;
  const id = await catalog.alone(async () => {
    ({ forgettings } = catalog);
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
    const { gone, ...outcome } = await fresh.use(async ({ store, events }) => {
      for (const link of await readableLinks(files, paths)) await events.add(link);
      return salvageSession(files, paths, store);
    });
    const ownPaths = sessionPaths(dataDir, id);
    await open.whileClosed([id], async () => {
      for (const order of ordersOf(id, gone)) await carryOut(files, ownPaths, order);
    });
    const isWhole = await catalog.alone(async () => {
      if (catalog.forgettings !== forgettings) {
        await catalog.delete(id);
        return false;
      }
      const [name = `key:salvaged-${sessionId}`] = map.namesOf(sessionId);
      await places.renamed(id, name, fresh.createdMs);
      await map.handOver(sessionId, id, name);
      places.made(id, name);
      return true;
    });
    if (!isWhole) return undefined;
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

/** What is to be done so that what was forgotten is so in the new session, too. */
function ordersOf(sessionId: string, gone: readonly SalvagedGone[]): readonly ForgetOrder[] {
  const orders = new Map<string, ForgetOrder>();
  for (const { seq, isWhole, forgetting } of [...gone].sort((a, b) => a.seq - b.seq)) {
    const { timeMs, why, key } = forgetting;
    const entry = { seq, ...(key === undefined ? {} : { key }) };
    const name = `${timeMs} ${why}`;
    const order = orders.get(name) ?? { sessionId, readers: [], whole: [], parts: [], timeMs, why };
    orders.set(name, {
      ...order,
      ...(isWhole
        ? { whole: [...order.whole, entry] }
        : // The marks are in the text already.
          { parts: [...order.parts, { ...entry, ranges: [] }] }),
    });
  }
  return [...orders.values()];
}

import { countOf } from '../../base/numbers.ts';
import { ProxyError } from '../../errors.ts';
import { directoryName } from '../disk/directory-map.ts';
import type { MovedSession } from '../types.ts';
import type { SessionCatalog } from './session-catalog.ts';

/** See `Sessions.move`. */
export async function moveSession(
  catalog: SessionCatalog,
  sessionId: string,
  directory: string,
  { replace }: { readonly replace: boolean },
): Promise<MovedSession> {
  await catalog.expect(sessionId);
  const name = await catalog.realName(directoryName(directory));
  await catalog.settled(sessionId);
  return catalog.alone(async () => {
    const from = catalog.directoryOf(sessionId);
    const { entries } = (await catalog.summary(sessionId)).totals;
    const moved = {
      session: sessionId,
      ...(from === undefined ? {} : { from }),
      to: name,
      entries,
    };
    if (catalog.map.get(name) === sessionId) return moved;
    const cleared = await clear(catalog, name, replace);
    await catalog.rename(sessionId, name);
    catalog.places.made(sessionId, name);
    return { ...moved, ...cleared };
  });
}

/** Takes the session away that a directory has. */
async function clear(
  catalog: SessionCatalog,
  name: string,
  replace: boolean,
): Promise<Pick<MovedSession, 'putAside' | 'removed'>> {
  const id = catalog.map.get(name);
  if (id === undefined || !(await catalog.hasFiles(id))) return {};
  const { totals, damage } = await catalog.summary(id);
  const isEmpty = totals.entries === 0 && damage === undefined;
  if (isEmpty && (await catalog.branchesOf(id)).length === 0) {
    await catalog.delete(id);
    return { removed: id };
  }
  if (!replace) {
    throw new ProxyError(
      'invalid_request',
      `${name} has a store already: ${id}, ${countOf(totals.entries, 'entry', 'entries')}.`,
      { hint: 'With --replace that is put aside: it stays, and is reached by its id alone.' },
    );
  }
  await catalog.rename(id, `key:put-aside-${id}`);
  return { putAside: id };
}

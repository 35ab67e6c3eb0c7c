import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Sessions } from '../../src/store/types.ts';
import { faultyFiles } from './faulty-files.ts';
import { allTexts, temporaryData } from './store-harness.ts';

/** The texts that a directory's store holds; none where it has no store. */
async function textsIn(sessions: Sessions, directory: string): Promise<readonly string[]> {
  const session = await sessions.forDirectory(directory, { create: false });
  return session === undefined ? [] : allTexts(session);
}

async function fill(sessions: Sessions, directory: string): Promise<string> {
  const session = await sessions.forDirectory(directory, { create: true });
  await session!.store.append([{ text: `text of ${directory}`, kind: 'user_text' }]);
  return session!.id;
}

test('whatever write of a move fails, both stores are whole, and the moved one is at the one place or the other', async () => {
  const places = new Set<string>();
  let failed = 0;
  for (let at = 0; ; at += 1) {
    await using data = await temporaryData();
    let ids: readonly string[];
    {
      await using sessions = await data.open();
      ids = [await fill(sessions, '/from'), await fill(sessions, '/to')];
    }
    let isMoving = false;
    let count = 0;
    const { files } = faultyFiles(() => {
      const isFailing = isMoving && count >= at;
      if (isMoving) count += 1;
      return isFailing ? { kind: 'error', code: 'ENOSPC' } : { kind: 'none' };
    });
    let isMoved = true;
    {
      await using sessions = await data.open({ files });
      isMoving = true;
      await sessions.move(ids[0]!, '/to', { replace: true }).catch(() => {
        isMoved = false;
      });
      isMoving = false;
    }
    if (!isMoved) failed += 1;
    // As the map says, and as it is made anew.
    for (const isMapLost of [false, true]) {
      if (isMapLost) rmSync(join(data.dataDir, 'mappings/directory_to_rlm.json'));
      await using sessions = await data.open();
      const held = { from: await textsIn(sessions, '/from'), to: await textsIn(sessions, '/to') };
      const place = held.to.includes('text of /from') ? 'to' : 'from';
      places.add(place);
      expect(held[place], `write ${at}`).toEqual(['text of /from']);
      const allowed = isMoved ? ['to'] : ['from', 'to'];
      expect(allowed, `write ${at}`).toContain(place);
      for (const [index, id] of ids.entries()) {
        const [text] = await allTexts(await sessions.byId(id));
        expect(text).toBe(`text of /${index === 0 ? 'from' : 'to'}`);
      }
    }
    if (isMoved) break;
  }
  expect(failed).toBeGreaterThan(5);
  expect([...places].toSorted()).toEqual(['from', 'to']);
});

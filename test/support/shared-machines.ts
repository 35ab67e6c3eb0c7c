import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { randomIds, systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import {
  openSharedSessions,
  type SharedOptions,
  type SharedSessions,
} from '../../src/shared/shared-sessions.ts';
import type { Entry, Session, Sessions } from '../../src/store/types.ts';
import type { ManualClock } from './manual-clock.ts';
import type { TestPostgres } from './postgres.ts';
import type { Relay } from './relay.ts';

/** One machine of a team, over a data directory of its own. */
export async function openMachine(
  dataDir: string,
  url: string,
  options: Partial<SharedOptions> = {},
): Promise<SharedSessions> {
  return openSharedSessions({
    dataDir,
    url,
    clock: systemClock,
    ids: randomIds,
    log: silentLogger(),
    waitMs: 10_000,
    spoolBytes: 64 * 1024 * 1024,
    ...options,
  });
}

/** The store of a project as a request finds it: with all that others have added until now. */
export async function sharedStore(sessions: Sessions, project: string): Promise<Session> {
  sessions.arriving?.();
  const session = await sessions.forDirectory('/work', { create: true, project });
  if (session === undefined) throw new Error('no session');
  return session;
}

/** One word for what stands in the files of a store: the same for the same bytes. */
export async function filesOf({ store }: Session): Promise<string> {
  const journal = store.textPath.replace('_context.txt', '_entries.jsonl');
  const hash = createHash('sha256');
  for (const path of [store.textPath, journal]) hash.update(await readFile(path));
  return hash.digest('hex');
}

/** Adds texts to a store, each with a line of its own. */
export async function addTexts({ store }: Session, ...texts: readonly string[]): Promise<void> {
  for (const text of texts) await store.append([{ kind: 'user_text', text: `${text}\n` }]);
}

/**
 * Adds a text while the database answers nothing, until it waits on the machine: whose `waitMs` is
 * 3,000, by the clock.
 */
export async function addWaiting(
  { store }: Session,
  text: string,
  { relay, clock }: { readonly relay: Relay; readonly clock: ManualClock },
): Promise<Entry> {
  relay.hold();
  const adding = store.append([{ kind: 'user_text', text: `${text}\n` }]);
  while (relay.waiting === 0) await systemClock.sleep(5);
  clock.advance(3_000);
  const [waits] = await adding;
  return waits!;
}

/** What {@link addTexts} has added. */
export async function textsOf({ store }: Session): Promise<readonly string[]> {
  return Promise.all(store.entries.map(async (entry) => (await store.readEntry(entry)).trimEnd()));
}

/** As an asynchronous standby that takes over: the last rows of a store were never there. */
export async function loseRows(
  { sql }: Pick<TestPostgres, 'sql'>,
  sessionId: string,
  behind: number,
): Promise<void> {
  await sql(`delete from rlm_log where session = '${sessionId}' and pos > ${behind}`);
  await sql(`update rlm_session set head = ${behind} where id = '${sessionId}'`);
}

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Ids } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { sessionPaths, type SessionPaths } from '../../src/store/disk/session-paths.ts';
import { openSessions, type SessionsOptions } from '../../src/store/sessions.ts';
import type { Session, Sessions } from '../../src/store/types.ts';
import { ManualClock } from '../support/manual-clock.ts';

/** A data directory of its own that vanishes at the end of the test. */
export interface TemporaryData extends AsyncDisposable {
  readonly dataDir: string;
  readonly clock: ManualClock;
  open(options?: Partial<SessionsOptions>): Promise<Sessions>;
  paths(sessionId: string): SessionPaths;
}

/** Names that count: `sess_0000000000000001`, ... */
function countingIds(): Ids {
  let count = 0;
  return {
    next: (prefix) => {
      count += 1;
      return prefix + count.toString(16).padStart(16, '0');
    },
  };
}

export async function temporaryData(): Promise<TemporaryData> {
  const dataDir = await mkdtemp(join(tmpdir(), 'rlm-store-'));
  const ids = countingIds();
  const clock = new ManualClock();
  return {
    dataDir,
    clock,
    open: (options = {}) => openSessions({ dataDir, clock, ids, log: silentLogger(), ...options }),
    paths: (sessionId) => sessionPaths(dataDir, sessionId),
    [Symbol.asyncDispose]: () => rm(dataDir, { recursive: true, force: true }),
  };
}

/** The session of `/project`, made if need be. */
export async function projectSession(sessions: Sessions): Promise<Session> {
  const session = await sessions.forDirectory('/project', { create: true });
  if (session === undefined) throw new Error('no session');
  return session;
}

/** All committed texts, read back one by one. */
export async function allTexts(session: Session): Promise<readonly string[]> {
  const texts = [];
  for (const entry of session.store.entries) texts.push(await session.store.readEntry(entry));
  return texts;
}

/** Changes one byte of a file, one bit of it by default. */
export async function flipByte(path: string, positionBytes: number, bits = 0x01): Promise<void> {
  const bytes = await readFile(path);
  bytes[positionBytes]! ^= bits;
  await writeFile(path, bytes);
}

import { join } from 'node:path';
import type { Logger } from '../../log.ts';
import type { DirectoryMap } from '../disk/directory-map.ts';
import { isErrno, replaceFile, type Files } from '../disk/files.ts';
import { isSessionId, sessionsDir } from '../disk/session-paths.ts';

/** A store that an import brings, and its names. */
export interface LandingSession {
  readonly id: string;
  readonly names: readonly string[];
}

/** `landing.json` in the folder of an import. */
interface LandingRecord {
  /**
   * `commit`: all of it is there and verified, from here on it is imported, whatever happens.
   * `abort`: moving it failed; none of it is.
   */
  readonly state: 'commit' | 'abort';
  readonly sessions: readonly LandingSession[];
}

const recordName = 'landing.json';

/** Where imports are unpacked, each in a folder of its own. */
export function importingDir(dataDir: string): string {
  return join(dataDir, 'importing');
}

/** Writes down, at once and durably, what is to become of an import. */
export async function writeLanding(
  files: Files,
  folder: string,
  record: LandingRecord,
): Promise<void> {
  await replaceFile(files, join(folder, recordName), Buffer.from(`${JSON.stringify(record)}\n`));
}

/** Moves an import's files to the stores; doing that again goes on where it was left. */
export async function moveLanded(files: Files, folder: string, dataDir: string): Promise<void> {
  const from = sessionsDir(folder);
  const names = await files.list(from);
  // The journal says that a store is there.
  for (const name of [...names.filter((each) => !isJournal(each)), ...names.filter(isJournal)]) {
    await files.rename(join(from, name), join(sessionsDir(dataDir), name));
  }
  await files.syncDirectory(sessionsDir(dataDir));
}

function isJournal(name: string): boolean {
  return name.endsWith('_entries.jsonl');
}

/** Deletes what an import has brought to the stores, in whatever state. */
export async function removeLanded(
  files: Files,
  sessions: readonly LandingSession[],
  dataDir: string,
): Promise<void> {
  const folder = sessionsDir(dataDir);
  for (const name of await files.list(folder)) {
    const belongs = sessions.some(
      ({ id }) => name.startsWith(`${id}.`) || name.startsWith(`${id}_`),
    );
    if (belongs) await files.remove(join(folder, name));
  }
  await files.syncDirectory(folder);
}

/**
 * Ends what a process was importing when it was killed: what was verified is imported, all else is
 * thrown away.
 */
export async function finishImports(
  files: Files,
  dataDir: string,
  { map, log }: { readonly map: DirectoryMap; readonly log: Logger },
): Promise<void> {
  for (const name of await files.list(importingDir(dataDir))) {
    const folder = join(importingDir(dataDir), name);
    const bytes = await readRecord(files, folder);
    const record = bytes === undefined ? undefined : parse(bytes);
    if (bytes !== undefined && record === undefined) {
      log.warn({ folder }, 'what became of an import cannot be read: it is left as it is');
      continue;
    }
    if (record?.state === 'commit') {
      await moveLanded(files, folder, dataDir);
      for (const { id, names } of record.sessions)
        for (const each of names) await map.set(each, id);
      log.info({ sessions: record.sessions.length }, 'an import that was cut short is done');
    } else if (record !== undefined) {
      await removeLanded(files, record.sessions, dataDir);
      for (const { id } of record.sessions) await map.forget(id);
    }
    await removeFolder(files, folder);
  }
}

async function readRecord(files: Files, folder: string): Promise<Buffer | undefined> {
  try {
    return await files.readWhole(join(folder, recordName));
  } catch (error) {
    // Something that is no folder.
    if (isErrno(error, 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** Deletes the folder of an import, first what says what is to become of it. */
export async function removeFolder(files: Files, folder: string): Promise<void> {
  if ((await readRecord(files, folder)) !== undefined) {
    await files.remove(join(folder, recordName));
  }
  await files.remove(folder);
}

function parse(bytes: Buffer): LandingRecord | undefined {
  try {
    const record = JSON.parse(bytes.toString()) as LandingRecord;
    const isSound =
      Array.isArray(record.sessions) && record.sessions.every(({ id }) => isSessionId(id));
    return isSound ? record : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

import { join } from 'node:path';
import { replaceFile, type Files } from '../disk/files.ts';
import type { BaseRange } from '../types.ts';
import { parseEvidence, type PlaceEvidence } from '../disk/project-place.ts';
import { isSessionId, sessionPaths, sessionsDir } from '../disk/session-paths.ts';

/**
 * `sess_<id>.json`. What else there is to know stands in the journal. Programs of earlier versions
 * ignore the members that may be absent, and leave them out when they write the file anew.
 */
export interface Metadata {
  readonly version: 1;
  readonly id: string;
  /** As in the directory map: a directory, or `key:<hash>`. */
  readonly name: string;
  readonly createdMs: number;
  /** What its texts are a copy of, made so that branches need fewer files. */
  readonly copyOf?: readonly BaseRange[];
  /** The name that it had until that was given to another session by `restore`. */
  readonly earlierName?: string;
  /** What the directory was when it was last looked at; absent for one on another machine. */
  readonly place?: PlaceEvidence;
  /** Directories that the session had before it was moved, the last one first. */
  readonly formerNames?: readonly string[];
}

/** Puts a session's metadata in place, durably. */
export async function writeMetadata(
  files: Files,
  dataDir: string,
  metadata: Omit<Metadata, 'version'>,
): Promise<void> {
  const json = `${JSON.stringify({ version: 1, ...metadata }, undefined, 2)}\n`;
  await replaceFile(files, sessionPaths(dataDir, metadata.id).metadata, Buffer.from(json));
}

/** Files that are read at a time where all are. */
const filesAtOnce = 32;

/** A session's metadata; undefined where there is none that can be read. */
export async function readMetadata(
  files: Files,
  dataDir: string,
  sessionId: string,
): Promise<Metadata | undefined> {
  const bytes = await files.readWhole(sessionPaths(dataDir, sessionId).metadata);
  return bytes === undefined ? undefined : parseMetadata(bytes);
}

/** The metadata of all sessions, the oldest first. */
export async function allMetadata(files: Files, dataDir: string): Promise<Metadata[]> {
  const found: Metadata[] = [];
  const folder = sessionsDir(dataDir);
  const names = (await files.list(folder)).filter((file) => /^sess_[0-9a-f]+\.json$/.test(file));
  for (let at = 0; at < names.length; at += filesAtOnce) {
    const some = names.slice(at, at + filesAtOnce);
    const read = await Promise.all(some.map(async (name) => files.readWhole(join(folder, name))));
    for (const bytes of read) {
      const metadata = bytes === undefined ? undefined : parseMetadata(bytes);
      if (metadata !== undefined) found.push(metadata);
    }
  }
  return found.sort((a, b) => a.createdMs - b.createdMs);
}

/**
 * The sessions' names, as their own metadata say: of two with one name the newer, which has taken
 * it over.
 */
export async function namesInMetadata(files: Files, dataDir: string): Promise<Map<string, string>> {
  return new Map((await allMetadata(files, dataDir)).map(({ name, id }) => [name, id]));
}

/** What a session's texts are a copy of; undefined where they are none. */
export async function copiedRanges(
  files: Files,
  dataDir: string,
  sessionId: string,
): Promise<readonly BaseRange[] | undefined> {
  const bytes = await files.readWhole(sessionPaths(dataDir, sessionId).metadata);
  return bytes === undefined ? undefined : parseMetadata(bytes)?.copyOf;
}

/** Undefined for a file that is not our metadata: its session is found by its id alone. */
function parseMetadata(bytes: Buffer): Metadata | undefined {
  try {
    const metadata = Object(JSON.parse(bytes.toString())) as Metadata;
    if (typeof metadata.name !== 'string' || !isSessionId(metadata.id)) return undefined;
    const { place: noted, formerNames: former, ...others } = metadata;
    const place = parseEvidence(noted);
    const formerNames = Array.isArray(former)
      ? former.filter((each): each is string => typeof each === 'string')
      : [];
    return {
      ...others,
      ...(place === undefined ? {} : { place }),
      ...(formerNames.length === 0 ? {} : { formerNames }),
    };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

import { join } from 'node:path';
import { replaceFile, type Files } from '../disk/files.ts';
import type { BaseRange } from '../types.ts';
import { isSessionId, sessionPaths, sessionsDir } from '../disk/session-paths.ts';

/** `sess_<id>.json`. What else there is to know stands in the journal. */
interface Metadata {
  readonly version: 1;
  readonly id: string;
  /** As in the directory map: a directory, or `key:<hash>`. */
  readonly name: string;
  readonly createdMs: number;
  /** What its texts are a copy of, made so that branches need fewer files. */
  readonly copyOf?: readonly BaseRange[];
  /** The name that it had until that was given to another session by `restore`. */
  readonly earlierName?: string;
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

/** A session's metadata, where it has any. */
export async function readMetadata(
  files: Files,
  dataDir: string,
  id: string,
): Promise<Metadata | undefined> {
  const bytes = await files.readWhole(sessionPaths(dataDir, id).metadata);
  return bytes === undefined ? undefined : parseMetadata(bytes);
}

/**
 * The sessions' names, as their own metadata say: of two with one name the newer, which has taken
 * it over.
 */
export async function namesInMetadata(files: Files, dataDir: string): Promise<Map<string, string>> {
  const found: Metadata[] = [];
  const folder = sessionsDir(dataDir);
  for (const file of await files.list(folder)) {
    if (!/^sess_[0-9a-f]+\.json$/.test(file)) continue;
    const bytes = await files.readWhole(join(folder, file));
    const metadata = bytes === undefined ? undefined : parseMetadata(bytes);
    if (metadata !== undefined) found.push(metadata);
  }
  found.sort((a, b) => a.createdMs - b.createdMs);
  return new Map(found.map(({ name, id }) => [name, id]));
}

/** Undefined for a file that is not our metadata: its session is found by its id alone. */
function parseMetadata(bytes: Buffer): Metadata | undefined {
  try {
    const metadata = JSON.parse(bytes.toString()) as Metadata;
    return typeof metadata.name === 'string' && isSessionId(metadata.id) ? metadata : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

import { ProxyError } from '../../errors.ts';
import { isSessionId } from '../disk/session-paths.ts';
import type { BaseRange } from '../types.ts';

/** `format` in the manifest. */
const archiveFormat = 'rlm-opencode-archive';
/** The newest version this program reads. 2: has {@link keysName}; without it 1 is written. */
const archiveVersion = 2;

/** Always the first member. */
export const manifestName = 'manifest.json';
/** What says which project a chat belongs to, of the chats of the archive's stores. */
const chatsName = 'chats.jsonl';
/** The keys of the hashes by which the stores' forgotten texts are known, a line each. */
const keysName = 'forget.keys';
/** Always the last member: the SHA-256 of all others, in the form of `sha256sum`. */
export const sumsName = 'SHA256SUMS';

/** A store in an archive. */
export interface ArchivedSession {
  readonly id: string;
  /** Its directory, or `key:<key>`; more than one where several led to it. */
  readonly names: readonly string[];
  readonly createdMs: number;
  /**
   * `store`: as it was. `base`: only the beginning that branches in the archive read from it, with
   * nothing that was decided about it and nothing of its chats.
   */
  readonly role: 'store' | 'base';
  /** Texts that are read through it, those of its bases counted. */
  readonly entries: number;
  /** What its texts are a copy of, where that is all it is for. */
  readonly copyOf?: readonly BaseRange[] | undefined;
  readonly files: ArchivedFiles;
}

/** A store's members and their sizes, bytes. */
export interface ArchivedFiles {
  readonly text: number;
  readonly journal: number;
  /** Absent where there is none. */
  readonly events?: number | undefined;
  readonly chats?: number | undefined;
  /** By the SHA-256 that is their name. */
  readonly originals: Readonly<Record<string, number>>;
}

/** What is in an archive, in this order. */
export interface Manifest {
  readonly createdMs: number;
  readonly sessions: readonly ArchivedSession[];
  /** Size of the member {@link chatsName}, bytes; absent where there is none. */
  readonly chats?: number | undefined;
  /** The same of {@link keysName}. */
  readonly keys?: number | undefined;
}

/** A member between the manifest and the sums. */
export type ArchiveMember = StoreMember | SharedMember;

/** A file of one store. */
export interface StoreMember {
  readonly name: string;
  readonly sizeBytes: number;
  readonly session: ArchivedSession;
  readonly kind: 'text' | 'journal' | 'events' | 'chats' | 'original';
  /** The hash that is an original's name. */
  readonly sha256?: string;
}

/** What belongs to no store alone. */
interface SharedMember {
  readonly name: string;
  readonly sizeBytes: number;
  readonly session?: undefined;
  readonly kind: 'chats' | 'keys';
}

/** How a store's members are called. */
const fileNames = {
  text: 'context.txt',
  journal: 'entries.jsonl',
  events: 'events.jsonl',
  chats: 'chats.jsonl',
} as const;

/** All members but the first and the last, in the order in which they stand. Pure. */
export function membersOf(manifest: Manifest): readonly ArchiveMember[] {
  const members: ArchiveMember[] = [];
  for (const session of manifest.sessions) {
    const folder = `sessions/${session.id}`;
    for (const kind of ['text', 'journal', 'events', 'chats'] as const) {
      const sizeBytes = session.files[kind];
      if (sizeBytes === undefined) continue;
      members.push({ name: `${folder}/${fileNames[kind]}`, sizeBytes, session, kind });
    }
    for (const [sha256, sizeBytes] of Object.entries(session.files.originals)) {
      const name = `${folder}/originals/${sha256}`;
      members.push({ name, sizeBytes, session, kind: 'original', sha256 });
    }
  }
  if (manifest.chats !== undefined) {
    members.push({ name: chatsName, sizeBytes: manifest.chats, kind: 'chats' });
  }
  if (manifest.keys !== undefined) {
    members.push({ name: keysName, sizeBytes: manifest.keys, kind: 'keys' });
  }
  return members;
}

/** What all members hold, bytes. Pure. */
export function totalBytesOf(manifest: Manifest): number {
  return membersOf(manifest).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/** The manifest's bytes. */
export function encodeManifest(manifest: Manifest): Buffer {
  // Earlier programs read whatever they can.
  const version = manifest.keys === undefined ? 1 : archiveVersion;
  const whole = { format: archiveFormat, version, ...manifest };
  return Buffer.from(`${JSON.stringify(whole, undefined, 2)}\n`);
}

/**
 * The manifest, checked member by member: what is read from it becomes names of files. @throws
 * ProxyError `store_newer`, `invalid_request`
 */
export function decodeManifest(bytes: Buffer): Manifest {
  const read = parse(bytes);
  if (read['format'] !== archiveFormat) throw damagedArchive('its manifest is none of ours');
  const version = read['version'];
  if (!isSize(version) || version === 0) throw damagedArchive('its manifest has no version');
  if (version > archiveVersion) {
    throw new ProxyError(
      'store_newer',
      `This archive was written by a newer version of rlm-opencode (it has format ${version}, this program reads formats up to ${archiveVersion}). Nothing was imported.`,
      { hint: 'Install the newer version on this machine, too.' },
    );
  }
  const { createdMs, sessions, chats, keys } = read;
  if (!isSize(createdMs) || !Array.isArray(sessions) || sessions.length === 0) {
    throw damagedArchive('its manifest names no store');
  }
  const checked = sessions.map((session) => sessionOf(Object(session) as Unchecked));
  if (new Set(checked.map(({ id }) => id)).size < checked.length) {
    throw damagedArchive('its manifest names a store twice');
  }
  if (!isSizeOrNone(chats) || !isSizeOrNone(keys))
    throw damagedArchive('its manifest has a wrong size');
  return { createdMs, sessions: checked, chats, keys };
}

type Unchecked = Readonly<Record<string, unknown>>;

function parse(bytes: Buffer): Unchecked {
  try {
    return Object(JSON.parse(bytes.toString())) as Unchecked;
  } catch (error) {
    if (error instanceof SyntaxError) throw damagedArchive('its manifest is not JSON');
    throw error;
  }
}

function sessionOf(read: Unchecked): ArchivedSession {
  const { id, names, createdMs, role, entries, copyOf, files } = read;
  const isSound =
    typeof id === 'string' &&
    isSessionId(id) &&
    Array.isArray(names) &&
    names.every((name) => typeof name === 'string') &&
    isSize(createdMs) &&
    (role === 'store' || role === 'base') &&
    isSize(entries) &&
    (copyOf === undefined || (Array.isArray(copyOf) && copyOf.every(isRange)));
  if (!isSound) throw damagedArchive('its manifest describes a store wrongly');
  const { text, journal, events, chats, originals } = Object(files) as Unchecked;
  const sizes = Object.entries(Object(originals) as Unchecked);
  const areSizes = isSize(text) && isSize(journal) && isSizeOrNone(events) && isSizeOrNone(chats);
  if (!areSizes || !sizes.every(([name, size]) => /^[0-9a-f]{64}$/.test(name) && isSize(size))) {
    throw damagedArchive(`its manifest describes the files of ${id} wrongly`);
  }
  return {
    id,
    names,
    createdMs,
    role,
    entries,
    copyOf: copyOf as readonly BaseRange[] | undefined,
    files: {
      text,
      journal,
      events,
      chats,
      originals: Object.fromEntries(sizes) as Record<string, number>,
    },
  };
}

function isRange(value: unknown): boolean {
  const { sessionId, records, end } = Object(value) as Unchecked;
  const { bytes, chars, lines, entries } = Object(end) as Unchecked;
  const isNamed = typeof sessionId === 'string' && isSessionId(sessionId);
  return isNamed && [records, bytes, chars, lines, entries].every(isSize);
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isSizeOrNone(value: unknown): value is number | undefined {
  return value === undefined || isSize(value);
}

/** Refuses an archive that is not what an export wrote. @param what How that shows */
export function damagedArchive(what: string, cause?: unknown): ProxyError {
  return new ProxyError(
    'invalid_request',
    `This archive is damaged, or is none: ${what}. Nothing was imported.`,
    { cause, hint: 'Copy it again from where it was made, or export again.' },
  );
}

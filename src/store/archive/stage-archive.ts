import { dirname, join } from 'node:path';
import { replaceIds } from './session-ids.ts';
import { ProxyError } from '../../errors.ts';
import { writeFully, type Files, type OpenFile } from '../disk/files.ts';
import { recordMaxBytes } from '../disk/record-log.ts';
import { sessionPaths } from '../disk/session-paths.ts';
import { encodeRecord, headerFault, isWholeRecord } from '../format.ts';
import { chatsFormat } from '../session/chat-memory.ts';
import { decodeForgetKeys, maxForgetKeys } from '../session/forget-keys.ts';
import { isBaseLine, journalFormat } from '../session/replay.ts';
import { eventsFormat } from '../session/session-events.ts';
import {
  damagedArchive,
  decodeManifest,
  manifestName,
  membersOf,
  totalBytesOf,
  type ArchiveMember,
  type Manifest,
  type StoreMember,
} from './manifest.ts';
import { shown, unpackTarZstd, type UnpackedFile } from './tar-zstd.ts';

/** Longest manifest, bytes: some hundred for each original, and as many for each store. */
const maxManifestBytes = 64 * 1024 ** 2;
/** Longest member that is held whole: events, and which project chats belong to. */
const maxHeldBytes = 64 * 1024 ** 2;
/** Free space that is left to whatever else is written meanwhile, bytes. */
const spareBytes = 64 * 1024 ** 2;

/**
 * An archive whose files lie in a data directory of their own, under the ids that they will have.
 */
export interface StagedArchive {
  readonly manifest: Manifest;
  /** By the id in the archive. */
  readonly ids: ReadonlyMap<string, string>;
  /** The member `chats.jsonl`, as it came; empty where there is none. */
  readonly chats: Buffer;
  /** The keys by whose hashes the stores' forgotten texts are known. */
  readonly keys: readonly Buffer[];
}

/**
 * Unpacks an archive into `folder`, which becomes a data directory of its own. Yields how many
 * bytes are written. Everything that comes is compared with the manifest before it becomes a file,
 * and with the sums at the end. @param options.plan Says, from the manifest alone, which ids the
 * stores will have; what it throws ends the import before anything is written
 * @throws ProxyError `invalid_request`, `store_newer`, `store_full`; the file system's errors
 */
export async function* stageArchive(
  files: Files,
  folder: string,
  packed: AsyncIterable<Uint8Array>,
  options: {
    readonly isTrusted: boolean;
    readonly plan: (manifest: Manifest) => Promise<ReadonlyMap<string, string>>;
  },
): AsyncGenerator<{ readonly doneBytes: number; readonly totalBytes: number }, StagedArchive> {
  const unpacked = unpackTarZstd(packed, options);
  let doneBytes = 0;
  try {
    const first = await unpacked.next();
    if (first.done === true) throw damagedArchive('it is empty');
    const manifest = await readManifest(first.value);
    const ids = await options.plan(manifest);
    const totalBytes = totalBytesOf(manifest);
    await checkRoom(files, dirname(folder), totalBytes);
    const staging = new Staging(files, folder, ids);
    await staging.begin();
    let chats: Buffer = Buffer.alloc(0);
    let keys: readonly Buffer[] = [];
    for (const member of membersOf(manifest)) {
      const file = await nextFile(unpacked, member);
      if (member.session !== undefined)
        for await (const count of staging.keep(member, file))
          yield { doneBytes: doneBytes + count, totalBytes };
      else if (member.kind === 'chats') chats = await readWhole(file);
      else keys = await readKeys(file);
      doneBytes += member.sizeBytes;
    }
    const rest = await unpacked.next();
    if (rest.done !== true)
      throw damagedArchive(`${shown(rest.value.name)} is not in its manifest`);
    await staging.end();
    return { manifest, ids, chats, keys };
  } finally {
    await unpacked.return(undefined);
  }
}

async function nextFile(
  unpacked: AsyncIterator<UnpackedFile>,
  member: ArchiveMember,
): Promise<UnpackedFile> {
  const { done, value: file } = await unpacked.next();
  if (done === true) throw damagedArchive(`${member.name} is missing`);
  if (file.name !== member.name) {
    throw damagedArchive(`${shown(file.name)} stands where ${member.name} should be`);
  }
  if (file.sizeBytes !== member.sizeBytes) {
    throw damagedArchive(
      `${member.name} has ${file.sizeBytes} bytes, its manifest says ${member.sizeBytes}`,
    );
  }
  return file;
}

async function readManifest(file: UnpackedFile): Promise<Manifest> {
  if (file.name !== manifestName) throw damagedArchive(`it does not begin with ${manifestName}`);
  if (file.sizeBytes > maxManifestBytes) throw damagedArchive('its manifest is too long');
  return decodeManifest(await readWhole(file));
}

async function readKeys(file: UnpackedFile): Promise<readonly Buffer[]> {
  const keys = decodeForgetKeys(await readWhole(file));
  if (keys === undefined || keys.length > maxForgetKeys)
    throw damagedArchive(`${file.name} holds no keys`);
  return keys;
}

async function readWhole({ name, sizeBytes, pieces }: UnpackedFile): Promise<Buffer> {
  if (sizeBytes > maxHeldBytes) throw damagedArchive(`${shown(name)} is too long`);
  return Buffer.concat(await Array.fromAsync(pieces));
}

/** Before a byte is written: an archive says how much it holds. */
async function checkRoom(files: Files, folder: string, totalBytes: number): Promise<void> {
  const freeBytes = await files.freeBytes(folder);
  if (freeBytes >= totalBytes + spareBytes) return;
  throw new ProxyError(
    'store_full',
    `There is no room for what the archive holds: ${totalBytes} bytes, and ${freeBytes} are free where the stores are. Nothing was imported.`,
    { hint: 'Free some disk space, or delete old sessions with `rlm-opencode sessions rm`.' },
  );
}

/** Writes members to files in a data directory of their own. */
class Staging {
  readonly #files: Files;
  readonly #folder: string;
  readonly #ids: ReadonlyMap<string, string>;
  /** Folders whose names are to be on the disk. */
  readonly #folders = new Set<string>();

  constructor(files: Files, folder: string, ids: ReadonlyMap<string, string>) {
    this.#files = files;
    this.#folder = folder;
    this.#ids = ids;
  }

  async begin(): Promise<void> {
    await this.#makeFolder(join(this.#folder, 'sessions'));
  }

  /** All of it is on the disk when this resolves. */
  async end(): Promise<void> {
    for (const folder of this.#folders) await this.#files.syncDirectory(folder);
    await this.#files.syncDirectory(this.#folder);
    await this.#files.syncDirectory(dirname(this.#folder));
  }

  /** Writes a member to its file; yields how much of it there is. */
  async *keep(member: StoreMember, { pieces }: UnpackedFile): AsyncGenerator<number> {
    const path = await this.#pathOf(member);
    const file = await this.#files.open(path, { create: true });
    try {
      let sizeBytes = 0;
      for await (const piece of this.#rewritten(member, pieces)) {
        await writeFully(file, piece, sizeBytes);
        sizeBytes += piece.length;
        yield sizeBytes;
      }
      await this.#settle(file);
    } finally {
      await file.close();
    }
  }

  async #settle(file: OpenFile): Promise<void> {
    await file.datasync();
  }

  async #pathOf({ kind, session, sha256 }: StoreMember): Promise<string> {
    const paths = sessionPaths(this.#folder, this.#ids.get(session.id)!);
    if (kind !== 'original') return paths[kind];
    await this.#makeFolder(paths.originalsDir);
    return join(paths.originalsDir, sha256!);
  }

  async #makeFolder(path: string): Promise<void> {
    if (this.#folders.has(path)) return;
    await this.#files.makeDirectory(path);
    this.#folders.add(path);
  }

  /** A member with the ids that the stores have here. */
  #rewritten(
    { kind, name, session }: StoreMember,
    pieces: AsyncIterable<Uint8Array>,
  ): AsyncIterable<Uint8Array> {
    if (kind === 'text' || kind === 'original') return pieces;
    const header = (line: Buffer, format: string): Buffer => {
      const fault = headerFault(line, format, session.id);
      if (fault !== undefined) throw damagedArchive(`${name}: ${fault}`);
      return this.#line(line);
    };
    switch (kind) {
      case 'journal':
        return withHead(pieces, (line, number) => {
          if (number === 1) return header(line, journalFormat);
          return isBaseLine(line) && isWholeRecord(line) ? this.#line(line) : line;
        });
      case 'chats':
        return withHead(pieces, (line, number) =>
          number === 1 ? header(line, chatsFormat) : line,
        );
      case 'events':
        return withHead(
          pieces,
          (line, number) => {
            if (number === 1) return header(line, eventsFormat);
            if (!isWholeRecord(line)) throw damagedArchive(`${name} has a wrong line`);
            return this.#line(line);
          },
          Infinity,
        );
    }
  }

  /** A record with the ids that the stores have here, without its newline. */
  #line(line: Buffer): Buffer {
    const { crc: _, ...record } = JSON.parse(line.toString()) as Record<string, unknown>;
    return Buffer.from(encodeRecord(replaceIds(record, this.#ids)).slice(0, -1));
  }
}

/** How many lines of a file name sessions: the header, and what a branch begins with. */
const headLines = 2;

/** Hands the first lines to `rewrite`, without their newlines; the rest goes on as it comes. */
async function* withHead(
  pieces: AsyncIterable<Uint8Array>,
  rewrite: (line: Buffer, number: number) => Buffer,
  count = headLines,
): AsyncGenerator<Uint8Array> {
  let held: Buffer = Buffer.alloc(0);
  let number = 0;
  for await (const piece of pieces) {
    if (number >= count) {
      yield piece;
      continue;
    }
    held = Buffer.concat([held, piece]);
    while (number < count) {
      const end = held.indexOf(0x0a);
      if (end < 0) break;
      number += 1;
      yield rewrite(held.subarray(0, end), number);
      yield newline;
      held = held.subarray(end + 1);
    }
    if (held.length > recordMaxBytes) throw damagedArchive('a line in it is too long');
    if (number < count || held.length === 0) continue;
    yield held;
    held = Buffer.alloc(0);
  }
  if (held.length > 0) yield held;
}

const newline = Buffer.from('\n');

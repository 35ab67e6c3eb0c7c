import { unpackTar } from 'modern-tar';
import { zstdDecompressSync } from 'node:zlib';
import { packTarZstd } from '../../src/store/archive/tar-zstd.ts';
import type { ImportOptions, ImportReport, Sessions } from '../../src/store/types.ts';

/** The archive of some sessions, in one piece. */
export async function exported(sessions: Sessions, ...ids: readonly string[]): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const { bytes } of sessions.export(ids)) if (bytes !== undefined) pieces.push(bytes);
  return Buffer.concat(pieces);
}

/** Bytes as they come from a file or a socket. */
export async function* inPieces(bytes: Uint8Array, pieceBytes = 1_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

/** Imports an archive to the end. */
export async function imported(
  sessions: Sessions,
  archive: Uint8Array,
  options: ImportOptions = {},
): Promise<ImportReport> {
  const work = sessions.import(inPieces(archive), options);
  let step = await work.next();
  while (step.done !== true) step = await work.next();
  return step.value;
}

/** A member of an archive. */
export interface Member {
  readonly name: string;
  readonly bytes: Buffer;
}

/** What is in an archive, in its order. */
export async function membersIn(archive: Uint8Array): Promise<readonly Member[]> {
  const found = await unpackTar(zstdDecompressSync(archive));
  return found.map(({ header, data }) => ({ name: header.name, bytes: Buffer.from(data!) }));
}

/** An archive of these members whose sums are right, whatever is in them. */
export async function archiveOf(members: readonly Member[]): Promise<Buffer> {
  const files = members
    .filter(({ name }) => name !== 'SHA256SUMS')
    .map(({ name, bytes }) => ({ name, sizeBytes: bytes.length, pieces: [bytes] }));
  return Buffer.concat(await Array.fromAsync(packTarZstd(files, 0)));
}

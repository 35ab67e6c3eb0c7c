import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Transform } from 'node:stream';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { ProxyError, toProxyError } from '../../errors.ts';
import { isErrno } from '../disk/files.ts';
import { damagedArchive, sumsName } from './manifest.ts';

/** A file that goes into an archive. */
export interface PackedFile {
  readonly name: string;
  readonly sizeBytes: number;
  /** Exactly so many bytes, in pieces that nobody changes any more. */
  readonly pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** A file that comes out of one. Its pieces are read to their end before the next file. */
export interface UnpackedFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly pieces: AsyncIterable<Uint8Array>;
}

/** zstd's own default: some 300 MB/s, a third to a tenth of a text's size. */
const compressionLevel = 3;

/**
 * Memory for unpacking, as a power of two: 32 MiB. We write 2 MiB; who compresses an archive anew
 * may use `zstd -19`.
 */
const maxWindowLog = 25;

/**
 * So much may be unpacked from anything; beyond it, at most {@link maxRatio} times what was read. A
 * log that repeats itself comes to some hundreds.
 */
const freeBytes = 256 * 1024 ** 2;
const maxRatio = 1_000;

/** The mode of members: what tools have printed is nobody else's to read. */
const memberMode = 0o600;

/**
 * Packs files into a tar archive, compressed with zstd, the sums of all behind them; in a few
 * megabytes of memory, as fast as the pieces are taken.
 */
export async function* packTarZstd(
  files: AsyncIterable<PackedFile> | Iterable<PackedFile>,
  createdMs: number,
): AsyncGenerator<Buffer> {
  const { createTarPacker } = await import('modern-tar');
  const { readable, controller } = createTarPacker();
  const sums: string[] = [];
  const add = async ({ name, sizeBytes, pieces }: PackedFile): Promise<void> => {
    const digest = createHash('sha256');
    const header = { name, size: sizeBytes, mode: memberMode, mtime: new Date(createdMs) };
    const body = controller.add(header).getWriter();
    for await (const piece of pieces) {
      digest.update(piece);
      await body.write(piece);
    }
    await body.close();
    sums.push(`${digest.digest('hex')}  ${name}\n`);
  };
  const work = async (): Promise<void> => {
    try {
      for await (const file of files) await add(file);
      const bytes = Buffer.from(sums.join(''));
      await add({ name: sumsName, sizeBytes: bytes.length, pieces: [bytes] });
      controller.finalize();
    } catch (error) {
      controller.error(error);
    }
  };
  const working = work();
  const zstd = createZstdCompress({
    params: {
      [constants.ZSTD_c_compressionLevel]: compressionLevel,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  });
  const feeding = feedZstd(readable, zstd, () => undefined);
  try {
    for await (const piece of zstd) yield piece as Buffer;
  } finally {
    zstd.destroy();
    await feeding;
    await working;
  }
}

/**
 * Writes all pieces to a (de)compressor and ends it; what `pieces` throws, it fails with. Each
 * piece is done before the next is written: a compressor of Node 24 that is ended while something
 * waits writes an empty frame behind the first.
 */
async function feedZstd(
  pieces: AsyncIterable<Uint8Array>,
  zstd: Transform,
  onPiece: (piece: Uint8Array) => void,
): Promise<void> {
  const closed = once(zstd, 'close').catch(() => undefined);
  try {
    for await (const piece of pieces) {
      onPiece(piece);
      const { promise: written, resolve } = Promise.withResolvers<void>();
      zstd.write(piece, () => resolve());
      await Promise.race([written, closed]);
      if (zstd.destroyed) return;
    }
    zstd.end();
  } catch (error) {
    zstd.destroy(error instanceof Error ? error : new Error(String(error)));
  }
}

/**
 * The files of an archive in the order in which they stand. The last one holds the sums of all
 * others, which are compared with what came: who has read to the end knows that nothing is wrong.
 * @param isTrusted Whether it may unpack to any size
 * @throws ProxyError `invalid_request` for whatever is not as {@link packTarZstd} wrote it
 */
export async function* unpackTarZstd(
  packed: AsyncIterable<Uint8Array>,
  { isTrusted }: { readonly isTrusted: boolean },
): AsyncGenerator<UnpackedFile> {
  const { createTarDecoder } = await import('modern-tar');
  const tar = createTarDecoder({ strict: true });
  const plain = decompressed(packed, isTrusted);
  const feeding = feedTar(plain, tar.writable);
  // Whoever reads hears of it.
  feeding.catch(() => undefined);
  const sums: string[] = [];
  let isOver = false;
  try {
    for await (const { header, body } of tar.readable) {
      const { name, size, type = 'file' } = header;
      if (isOver) throw damagedArchive(`something stands behind ${sumsName}`);
      if (type !== 'file') throw damagedArchive(`${shown(name)} is no file but a ${type}`);
      if (name === sumsName) {
        await compareSums(body, sums);
        isOver = true;
        continue;
      }
      const digest = createHash('sha256');
      yield { name, sizeBytes: size, pieces: digested(body, digest) };
      sums.push(`${digest.digest('hex')}  ${name}\n`);
    }
    // What stands behind the last file, and zstd's own checksum.
    await feeding;
  } catch (error) {
    throw unpackFailure(error);
  } finally {
    // Of a reader that has left: what is written to it is thrown away, and that ends the feeding.
    await tar.readable.cancel().catch(() => undefined);
    await feeding.catch(() => undefined);
  }
  if (!isOver) throw damagedArchive('its end is missing');
}

async function feedTar(
  plain: AsyncIterable<Uint8Array>,
  tar: WritableStream<Uint8Array>,
): Promise<void> {
  const writer = tar.getWriter();
  writer.closed.catch(() => undefined);
  try {
    for await (const piece of plain) await writer.write(piece);
    await writer.close();
  } catch (error) {
    await writer.abort(error).catch(() => undefined);
    throw error;
  }
}

async function* digested(
  body: ReadableStream<Uint8Array>,
  digest: { update(piece: Uint8Array): unknown },
): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of body) {
      digest.update(piece);
      yield piece;
    }
  } catch (error) {
    throw unpackFailure(error);
  }
}

async function compareSums(body: ReadableStream<Uint8Array>, sums: readonly string[]) {
  const found: Buffer[] = [];
  let sizeBytes = 0;
  const expected = sums.join('');
  for await (const piece of body) {
    sizeBytes += piece.length;
    if (sizeBytes > expected.length) break;
    found.push(Buffer.from(piece));
  }
  const lines = new Set(
    Buffer.concat(found)
      .toString()
      .split(/(?<=\n)/),
  );
  const wrong = sums.find((sum) => !lines.has(sum));
  if (wrong !== undefined) {
    throw damagedArchive(`${shown(wrong.slice(66).trim())} is not what its checksum says`);
  }
  if (sizeBytes !== expected.length) throw damagedArchive(`${sumsName} names what is not there`);
}

/** A name out of an archive, for a message. */
export function shown(name: string): string {
  return JSON.stringify(name.slice(0, 100));
}

async function* decompressed(
  packed: AsyncIterable<Uint8Array>,
  isTrusted: boolean,
): AsyncGenerator<Buffer> {
  const zstd = createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: maxWindowLog } });
  let readBytes = 0;
  let plainBytes = 0;
  const feeding = feedZstd(packed, zstd, (piece) => (readBytes += piece.length));
  try {
    for await (const piece of zstd) {
      plainBytes += (piece as Buffer).length;
      if (!isTrusted && plainBytes > Math.max(freeBytes, maxRatio * readBytes)) throw tooTight();
      yield piece as Buffer;
    }
    await feeding;
    if (readBytes === 0) throw damagedArchive('it is empty');
    // Node leaves unread what stands behind the end of what zstd wrote.
    if (zstd.bytesWritten < readBytes) throw damagedArchive('something stands behind its end');
  } finally {
    zstd.destroy();
    await feeding;
  }
}

function tooTight(): ProxyError {
  return new ProxyError(
    'invalid_request',
    `This archive unpacks to more than ${maxRatio} times its size: that may be made to fill a disk. Nothing was imported.`,
    { hint: 'If you know where it is from, add --any-size.' },
  );
}

/** What unpacking has failed with: the archive's fault, unless it is a failure that has a name. */
function unpackFailure(error: unknown): ProxyError {
  if (error instanceof ProxyError) return error;
  if (error instanceof Error && 'code' in error) {
    if (isErrno(error, 'ERR_ABORTED')) return toProxyError(error);
    const isOurs = String(error.code).startsWith('ZSTD_') || isErrno(error, 'Z_BUF_ERROR');
    if (isOurs) return damagedArchive(zstdFault(String(error.code)), error);
    return toProxyError(error);
  }
  return damagedArchive(error instanceof Error ? lowerFirst(error.message) : String(error), error);
}

function zstdFault(code: string): string {
  const faults: Readonly<Record<string, string>> = {
    ZSTD_error_prefix_unknown: 'it is not compressed with zstd',
    ZSTD_error_checksum_wrong: 'a checksum of zstd is wrong',
    ZSTD_error_frameParameter_windowTooLarge:
      'unpacking it takes more than 32 MiB of memory; compress it anew without --long',
    Z_BUF_ERROR: 'its end is missing',
  };
  return faults[code] ?? `zstd cannot unpack it (${code})`;
}

function lowerFirst(text: string): string {
  const plain = text.replace(/\.$/, '');
  return plain.charAt(0).toLowerCase() + plain.slice(1);
}

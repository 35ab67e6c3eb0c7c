import { Readable } from 'node:stream';
import { createZstdCompress, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { createTarPacker, packTar } from 'modern-tar';
import { expect, test } from 'vitest';
import { ProxyError } from '../../errors.ts';
import { packTarZstd, unpackTarZstd, type PackedFile } from './tar-zstd.ts';

function file(name: string, text: string): PackedFile {
  return { name, sizeBytes: text.length, pieces: [Buffer.from(text)] };
}

const files = [file('manifest.json', '{}'), file('a/b', 'line\n'.repeat(20_000)), file('c', '')];

async function packed(...of: readonly PackedFile[]): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(packTarZstd(of, 0)));
}

async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

async function unpacked(bytes: Uint8Array, pieceBytes = 65_536, isTrusted = false) {
  const found: { readonly name: string; readonly text: string }[] = [];
  for await (const { name, pieces } of unpackTarZstd(inPieces(bytes, pieceBytes), { isTrusted })) {
    found.push({ name, text: Buffer.concat(await Array.fromAsync(pieces)).toString() });
  }
  return found;
}

const whole = await packed(...files);
const tar = zstdDecompressSync(whole);

test.each([1, 7, 512, 65_536])(
  'files come out as they went in, in pieces of %i',
  async (pieceBytes) => {
    const found = await unpacked(whole, pieceBytes);
    expect(found.map(({ name }) => name)).toEqual(['manifest.json', 'a/b', 'c']);
    expect(found[1]?.text).toBe('line\n'.repeat(20_000));
  },
);

test('the same files packed at the same time are the same bytes, and one frame of zstd', async () => {
  expect(await packed(...files)).toEqual(whole);
  expect(whole.lastIndexOf(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]))).toBe(0);
});

test('an archive that is cut anywhere, or goes on behind its end, is refused', async () => {
  for (let end = 0; end < whole.length; end += 1) {
    await expect(unpacked(whole.subarray(0, end))).rejects.toMatchObject({
      code: 'invalid_request',
    });
  }
  for (const more of [Buffer.from('x'), Buffer.alloc(600), whole]) {
    await expect(unpacked(Buffer.concat([whole, more]))).rejects.toThrow('behind its end');
  }
  for (let end = 0; end < tar.length; end += 512) {
    const cut = zstdCompressSync(tar.subarray(0, end));
    await expect(unpacked(cut)).rejects.toMatchObject({ code: 'invalid_request' });
  }
});

test('a wrong bit anywhere is refused, or changes nothing', async () => {
  const expected = await unpacked(whole);
  let refused = 0;
  const unnoticed: unknown[] = [];
  for (let at = 0; at < whole.length; at += 1) {
    for (const bit of [0x01, 0x80]) {
      const wrong = Buffer.from(whole);
      wrong[at]! ^= bit;
      const outcome = await unpacked(wrong).catch((error: unknown) => error);
      if (outcome instanceof ProxyError) refused += 1;
      else unnoticed.push(outcome);
    }
  }
  expect(unnoticed).toEqual(unnoticed.map(() => expected));
  expect(refused).toBeGreaterThan(1.9 * whole.length);
});

test('whatever is no file is refused, and so is what a sum does not fit', async () => {
  for (const type of ['symlink', 'link', 'directory', 'fifo', 'character-device'] as const) {
    const header = { name: 'evil', size: 0, type, linkname: '/etc/passwd' };
    const made = zstdCompressSync(await packTar([{ header }]));
    await expect(unpacked(made)).rejects.toThrow(`is no file but a ${type}`);
  }
  const changed = Buffer.from(tar);
  changed[changed.indexOf('line\nline')]! ^= 1;
  await expect(unpacked(zstdCompressSync(changed))).rejects.toThrow(
    '"a/b" is not what its checksum says',
  );
  await expect(unpacked(Buffer.from('PK\u0003\u0004 no zstd'))).rejects.toThrow(
    'not compressed with zstd',
  );
});

/** A tar archive of one file of zeros, compressed: some 10,000 times smaller. */
async function bomb(sizeBytes: number): Promise<Buffer> {
  const { readable, controller } = createTarPacker();
  const zeros = new Uint8Array(1024 ** 2);
  const write = async (): Promise<void> => {
    const body = controller.add({ name: 'zeros', size: sizeBytes }).getWriter();
    for (let at = 0; at < sizeBytes; at += zeros.length) await body.write(zeros);
    await body.close();
    controller.finalize();
  };
  const writing = write();
  const compressed = Readable.from(readable).pipe(createZstdCompress());
  const packed: Buffer[] = await Array.fromAsync(compressed);
  await writing;
  return Buffer.concat(packed);
}

test('what unpacks to far more than its size is refused on the way, unless it is trusted', async () => {
  const made = await bomb(300 * 1024 ** 2);
  let seenBytes = 0;
  const read = async (isTrusted: boolean): Promise<void> => {
    seenBytes = 0;
    for await (const { pieces } of unpackTarZstd(inPieces(made, 1_000), { isTrusted })) {
      for await (const piece of pieces) seenBytes += piece.length;
    }
  };
  await expect(read(false)).rejects.toMatchObject({
    parts: { hint: expect.stringContaining('--any-size') },
  });
  expect(seenBytes).toBeLessThanOrEqual(256 * 1024 ** 2);
  // There is no sum in it.
  await expect(read(true)).rejects.toThrow('its end is missing');
  expect(seenBytes).toBe(300 * 1024 ** 2);
});

test('a file longer or shorter than was said ends the packing', async () => {
  const long = { name: 'a', sizeBytes: 2, pieces: [Buffer.from('abc')] };
  await expect(packed(long)).rejects.toThrow('exceeds given size');
  await expect(packed({ ...long, sizeBytes: 4 })).rejects.toThrow('Size mismatch');
});

test('who packs is held up by who reads, and who leaves ends it', async () => {
  let given = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) {
      given += 1;
      // Nothing that zstd could make smaller.
      yield crypto.getRandomValues(new Uint8Array(65_536));
    }
  }
  const work = packTarZstd([{ name: 'a', sizeBytes: 1e12, pieces: endless() }], 0);
  await work.next();
  await new Promise((resolve) => void setTimeout(resolve, 50));
  // 8 MiB wait at most, and what is on its way.
  expect(given).toBeLessThan(200);
  await work.return(undefined);
  const before = given;
  await new Promise((resolve) => void setTimeout(resolve, 20));
  expect(given).toBe(before);
});

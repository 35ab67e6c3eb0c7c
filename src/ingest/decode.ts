/** Bytes at the start of a file in which a NUL makes it binary; as git does it. */
const sniffBytes = 8192;

/** How a file's bytes become text. */
export interface Decoding {
  readonly encoding: 'utf-8' | 'utf-16le' | 'utf-16be' | 'latin-1';
  /** What is not of the encoding becomes U+FFFD; the file's bytes must be kept beside the text. */
  readonly lossy: boolean;
  /** For the entry; absent where the text is the file byte for byte and there is nothing to say. */
  readonly note?: string;
}

/** What the first 8 KiB of a file say: a binary file, or the encoding to try. */
export function sniffDecoding(head: Uint8Array): Decoding | 'binary' {
  if (head[0] === 0xff && head[1] === 0xfe) return strictDecodings['utf-16le'];
  if (head[0] === 0xfe && head[1] === 0xff) return strictDecodings['utf-16be'];
  if (head.subarray(0, sniffBytes).includes(0)) return 'binary';
  const marked = head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf;
  const utf8 = strictDecodings['utf-8'];
  return marked ? { ...utf8, note: 'begins with a UTF-8 byte order mark' } : utf8;
}

/**
 * The decoding to take when the bytes were not of the first one: it never fails. Reads them once,
 * to see what prevails.
 */
export async function fallbackDecoding(
  first: Decoding,
  pieces: AsyncIterable<Uint8Array>,
): Promise<Decoding> {
  const name = first.encoding.toUpperCase();
  const note = `broken ${name}: what is invalid became U+FFFD, the original bytes are kept`;
  if (first.encoding !== 'utf-8') return { ...first, lossy: true, note };
  const counts = new SequenceCounts();
  for await (const piece of pieces) counts.add(piece);
  // Text that holds more whole sequences than broken ones is UTF-8 with an accident; else its high
  // bytes were never UTF-8.
  if (counts.valid > counts.invalid) return { ...first, lossy: true, note };
  return { encoding: 'latin-1', lossy: false, note: 'decoded from Latin-1' };
}

/**
 * The text of a file's pieces as UTF-8. UTF-8 that must not lose anything passes as it is,
 * unchecked (the store checks it).
 * @throws TypeError where the bytes are not UTF-16 and the decoding is not lossy
 */
export async function* decodePieces(
  decoding: Decoding,
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const { encoding, lossy } = decoding;
  if (encoding === 'utf-8' && !lossy) {
    yield* pieces;
  } else if (encoding === 'latin-1') {
    for await (const piece of pieces) {
      const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length);
      yield Buffer.from(bytes.toString('latin1'));
    }
  } else {
    const decoder = new TextDecoder(encoding, { fatal: !lossy, ignoreBOM: encoding === 'utf-8' });
    for await (const piece of pieces) yield Buffer.from(decoder.decode(piece, { stream: true }));
    yield Buffer.from(decoder.decode());
  }
}

const strictDecodings = {
  'utf-8': { encoding: 'utf-8', lossy: false },
  'utf-16le': {
    encoding: 'utf-16le',
    lossy: false,
    note: 'decoded from UTF-16LE, byte order mark left out',
  },
  'utf-16be': {
    encoding: 'utf-16be',
    lossy: false,
    note: 'decoded from UTF-16BE, byte order mark left out',
  },
} as const;

/**
 * Counts multi-byte sequences by their form: a lead byte with as many continuation bytes as it asks
 * for, or not.
 */
class SequenceCounts {
  valid = 0;
  invalid = 0;
  #missing = 0;

  add(piece: Uint8Array): void {
    for (const byte of piece) {
      if ((byte & 0xc0) === 0x80) this.#continue();
      else if (byte >= 0x80 || this.#missing > 0) this.#lead(byte);
    }
  }

  #continue(): void {
    if (this.#missing === 0) {
      this.invalid += 1;
      return;
    }
    this.#missing -= 1;
    if (this.#missing === 0) this.valid += 1;
  }

  #lead(byte: number): void {
    if (this.#missing > 0) this.invalid += 1;
    this.#missing = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : byte >= 0xc2 ? 1 : 0;
    if (byte >= 0xf5 || byte === 0xc0 || byte === 0xc1) {
      this.invalid += 1;
      this.#missing = 0;
    }
  }
}

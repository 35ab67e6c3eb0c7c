import { isAscii } from 'node:buffer';

/** Many texts in a form that is quick to hand from thread to thread. */
export interface PackedTexts {
  /** The texts in UTF-8, one behind the other. */
  readonly bytes: Uint8Array;
  /** Where each ends. */
  readonly ends: Uint32Array;
}

/** Packs texts without lone surrogates. */
export function packTexts(texts: readonly string[]): PackedTexts {
  const bytes = Buffer.from(texts.join(''));
  const ends = new Uint32Array(texts.length);
  let end = 0;
  for (const [i, text] of texts.entries()) {
    end += Buffer.byteLength(text);
    ends[i] = end;
  }
  return { bytes: new Uint8Array(bytes), ends };
}

/** Gives the texts by their numbers. */
export function unpackTexts({ bytes, ends }: PackedTexts): (i: number) => string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  // Cutting a string is faster than decoding many small ones.
  const ascii = isAscii(buffer) ? buffer.toString('latin1') : undefined;
  return (i) => {
    const start = i === 0 ? 0 : ends[i - 1]!;
    return ascii?.slice(start, ends[i]) ?? buffer.toString('utf8', start, ends[i]);
  };
}

import { openKernels } from './kernels.ts';

/** What a piece of UTF-8 text amounts to. */
export interface TextCounts {
  readonly newlines: number;
  /** Code points, counted as bytes that are not continuation bytes. */
  readonly chars: number;
}

const scratchBytes = 65_536;
const kernels = openKernels(scratchBytes);
const scratch = new Uint8Array(kernels.memory.buffer);

/**
 * Below this many bytes a plain loop is faster than the copy into the kernels' memory. Measured on
 * Node 24.
 */
const smallBytes = 48;

/**
 * Newlines and code points of UTF-8 bytes, at about 8 GB/s. A code point that is cut at a border
 * counts where it starts.
 */
export function countText(bytes: Uint8Array): TextCounts {
  if (bytes.length < smallBytes) return countSmall(bytes);
  let newlines = 0;
  let chars = 0;
  for (let from = 0; from < bytes.length; from += scratchBytes) {
    const piece = bytes.subarray(from, from + scratchBytes);
    scratch.set(piece);
    newlines += kernels.countText(0, piece.length);
    chars += kernels.countedChars.value;
  }
  return { newlines, chars };
}

/** Code points of UTF-8 bytes. */
export function countCodePoints(bytes: Uint8Array): number {
  return countText(bytes).chars;
}

/** Newlines of UTF-8 bytes. */
export function countNewlines(bytes: Uint8Array): number {
  return countText(bytes).newlines;
}

function countSmall(bytes: Uint8Array): TextCounts {
  let newlines = 0;
  let chars = 0;
  for (const byte of bytes) {
    if (byte === 10) newlines++;
    if ((byte & 0xc0) !== 0x80) chars++;
  }
  return { newlines, chars };
}

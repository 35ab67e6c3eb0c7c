import { partitionPoint } from './sorted.ts';

/**
 * Where the bytes of a text are that is read by position, whatever files it lies in. Spans ascend,
 * touch each other, and the first begins at 0.
 */
export type TextSpan = FileSpan | FillerSpan;

/** A stretch that lies in a file. */
interface FileSpan {
  readonly startBytes: number;
  /** `Infinity` for what grows. */
  readonly endBytes: number;
  readonly path: string;
  /** Where in the file byte `startBytes` of the text is. */
  readonly positionBytes: number;
}

/**
 * A stretch whose text is gone: what stands there is made from these numbers alone, whatever the
 * file holds.
 */
interface FillerSpan {
  readonly startBytes: number;
  readonly endBytes: number;
  readonly filler: FillerCounts;
}

/** What filler must count as. */
export interface FillerCounts {
  readonly bytes: number;
  /** Code points. */
  readonly chars: number;
  readonly newlines: number;
  /** Whether the last byte is one of the newlines. */
  readonly endsLine: boolean;
}

/** A text that is one file. */
export function wholeFile(path: string): readonly TextSpan[] {
  return [{ startBytes: 0, endBytes: Infinity, path, positionBytes: 0 }];
}

const newlineByte = 0x0a;
/** What stands for a code point of one to four bytes: `#`, `¤`, `█`, `🔒`. */
const standIns = ['#', '¤', '█', '🔒'].map((text) => Buffer.from(text));

/**
 * Writes bytes [from, from + target.length) of a filler to `target`: its newlines, then code points
 * of four bytes, one of what is left over, then code points of one byte; the last newline at the
 * end where the text ended so. A pure function of the numbers, so that nothing of what stood there
 * is in it but how much it was.
 */
export function fill(target: Uint8Array, from: number, counts: FillerCounts): void {
  const { bytes, chars, newlines, endsLine } = counts;
  const leading = endsLine ? newlines - 1 : newlines;
  const textBytes = bytes - newlines;
  const extra = textBytes - (chars - newlines);
  const wide = Math.floor(extra / 3);
  const between = extra % 3;
  const wideEnd = leading + 4 * wide;
  const betweenEnd = between === 0 ? wideEnd : wideEnd + between + 1;
  const textEnd = leading + textBytes;
  for (let i = 0; i < target.length; i += 1) {
    const at = from + i;
    if (at < leading || at >= textEnd) target[i] = newlineByte;
    else if (at < wideEnd) target[i] = standIns[3]![(at - leading) % 4]!;
    else if (at < betweenEnd) target[i] = standIns[between]![at - wideEnd]!;
    else target[i] = standIns[0]![0]!;
  }
}

/** The number of the span that holds a position. */
export function spanAt(spans: readonly TextSpan[], positionBytes: number): number {
  const isAtMost = (index: number): boolean => spans[index]!.startBytes <= positionBytes;
  return Math.max(0, partitionPoint(spans.length, isAtMost) - 1);
}

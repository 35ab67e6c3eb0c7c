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
 * A stretch of texts that are gone: what stands there is made from how much they were, whatever the
 * file holds.
 */
interface FillerSpan {
  readonly startBytes: number;
  readonly endBytes: number;
  /**
   * Where each text begins, and where the last one ends: bytes, code points and newlines before,
   * three by three, in shared memory. Each text ends in a newline.
   */
  readonly places: Float64Array<SharedArrayBuffer>;
}

/** A text that is one file. */
export function wholeFile(path: string): readonly TextSpan[] {
  return [{ startBytes: 0, endBytes: Infinity, path, positionBytes: 0 }];
}

const newlineByte = 0x0a;
/** Ends lines together with a line feed. */
const returnByte = 0x0d;
/** What stands for a code point of one to four bytes: `#`, `¤`, `█`, `🔒`. */
const standIns = ['#', '¤', '█', '🔒'].map((text) => Buffer.from(text));

/**
 * Writes code points that stand for those in `text`, each as long as what it stands for. What ends
 * lines stays: it tells nothing of the text.
 */
export function mask(text: Uint8Array): void {
  for (let at = 0; at < text.length;) {
    const first = text[at]!;
    const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    const isKept = first === newlineByte || first === returnByte;
    if (!isKept) text.set(standIns[length - 1]!.subarray(0, text.length - at), at);
    at += length;
  }
}

/** Fills `target` with what stands in a stretch from `fromBytes` of the whole text on. */
export function fill(target: Uint8Array, fromBytes: number, { places }: FillerSpan): void {
  const texts = places.length / 3 - 1;
  const isAtMost = (text: number): boolean => places[3 * text]! <= fromBytes;
  let text = Math.max(0, partitionPoint(texts, isAtMost) - 1);
  for (let done = 0; done < target.length; text += 1) {
    const from = fromBytes + done - places[3 * text]!;
    const stop = Math.min(target.length, places[3 * text + 3]! - fromBytes);
    fillOne(target.subarray(done, stop), from, {
      bytes: places[3 * text + 3]! - places[3 * text]!,
      chars: places[3 * text + 4]! - places[3 * text + 1]!,
      newlines: places[3 * text + 5]! - places[3 * text + 2]!,
    });
    done = stop;
  }
}

/**
 * Bytes [from, from + target.length) of one text's filler: its newlines but one, code points of
 * four bytes, one of what is left over, code points of one byte, the last newline. A pure function
 * of the numbers: nothing of what stood there is in it but how much it was.
 */
function fillOne(
  target: Uint8Array,
  from: number,
  size: { readonly bytes: number; readonly chars: number; readonly newlines: number },
): void {
  const leading = size.newlines - 1;
  const extra = size.bytes - size.chars;
  const wide = Math.floor(extra / 3);
  const between = extra % 3;
  const wideEnd = leading + 4 * wide;
  const betweenEnd = between === 0 ? wideEnd : wideEnd + between + 1;
  for (let i = 0; i < target.length; i += 1) {
    const at = from + i;
    if (at < leading || at === size.bytes - 1) target[i] = newlineByte;
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

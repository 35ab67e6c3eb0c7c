import type { BlockSlots, HeldBlock } from './block-slots.ts';
import { blockAt, type Scope } from './pieces.ts';
import type { TextFile } from './text-file.ts';

const noAnchors = new Float64Array(0);

/** Looks at a text line by line, through its block table. Offsets are bytes of the file. */
export class LineView {
  readonly #file: TextFile;
  readonly #scope: Scope;
  readonly #slots: BlockSlots;

  constructor(file: TextFile, scope: Scope, slots: BlockSlots) {
    this.#file = file;
    this.#scope = scope;
    this.#slots = slots;
  }

  /** Start of the line that holds byte `at`, not before `floor`. */
  lineStart(at: number, floor: number): number {
    const { blocks } = this.#scope;
    const block = blockAt(blocks, at);
    const base = blocks.byteStart[block]!;
    const found = at > base ? this.#block(block).bytes.lastIndexOf(10, at - base - 1) : -1;
    if (found >= 0) return Math.max(base + found + 1, floor);
    let first = block;
    while (first > 0 && blocks.lineStart[first - 1] === blocks.lineStart[block]) first--;
    return Math.max(blocks.byteStart[first]!, floor);
  }

  /**
   * Where the newline of the line lies that holds byte `at`, or the end if it has none; not behind
   * `ceiling`.
   */
  lineEnd(at: number, ceiling: number): number {
    const { blocks, endBytes } = this.#scope;
    if (at >= Math.min(ceiling, endBytes)) return Math.min(ceiling, endBytes);
    let block = blockAt(blocks, at);
    let found = this.#block(block).bytes.indexOf(10, at - blocks.byteStart[block]!);
    while (found < 0 && block + 1 < blocks.count) {
      // Only blocks without a newline follow one another in the same line.
      while (block + 2 < blocks.count && blocks.lineStart[block + 2] === blocks.lineStart[block])
        block++;
      found = this.#block(++block).bytes.indexOf(10);
    }
    const end = found < 0 ? endBytes : blocks.byteStart[block]! + found;
    return Math.min(end, ceiling, endBytes);
  }

  /** 1-based line number and code point offset of byte `at`. */
  position(at: number): { readonly line: number; readonly chars: number } {
    const { blocks } = this.#scope;
    const block = blockAt(blocks, at);
    const from = this.#anchorBefore(at, block);
    const base = blocks.byteStart[block]!;
    const { newlines, chars } = this.#slots.count(this.#block(block), from.bytes - base, at - base);
    return { line: from.line + newlines, chars: from.chars + chars };
  }

  /**
   * The last place up to `at` in a block of which line and code points are known for certain: its
   * start, or in damage an anchor.
   */
  #anchorBefore(
    at: number,
    block: number,
  ): { readonly bytes: number; readonly chars: number; readonly line: number } {
    const { blocks, anchors = noAnchors } = this.#scope;
    const bytes = blocks.byteStart[block]!;
    for (let i = anchors.length - 3; i >= 0; i -= 3) {
      if (anchors[i]! > at) continue;
      if (anchors[i]! < bytes) break;
      return { bytes: anchors[i]!, chars: anchors[i + 1]!, line: anchors[i + 2]! };
    }
    return { bytes, chars: blocks.charStart[block]!, line: blocks.lineStart[block]! };
  }

  /** Bytes [start, end). Valid until the next call. */
  bytes(start: number, end: number): Buffer {
    const { blocks } = this.#scope;
    const block = blockAt(blocks, start);
    const base = blocks.byteStart[block]!;
    const { bytes } = this.#block(block);
    if (end - base <= bytes.length) return bytes.subarray(start - base, end - base);
    const buffer = Buffer.allocUnsafe(end - start);
    this.#file.read(buffer, 0, start, end);
    return buffer;
  }

  #block(block: number): HeldBlock {
    const { blocks, endBytes } = this.#scope;
    const start = blocks.byteStart[block]!;
    const end = block + 1 < blocks.count ? blocks.byteStart[block + 1]! : endBytes;
    return this.#slots.get(this, block, end - start, (into) =>
      this.#file.read(into, 0, start, end),
    );
  }
}

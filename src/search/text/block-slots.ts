import { blockSlots, type ScanMemory } from './scan-memory.ts';

/** A block in memory, until its slot is needed for another. */
export interface HeldBlock {
  /** Where it lies in the kernels' memory. */
  readonly at: number;
  readonly bytes: Buffer;
}

/**
 * The blocks that were looked at last, in the kernels' memory: room that is used again and again,
 * because to touch fresh memory takes longer than to read a block into it. One per worker; whoever
 * reads blocks is an owner, and meets only its own.
 */
export class BlockSlots {
  readonly #memory: ScanMemory;
  readonly #held: { readonly owner: object; readonly block: number; readonly held: HeldBlock }[] =
    [];
  #next = 0;

  constructor(memory: ScanMemory) {
    this.#memory = memory;
  }

  /** A block, read by `read` if it is not here. Valid until the next call. */
  get(
    owner: object,
    block: number,
    sizeBytes: number,
    read: (into: Uint8Array) => void,
  ): HeldBlock {
    const known = this.#held.find((slot) => slot?.block === block && slot.owner === owner);
    if (known !== undefined) return known.held;
    const { kernels, blocksAt, blockBytes } = this.#memory;
    const slot = this.#next;
    this.#next = (slot + 1) % blockSlots;
    const at = blocksAt + slot * blockBytes;
    const bytes = Buffer.from(kernels.memory.buffer, at, sizeBytes);
    read(bytes);
    const held = { at, bytes };
    this.#held[slot] = { owner, block, held };
    return held;
  }

  /** Newlines and code points of the bytes [start, end) of a block. */
  count(
    { at }: HeldBlock,
    start: number,
    end: number,
  ): { readonly newlines: number; readonly chars: number } {
    const { kernels } = this.#memory;
    const newlines = kernels.countText(at + start, at + end);
    return { newlines, chars: kernels.countedChars.value };
  }
}

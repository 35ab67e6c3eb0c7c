import { openKernels, type Kernels } from '../../kernels/kernels.ts';

/**
 * One worker's memory for scanning text, laid out. Addresses are in the kernels' memory; what is
 * never touched costs nothing.
 */
export interface ScanMemory {
  readonly kernels: Kernels;
  readonly bytes: Uint8Array;
  /** Text, with room for a newline behind it. */
  readonly textAt: number;
  readonly textBytes: number;
  /** Hits, a u32 for each byte of text at most. */
  readonly hitsAt: number;
  /** Where an index is made: 64 bitmaps, their transposition, and scratch, zero between uses. */
  readonly indexAt: {
    readonly bitmaps: number;
    readonly columns: number;
    readonly scratch: number;
  };
  /** Where single blocks of text lie that are looked at once more. */
  readonly blocksAt: number;
  readonly blockBytes: number;
  /** Room for programs, one slot each. */
  readonly slots: readonly ProgramSlot[];
}

/** Where a program keeps its tables. */
export interface ProgramSlot {
  /** The byte classes of the automaton, 256 u16. */
  readonly classesAt: number;
  /** Four streams of a walk, 64 bytes. */
  readonly streamsAt: number;
  /** Literals to look for. */
  readonly literalsAt: number;
  readonly literalBytes: number;
  /** Transitions. */
  readonly tableAt: number;
  readonly tableBytes: number;
}

const kib = 1_024;
const textBytes = 4_096 * kib;

/**
 * 2 MiB of transitions: about 10,000 states of an ordinary pattern, and it stays in the
 * second-level cache.
 */
const tableBytes = 2_048 * kib;
const classesBytes = 1 * kib;
const literalBytes = 31 * kib;

/** The longest block. */
const blockBytes = 32 * kib;
/** Blocks in memory at once. Hits are shown in the order of the text, so few are needed. */
export const blockSlots = 4;

/** 64 bitmaps of 6 KiB. */
const groupBytes = 384 * kib;

/**
 * Programs that may be ready at once: more than searches may run at once, so that one is always
 * free.
 */
const slotCount = 12;

/** A memory of some 50 MiB, of which a search touches 1 to 3. */
export function openScanMemory(): ScanMemory {
  const textAt = 64 * kib;
  const hitsAt = textAt + textBytes + 64 * kib;
  const slotsAt = hitsAt + 4 * textBytes;
  const slotBytes = classesBytes + literalBytes + tableBytes;
  const bitmaps = slotsAt + slotCount * slotBytes;
  const columns = bitmaps + groupBytes;
  const scratch = columns + groupBytes;
  const blocksAt = scratch + 128 * kib;
  const kernels = openKernels(blocksAt + blockSlots * blockBytes);
  const slots = Array.from({ length: slotCount }, (_, i) => {
    const classesAt = slotsAt + i * slotBytes;
    const streamsAt = classesAt + 512;
    const literalsAt = classesAt + classesBytes;
    return {
      classesAt,
      streamsAt,
      literalsAt,
      literalBytes,
      tableAt: literalsAt + literalBytes,
      tableBytes,
    };
  });
  const bytes = new Uint8Array(kernels.memory.buffer);
  const indexAt = { bitmaps, columns, scratch };
  return { kernels, bytes, textAt, textBytes, hitsAt, indexAt, blocksAt, blockBytes, slots };
}

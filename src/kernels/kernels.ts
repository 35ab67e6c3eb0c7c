import { workerData } from 'node:worker_threads';
import { kernelsWasm } from './kernels-wasm.ts';

/**
 * The hot loops over UTF-8 bytes, compiled from `assembly/` with 128-bit SIMD. Everything is an
 * address in `memory`, which the owner lays out as it likes; ranges are [at, end). The plain
 * TypeScript meaning of each function is in `kernels-twins.ts`.
 */
export interface Kernels {
  readonly memory: WebAssembly.Memory;
  /** Number of newlines; the number of code points is left in `countedChars`. */
  countText(at: number, end: number): number;
  readonly countedChars: WasmNumber;
  /** Address of the quote that closes a JSON string, or `end`; see `assembly/json.ts`. */
  stringEnd(at: number, end: number): number;
  readonly stringCut: WasmNumber;
  /** Address of the next newline, or `end`. */
  nextNewline(at: number, end: number): number;
  /** Address after the last newline before `at`, or `start`. */
  lineStartBefore(start: number, at: number): number;
  /**
   * Walks lines through a table of transitions; see `assembly/dfa.ts` for the table. 1 before an
   * unknown transition, else 0.
   */
  scanLines(
    at: number,
    end: number,
    state: number,
    classes: number,
    start: number,
    hits: number,
  ): number;
  /** Where it stopped. */
  readonly walkAt: WasmNumber;
  readonly walkState: WasmNumber;
  readonly walkHits: WasmNumber;
  /** The same over four ranges at once; 1 to 4 names the range that met an unknown transition. */
  scanLinesFourfold(streams: number, classes: number, start: number): number;
  /**
   * Finds lines by literals; see `assembly/literals.ts` for the specification. 1 before an unknown
   * transition, else 0.
   */
  literalLines(
    at: number,
    end: number,
    spec: number,
    classes: number,
    start: number,
    hits: number,
  ): number;
  readonly literalAt: WasmNumber;
  readonly literalHits: WasmNumber;
  readonly candidates: WasmNumber;
  /** Walks lines with a set of positions; see `assembly/bits.ts` for the specification. */
  scanBits(at: number, end: number, spec: number, hits: number): void;
  readonly bitHits: WasmNumber;
  /** The bitmap of a text's 3- and 4-byte sequences; see `assembly/grams.ts`. */
  blockGrams(at: number, end: number, scratch: number, bitmap: number): void;
  /** Turns 64 bitmaps into a u64 per bit. */
  transposeBitmaps(bitmaps: number, columns: number, scratch: number): void;
}

/** A variable of the module. */
interface WasmNumber {
  readonly value: number;
}

/**
 * The compiled kernels. A thread that was given them (`workerData.kernelsModule`) uses those:
 * compiled once a process, their code is not made and freed again with every thread that is started
 * and stopped.
 */
export const kernelsModule: WebAssembly.Module =
  (workerData as { readonly kernelsModule?: WebAssembly.Module } | null)?.kernelsModule ??
  new WebAssembly.Module(Buffer.from(kernelsWasm, 'base64'));

/** One instance with a memory of its own of `sizeBytes`, rounded up to 64 KiB, all of it zero. */
export function openKernels(sizeBytes: number): Kernels {
  const memory = new WebAssembly.Memory({ initial: Math.ceil(sizeBytes / 65_536) });
  const instance = new WebAssembly.Instance(kernelsModule, { env: { memory } });
  return { ...instance.exports, memory } as unknown as Kernels;
}

import { kernelsWasm } from './kernels-wasm.ts';

/**
 * The hot loops over UTF-8 bytes, compiled from `assembly/` with 128-bit SIMD. Everything is an address in `memory`, which the
 * owner lays out as it likes; ranges are [at, end). The plain TypeScript meaning of each function is in `kernels-twins.ts`.
 */
export interface Kernels {
  readonly memory: WebAssembly.Memory;
  /** Number of newlines; the number of code points is left in `countedChars`. */
  countText(at: number, end: number): number;
  readonly countedChars: { readonly value: number };
  /** Address of the next newline, or `end`. */
  nextNewline(at: number, end: number): number;
  /** Address after the last newline before `at`, or `start`. */
  lineStartBefore(start: number, at: number): number;
}

/** One instance with a memory of its own of `sizeBytes`, rounded up to 64 KiB. The first 1,024 bytes stay zero. */
export function openKernels(sizeBytes: number): Kernels {
  const memory = new WebAssembly.Memory({ initial: Math.ceil(sizeBytes / 65_536) });
  const module = new WebAssembly.Module(Buffer.from(kernelsWasm, 'base64'));
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  return { ...instance.exports, memory } as unknown as Kernels;
}

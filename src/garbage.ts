import { setFlagsFromString } from 'node:v8';

/** Bodies from this size on are those of long histories, bytes. */
const longBodyBytes = 4_194_304;

/**
 * How much more than what is alive V8 lets the heap become, percent: while many short requests
 * come, and while long histories do.
 */
const usualPercent = 150;
const tightPercent = 40;

let isBound = false;
let isTight = false;

/**
 * Holds the garbage of this process down. Left alone, V8's young generation grows to 128 MiB and
 * the old one to several times what is alive, and network buffers wait to be freed with both: half
 * a gigabyte where a client resends 100 MB again and again. The young one is held to 32 MiB, the
 * old one as {@link tuneForBody} says.
 */
export function boundHeap(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString(`--heap-growing-percent=${usualPercent}`);
  isBound = true;
}

/**
 * Told of each request's size. With long histories garbage is collected early, which their own work
 * hides: after 400 turns of `test/long/soak.ts` the process has 240 MiB and not 330. With short
 * requests that would take a third of the requests a second (`bench proxy`, 50 at once). Does
 * nothing where {@link boundHeap} was not called.
 */
export function tuneForBody(sizeBytes: number): void {
  const isLong = sizeBytes >= longBodyBytes;
  if (!isBound || isLong === isTight) return;
  isTight = isLong;
  setFlagsFromString(`--heap-growing-percent=${isLong ? tightPercent : usualPercent}`);
}

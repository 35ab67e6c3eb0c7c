import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/** Bodies from this size on are those of long histories, bytes. */
const longBodyBytes = 4_194_304;

/**
 * How much more than what is alive V8 lets the heap become, percent: while many short requests
 * come, and while long histories do.
 */
const usualPercent = 150;
const tightPercent = 40;

/**
 * How large the young generation may become, bytes. With 2 MiB, which is what it starts with, a
 * request of 64 at once survives a collection and is copied: that took a fifth of the requests a
 * second. More than this brought nothing (measured up to 128 MiB).
 */
const youngBytes = 33_554_432;

/** Requests between two looks at the young generation, 2 us each: of one collection or two. */
const requestsPerLook = 32;

let isBound = false;
let isTight = false;
let isGrown = false;
let requests = 0;

/**
 * Holds the garbage of this process down. Left alone, V8's young generation grows to 128 MiB and
 * the old one to several times what is alive, and network buffers wait to be freed with both: half
 * a gigabyte where a client resends 100 MB again and again. How far they may grow is said by
 * {@link tuneForBody}.
 */
export function boundHeap(): void {
  setFlagsFromString(`--heap-growing-percent=${usualPercent}`);
  isBound = true;
  boundYoung();
}

/**
 * Told of each request's size. With long histories garbage is collected early, which their own work
 * hides: after 400 turns of `test/long/soak.ts` the process has 240 MiB and not 330. With short
 * requests that would take a third of the requests a second (`bench proxy`, 50 at once). Does
 * nothing where {@link boundHeap} was not called.
 */
export function tuneForBody(sizeBytes: number): void {
  if (!isBound) return;
  requests += 1;
  if (requests % requestsPerLook === 0) boundYoung();
  const isLong = sizeBytes >= longBodyBytes;
  if (isLong === isTight) return;
  isTight = isLong;
  setFlagsFromString(`--heap-growing-percent=${isLong ? tightPercent : usualPercent}`);
}

/**
 * Lets the young generation double at collections until it is as large as it may be, and again when
 * V8 has made it smaller in a quiet time: its largest size can be set only where a process starts.
 */
function boundYoung(): void {
  const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
  const isNow = young !== undefined && young.space_size >= youngBytes;
  if (isNow === isGrown && requests > 0) return;
  isGrown = isNow;
  setFlagsFromString(`--semi-space-growth-factor=${isNow ? 1 : 2}`);
}

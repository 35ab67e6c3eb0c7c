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

/** Bytes of requests between two looks at the young generation, 2 us each: of one collection. */
const lookAfterBytes = 65_536;

let isBound = false;
let isTight = false;
let isGrowing = false;
let unlookedBytes = 0;

/**
 * Holds the garbage of this process down. Left alone, V8's young generation grows to 128 MiB and
 * the old one to several times what is alive, and network buffers wait to be freed with both: half
 * a gigabyte where a client resends 100 MB again and again. How far they may grow is said by
 * {@link tuneForBody}.
 *
 * Nor does V8 guess where objects belong: in every second process it took the chunks of answers for
 * lasting ones, as some of them had outlived two collections, and put all that followed into the
 * old generation (`bench proxy`, 64 at once: a request took 185 us in such a process, 180 in
 * others, and takes 165 now).
 */
export function boundHeap(): void {
  setFlagsFromString(`--heap-growing-percent=${usualPercent}`);
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--no-allocation-site-pretenuring');
  isBound = true;
}

/**
 * Told of each request's size. With long histories garbage is collected early, which their own work
 * hides: after 400 turns of `test/long/soak.ts` the process has 240 MiB and not 330. With short
 * requests that would take a third of the requests a second (`bench proxy`, 50 at once). Does
 * nothing where {@link boundHeap} was not called.
 */
export function tuneForBody(sizeBytes: number): void {
  if (!isBound) return;
  const isLong = sizeBytes >= longBodyBytes;
  unlookedBytes += sizeBytes;
  if (unlookedBytes >= lookAfterBytes) boundYoung(isLong);
  if (isLong === isTight) return;
  isTight = isLong;
  setFlagsFromString(`--heap-growing-percent=${isLong ? tightPercent : usualPercent}`);
}

/**
 * Lets the young generation double at collections until it is as large as it may be, and again when
 * V8 has made it smaller in a quiet time: its largest size can be set only where a process starts.
 * It does not grow for long histories, with which it would double several times before the next
 * look.
 */
function boundYoung(isLong: boolean): void {
  unlookedBytes = 0;
  const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
  const mayGrow = !isLong && young !== undefined && young.space_size < youngBytes;
  if (mayGrow === isGrowing) return;
  isGrowing = mayGrow;
  setFlagsFromString(`--semi-space-growth-factor=${mayGrow ? 2 : 1}`);
}
